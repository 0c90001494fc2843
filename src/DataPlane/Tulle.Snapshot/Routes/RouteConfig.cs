using System.Text.RegularExpressions;

namespace Tulle.Snapshot;

public sealed record WeightedClusterConfig(string Name, int Weight)
{
    public HeaderEditsConfig? RequestEdits { get; init; }

    public HeaderEditsConfig? ResponseEdits { get; init; }

    /// <summary>Host towards the upstream; comes before the route's own. Null leaves it.</summary>
    public byte[]? HostRewrite { get; init; }

    public SubsetMatch SubsetMatch { get; init; } = SubsetMatch.None;
}

/// <summary>A matcher for a header field. Pseudo headers :method, :path and :authority are fields here.</summary>
public sealed class HeaderMatcher
{
    public required string Name { get; init; }

    public required byte[] NameBytes { get; init; }

    /// <summary>Null: presence decides.</summary>
    public TextMatcher? Text { get; init; }

    /// <summary>For presence: whether the field must be there.</summary>
    public bool Present { get; init; } = true;

    public (long Start, long End)? Range { get; init; }

    public bool Invert { get; init; }

    public bool TreatMissingAsEmpty { get; init; }
}

public sealed record QueryMatcher(string Name, TextMatcher? Text, bool Present = true);

/// <summary>When a route applies.</summary>
public sealed class RouteMatchConfig
{
    public byte[]? Prefix { get; init; }

    public byte[]? Path { get; init; }

    public byte[]? SeparatedPrefix { get; init; }

    public Regex? Regex { get; init; }

    public bool IsConnect { get; init; }

    public bool IgnoreCase { get; init; }

    public IReadOnlyList<HeaderMatcher> Headers { get; init; } = [];

    public IReadOnlyList<QueryMatcher> Query { get; init; } = [];

    /// <summary>Share of requests in parts per million; null is all.</summary>
    public int? FractionPerMillion { get; init; }
}

public sealed class RedirectConfig
{
    public string? Scheme { get; init; }

    public string? Host { get; init; }

    public int? Port { get; init; }

    public string? Path { get; init; }

    public string? PrefixRewrite { get; init; }

    public RegexRewriteConfig? RegexRewrite { get; init; }

    public bool StripQuery { get; init; }

    public int Status { get; init; } = 301;
}

public sealed record RegexRewriteConfig(Regex Pattern, string Substitution);

public sealed record DirectResponseConfig(int Status, byte[] Body);

/// <summary>What happens to a request that matched.</summary>
public sealed record RouteActionConfig
{
    public IReadOnlyList<WeightedClusterConfig> Clusters { get; init; } = [];

    public int TotalWeight { get; init; }

    /// <summary>Name of the header that holds the cluster's name, lower case; null when the clusters are listed.</summary>
    public byte[]? ClusterHeader { get; init; }

    /// <summary>Milliseconds for the whole answer. Default 15,000. Source: Envoy RouteAction.timeout. 0 is no limit. Excess: 504 UT.</summary>
    public long TimeoutMs { get; init; } = 15_000;

    /// <summary>Status of the answer when that time is over. Default 504; 204 where an internal client asks for it. Source: Envoy x-envoy-upstream-rq-timeout-alt-response.</summary>
    public int TimeoutStatus { get; init; } = 504;

    /// <summary>Replaces the manager's stream idle timeout when set.</summary>
    public long? IdleTimeoutMs { get; init; }

    /// <summary>Milliseconds a request may live in all, instead of the manager's limit; 0 is no limit, null leaves the manager's.</summary>
    public long? MaxDurationMs { get; init; }

    /// <summary>priority HIGH: permits and connections of its own (<see cref="ClusterConfig.HighThresholds"/>). Default false.</summary>
    public bool IsHighPriority { get; init; }

    public RetryConfig? Retry { get; init; }

    /// <summary>Bytes of a request's body kept for another try; a longer body is not retried. Default 1 MiB. Source: Envoy per_request_buffer_limit_bytes, else its connection buffer limit.</summary>
    public int ReplayBytesMax { get; init; } = 1 << 20;

    public byte[]? PrefixRewrite { get; init; }

    /// <summary>Bytes of the path that the match covers and a prefix rewrite replaces; −1 is the whole path.</summary>
    public int MatchedPrefixBytes { get; init; } = -1;

    public RegexRewriteConfig? RegexRewrite { get; init; }

    public byte[]? HostRewrite { get; init; }

    public byte[]? HostRewriteHeader { get; init; }

    public bool AutoHostRewrite { get; init; }

    public bool AppendForwardedHost { get; init; }

    public int ClusterNotFoundStatus { get; init; } = 503;

    public SubsetMatch SubsetMatch { get; init; } = SubsetMatch.None;

    /// <summary>Upgrades allowed (true) or refused (false) on this route, lower case.</summary>
    public IReadOnlyDictionary<string, bool> Upgrades { get; init; } = new Dictionary<string, bool>();

    /// <summary>CONNECT is ended here and its bytes go to the upstream raw.</summary>
    public bool TerminateConnect { get; init; }
}

public sealed class RouteConfig
{
    public string Name { get; init; } = "";

    public byte[] NameBytes { get; init; } = [];

    public required RouteMatchConfig Match { get; init; }

    public RouteActionConfig? Action { get; init; }

    public RedirectConfig? Redirect { get; init; }

    public DirectResponseConfig? DirectResponse { get; init; }

    /// <summary>Edits of route, virtual host and table in the order in which they apply.</summary>
    public IReadOnlyList<HeaderEditsConfig> RequestEdits { get; init; } = [];

    public IReadOnlyList<HeaderEditsConfig> ResponseEdits { get; init; } = [];
}

public enum HeaderAppend : byte
{
    Append,
    AddIfAbsent,
    Overwrite,
    OverwriteIfExists,
}

public sealed record HeaderEditConfig(byte[] Name, IReadOnlyList<LogPart> Value, HeaderAppend Append, bool KeepEmpty);

public sealed class HeaderEditsConfig
{
    public IReadOnlyList<HeaderEditConfig> Add { get; init; } = [];

    public IReadOnlyList<byte[]> Remove { get; init; } = [];
}

public sealed class VirtualHostConfig
{
    public required string Name { get; init; }

    public IReadOnlyList<string> Domains { get; init; } = [];

    public IReadOnlyList<RouteConfig> Routes { get; init; } = [];

    /// <summary>NONE, EXTERNAL_ONLY or ALL.</summary>
    public string RequireTls { get; init; } = "NONE";

    public bool AttemptCountInRequest { get; init; }

    public bool AttemptCountInResponse { get; init; }
}
