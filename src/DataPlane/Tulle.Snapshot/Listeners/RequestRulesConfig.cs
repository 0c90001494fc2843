using Tulle.Base;

namespace Tulle.Snapshot;

/// <summary>What becomes of a request with a field name that holds an underscore. Source: Envoy headers_with_underscores_action.</summary>
public enum UnderscoreAction : byte
{
    Allow,

    /// <summary>400, and the connection is closed.</summary>
    Reject,
    Drop,
}

/// <summary>One way to find who the client is. Source: Envoy original_ip_detection_extensions; the first that yields an address decides.</summary>
public sealed class AddressDetectionConfig
{
    /// <summary>Field (lower case) that holds the address; null reads x-forwarded-for.</summary>
    public byte[]? Field { get; init; }

    /// <summary>x-forwarded-for: entries from the right that are trusted proxies.</summary>
    public int TrustedHops { get; init; }

    /// <summary>x-forwarded-for: proxies that are trusted; the first entry from the right outside of these is the client. Empty counts hops.</summary>
    public IReadOnlyList<PrefixConfig> TrustedProxies { get; init; } = [];

    /// <summary>x-forwarded-for: this proxy's peer is appended.</summary>
    public bool AppendsPeer { get; init; }

    /// <summary>The address may make the request an internal one.</summary>
    public bool MayBeInternal { get; init; }

    /// <summary>Status of the answer when the field holds no address; 0 (default) lets the next way decide.</summary>
    public int RejectStatus { get; init; }
}

/// <summary>What a connection manager decides about a request before it is routed, beyond what every manager decides. All of it is off by default.</summary>
public sealed class RequestRulesConfig
{
    public static RequestRulesConfig None { get; } = new();

    public UnderscoreAction Underscores { get; init; }

    /// <summary>Default: x-forwarded-for with the manager's trusted hops.</summary>
    public IReadOnlyList<AddressDetectionConfig> AddressDetections { get; init; } = [];

    /// <summary>Addresses of clients whose requests are internal. Default: none. Source: Envoy internal_address_config.</summary>
    public IReadOnlyList<PrefixConfig> InternalPrefixes { get; init; } = [];

    public bool InternalUnixSockets { get; init; }

    /// <summary>"example.com." is routed and forwarded as "example.com".</summary>
    public bool StripTrailingHostDot { get; init; }

    /// <summary>A target with scheme and host; otherwise it is answered 404. Default true. Source: Envoy allow_absolute_url.</summary>
    public bool AllowAbsoluteUrl { get; init; } = true;

    /// <summary>Any token is a method. Default false: those of the IANA registry. Source: Envoy allow_custom_methods.</summary>
    public bool AllowCustomMethods { get; init; }

    /// <summary>Host of HTTP/1.0 requests that name none; empty refuses them.</summary>
    public byte[] DefaultHostForHttp10 { get; init; } = [];

    /// <summary>"http" or "https" for every request; empty takes the request's own.</summary>
    public byte[] SchemeOverwrite { get; init; } = [];

    public bool AppendForwardedPort { get; init; }

    public bool AddUserAgent { get; init; }

    /// <summary>Done before everything else, in this order.</summary>
    public IReadOnlyList<HeaderEditsConfig> EarlyEdits { get; init; } = [];

    public bool IsInternal(in Address address)
    {
        if (address.Kind == AddressKind.Pipe)
            return InternalUnixSockets;
        for (var i = 0; i < InternalPrefixes.Count; i++)
        {
            if (address.InPrefix(InternalPrefixes[i].Address, InternalPrefixes[i].Bits))
                return true;
        }
        return false;
    }
}
