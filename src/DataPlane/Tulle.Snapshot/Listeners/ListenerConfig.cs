using Tulle.Base;

namespace Tulle.Snapshot;

public sealed class ListenerConfig
{
    public required string Name { get; init; }

    public required Address Address { get; init; }

    /// <summary>False: reached only through a listener with <see cref="UseOriginalDestination"/>.</summary>
    public bool BindToPort { get; init; } = true;

    public bool UseOriginalDestination { get; init; }

    public bool Transparent { get; init; }

    public string StatPrefix { get; init; } = "";

    public string Direction { get; init; } = "UNSPECIFIED";

    public IReadOnlyList<ListenerFilterConfig> Filters { get; init; } = [];

    /// <summary>Milliseconds for all listener filters. Default 15,000; 0 waits for ever. Source: Envoy listener_filters_timeout.</summary>
    public long FiltersTimeoutMs { get; init; } = 15_000;

    /// <summary>After the timeout: go on without what was not learnt instead of closing.</summary>
    public bool ContinueOnTimeout { get; init; }

    public IReadOnlyList<FilterChainConfig> Chains { get; init; } = [];

    public FilterChainConfig? DefaultChain { get; init; }

    /// <summary>Bytes of the accept queue. Default 4,096: SOMAXCONN of current kernels.</summary>
    public int Backlog { get; init; } = 4096;

    /// <summary>Open connections; 0 is no limit. Source: Envoy per_connection limits by runtime key, unset by default.</summary>
    public int ConnectionsMax { get; init; }

    public IReadOnlyList<AccessLogConfig> AccessLogs { get; init; } = [];

    public ulong ContentHash { get; init; }
}

public enum ListenerFilterKind : byte
{
    OriginalDestination,
    TlsInspector,
    HttpInspector,
    ProxyProtocol,
}

/// <summary>A listener filter with the ports on which it does not run.</summary>
public sealed record ListenerFilterConfig(ListenerFilterKind Kind, IReadOnlyList<PortRange> DisabledPorts)
{
    /// <summary>ProxyProtocol: a connection without a header passes as it is. Default false: it is closed.</summary>
    public bool AllowsWithoutHeader { get; init; }

    /// <summary>ProxyProtocol: a header of this version closes the connection, or, with <see cref="AllowsWithoutHeader"/>, passes as ordinary bytes.</summary>
    public bool RefusesVersion1 { get; init; }

    public bool RefusesVersion2 { get; init; }

    public bool RunsOn(int port)
    {
        foreach (var range in DisabledPorts)
        {
            if (port >= range.Start && port < range.End)
                return false;
        }
        return true;
    }
}

/// <summary>From start up to and not including end.</summary>
public readonly record struct PortRange(int Start, int End);

public sealed record PrefixConfig(Address Address, int Bits);

public sealed class FilterChainMatchConfig
{
    public static FilterChainMatchConfig Any { get; } = new();

    public int? DestinationPort { get; init; }

    public IReadOnlyList<PrefixConfig> DestinationPrefixes { get; init; } = [];

    public IReadOnlyList<PrefixConfig> SourcePrefixes { get; init; } = [];

    public IReadOnlyList<PrefixConfig> DirectSourcePrefixes { get; init; } = [];

    public IReadOnlyList<int> SourcePorts { get; init; } = [];

    public IReadOnlyList<string> ServerNames { get; init; } = [];

    /// <summary>"", "tls" or "raw_buffer".</summary>
    public string TransportProtocol { get; init; } = "";

    public IReadOnlyList<string> ApplicationProtocols { get; init; } = [];
}

public sealed class FilterChainConfig
{
    public string Name { get; init; } = "";

    public FilterChainMatchConfig Match { get; init; } = FilterChainMatchConfig.Any;

    public TlsServerConfig? Tls { get; init; }

    /// <summary>Milliseconds for the TLS handshake. Default 15,000. Source: Envoy transport_socket_connect_timeout; 0 in Envoy is no limit, we keep 15 s.</summary>
    public long HandshakeTimeoutMs { get; init; } = 15_000;

    /// <summary>Filters before the terminal one, in order.</summary>
    public IReadOnlyList<NetworkFilterConfig> Filters { get; init; } = [];

    /// <summary>What the connection is for: exactly one of these is set.</summary>
    public HttpManagerConfig? Http { get; init; }

    public TcpProxyConfig? Tcp { get; init; }

    /// <summary>use_proxy_proto, the old way to ask for the proxy_protocol listener filter. Default false.</summary>
    public bool BeginsWithProxyHeader { get; init; }

    /// <summary>network direct_response: the text that is sent before closing.</summary>
    public byte[]? DirectResponse { get; init; }
}

public enum NetworkFilterKind : byte
{
    Rbac,
    ConnectionLimit,
    MetadataExchange,
    Stats,
}

public sealed class NetworkFilterConfig
{
    public required NetworkFilterKind Kind { get; init; }

    public int ConnectionsMax { get; init; }

    /// <summary>ConnectionLimit: milliseconds for which a refused connection is held before it is closed, so that clients do not come back at once. Default 0. Source: Envoy delay.</summary>
    public long DelayMs { get; init; }

    /// <summary>ConnectionLimit: false lets everybody pass. Default true. Source: Envoy runtime_enabled.default_value.</summary>
    public bool IsEnabled { get; init; } = true;

    /// <summary>MetadataExchange: the ALPN with which both sides tell their workloads first.</summary>
    public string ExchangeProtocol { get; init; } = "";

    public RbacConfig? Rbac { get; init; }

    public string StatPrefix { get; init; } = "";
}

/// <summary>Rules over addresses and identity that a network RBAC filter evaluates.</summary>
public sealed class RbacConfig
{
    public bool IsDeny { get; init; }

    public IReadOnlyList<RbacPolicyConfig> Policies { get; init; } = [];
}

public sealed record RbacPolicyConfig(string Name, RbacRule Permission, RbacRule Principal);

/// <summary>A node of a rule tree; evaluated by Tulle.Proxy/Authorize.</summary>
public sealed class RbacRule
{
    public required RbacRuleKind Kind { get; init; }

    public IReadOnlyList<RbacRule> Children { get; init; } = [];

    public PrefixConfig? Prefix { get; init; }

    public int Port { get; init; }

    public TextMatcher? Text { get; init; }
}

public enum RbacRuleKind : byte
{
    Any,
    And,
    Or,
    Not,
    /// <summary>The client's address as a PROXY header may have set it (remote_ip, source_ip).</summary>
    SourceIp,

    /// <summary>The address of the peer of the socket, whatever it says of itself (direct_remote_ip).</summary>
    DirectSourceIp,
    DestinationIp,
    DestinationPort,
    ServerName,
    Authenticated,
}

public sealed class TcpProxyConfig
{
    public required string StatPrefix { get; init; }

    public IReadOnlyList<WeightedClusterConfig> Clusters { get; init; } = [];

    /// <summary>Milliseconds without a byte in either direction. Default 3,600,000. Source: Envoy tcp_proxy.idle_timeout; 0 is no limit.</summary>
    public long IdleTimeoutMs { get; init; } = 3_600_000;

    /// <summary>Milliseconds from accept after which the connection is closed however busy it is. Default 0: no limit. Source: Envoy max_downstream_connection_duration.</summary>
    public long DurationMaxMs { get; init; }

    /// <summary>Tries to connect, each to another endpoint. Default 1. Source: Envoy max_connect_attempts.</summary>
    public int ConnectAttemptsMax { get; init; } = 1;

    public IReadOnlyList<AccessLogConfig> AccessLogs { get; init; } = [];

    public SubsetMatch SubsetMatch { get; init; } = SubsetMatch.None;
}
