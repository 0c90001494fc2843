using Tulle.Base;

namespace Tulle.Snapshot;

public enum DiscoveryKind : byte
{
    Static,
    Eds,
    StrictDns,
    LogicalDns,
    OriginalDestination,
    Aggregate,
}

public enum BalancePolicy : byte
{
    RoundRobin,
    LeastRequest,
    Random,
    ClusterProvided,
}

/// <summary>An upstream service as this proxy uses it.</summary>
public sealed class ClusterConfig
{
    public required string Name { get; init; }

    /// <summary>Name in statistics when it differs (alt_stat_name); null means <see cref="Name"/>.</summary>
    public string? StatName { get; init; }

    public DiscoveryKind Discovery { get; init; }

    /// <summary>Milliseconds until a connection must stand. Default 5,000. Source: Envoy Cluster.connect_timeout. Excess: UF.</summary>
    public long ConnectTimeoutMs { get; init; } = 5000;

    public BalancePolicy Balance { get; init; }

    /// <summary>Hosts compared by LEAST_REQUEST. Default 2. Source: Envoy least_request_lb_config.choice_count. At least 2.</summary>
    public int LeastRequestChoices { get; init; } = 2;

    public ThresholdsConfig Thresholds { get; init; } = ThresholdsConfig.Default;

    /// <summary>TLS towards every endpoint; null for plain text.</summary>
    public TlsClientConfig? Tls { get; init; }

    /// <summary>Choices by endpoint metadata, tried in order before <see cref="Tls"/>.</summary>
    public IReadOnlyList<TransportMatchConfig> TransportMatches { get; init; } = [];

    /// <summary>Milliseconds an unused pooled connection stays. Default 3,600,000 (1 h). Source: Envoy HttpProtocolOptions.idle_timeout. 0 never closes it.</summary>
    public long IdleTimeoutMs { get; init; } = 3_600_000;

    /// <summary>Requests on one upstream connection; 0 means any number. Default 0. Source: Envoy max_requests_per_connection.</summary>
    public int RequestsPerConnectionMax { get; init; }

    /// <summary>HTTP/1 trailers are passed on. Default false. Source: Envoy Http1ProtocolOptions.enable_trailers.</summary>
    public bool EnableTrailers { get; init; }

    /// <summary>Below this share of healthy hosts all are used. Percent, default 50; 0 never panics. Source: Envoy healthy_panic_threshold.</summary>
    public double PanicPercent { get; init; } = 50;

    /// <summary>Selectors of metadata keys that make subsets, each sorted.</summary>
    public IReadOnlyList<IReadOnlyList<string>> SubsetSelectors { get; init; } = [];

    public SubsetFallback SubsetFallback { get; init; }

    public IReadOnlyList<HealthCheckConfig> HealthChecks { get; init; } = [];

    public OutlierConfig? Outlier { get; init; }

    /// <summary>Local address of upstream sockets (Istio's inbound clusters use 127.0.0.6); null lets the kernel choose.</summary>
    public Address? BindAddress { get; init; }

    /// <summary>Member clusters of an aggregate, in order of preference.</summary>
    public IReadOnlyList<string> Members { get; init; } = [];

    /// <summary>DNS names to resolve with their port and weight (STRICT_DNS, LOGICAL_DNS).</summary>
    public IReadOnlyList<DnsTargetConfig> DnsTargets { get; init; } = [];

    /// <summary>Milliseconds between look-ups. Default 5,000. Source: Envoy dns_refresh_rate.</summary>
    public long DnsRefreshMs { get; init; } = 5000;

    /// <summary>Address families to ask for. Default AUTO in Envoy prefers IPv6 and falls back; here: both, IPv4 first.</summary>
    public bool DnsV4Only { get; init; }

    /// <summary>ORIGINAL_DST: port that replaces the original one; 0 keeps it.</summary>
    public int OriginalPortOverride { get; init; }

    /// <summary>istio.metadata_exchange on upstream connections: the ALPN with which both sides tell their workloads first; empty for never.</summary>
    public string ExchangeProtocol { get; init; } = "";

    /// <summary>The service behind the cluster, from istio metadata: labels of metrics.</summary>
    public ServiceFacts Service { get; init; } = ServiceFacts.Unknown;

    /// <summary>Hash of the resource this came from: the same content keeps its pools.</summary>
    public ulong ContentHash { get; init; }
}

public sealed record ServiceFacts(string Host, string Name, string Namespace)
{
    public static ServiceFacts Unknown { get; } = new("unknown", "unknown", "unknown");

    // Part of the key under which every request is counted: made once.
    private readonly int _hash = HashCode.Combine(Host, Name, Namespace);

    public override int GetHashCode() => _hash;
}

public sealed record DnsTargetConfig(string Host, int Port, int Weight, int Priority, EndpointFacts Facts);

public enum SubsetFallback : byte
{
    NoFallback,
    AnyEndpoint,
    DefaultSubset,
}

/// <summary>Circuit breaker. uint.MaxValue means no limit.</summary>
/// <param name="ConnectionsMax">Default 1,024. Source: Envoy CircuitBreakers.Thresholds. Excess: waits, or UO.</param>
/// <param name="PendingMax">Requests waiting for a connection. Default 1,024. Excess: 503 UO.</param>
/// <param name="RequestsMax">Requests in flight. Default 1,024. Excess: 503 UO.</param>
/// <param name="RetriesMax">Retries in flight. Default 3. Excess: the last answer is passed on.</param>
public sealed record ThresholdsConfig(uint ConnectionsMax, uint PendingMax, uint RequestsMax, uint RetriesMax)
{
    public static ThresholdsConfig Default { get; } = new(1024, 1024, 1024, 3);
}

/// <summary>A transport chosen by endpoint metadata; TLS null means plain text.</summary>
public sealed record TransportMatchConfig(string Name, IReadOnlyDictionary<string, string> Match, TlsClientConfig? Tls);

/// <summary>An active HTTP or TCP health check.</summary>
public sealed record HealthCheckConfig
{
    /// <summary>Null for a check that only connects.</summary>
    public string? Path { get; init; }

    public string Host { get; init; } = "";

    public long TimeoutMs { get; init; } = 1000;

    public long IntervalMs { get; init; } = 5000;

    public long UnhealthyIntervalMs { get; init; } = 5000;

    public int HealthyThreshold { get; init; } = 1;

    public int UnhealthyThreshold { get; init; } = 1;
}

/// <summary>Passive health: consecutive failures eject a host for a while.</summary>
public sealed record OutlierConfig
{
    /// <summary>Default 5. Source: Envoy consecutive_5xx. 0 turns it off.</summary>
    public int Consecutive5xx { get; init; } = 5;

    /// <summary>Percent of the 5xx ejections that are carried out. Default 100.</summary>
    public int Enforcing5xx { get; init; } = 100;

    /// <summary>Default 5. Source: Envoy consecutive_gateway_failure.</summary>
    public int ConsecutiveGateway { get; init; } = 5;

    /// <summary>Default 0: gateway failures alone eject nobody. Source: Envoy.</summary>
    public int EnforcingGateway { get; init; }

    public long IntervalMs { get; init; } = 10_000;

    public long BaseEjectionMs { get; init; } = 30_000;

    public long MaxEjectionMs { get; init; } = 300_000;

    /// <summary>Percent of hosts ejected at once, default 10; one host may always go. Source: Envoy max_ejection_percent.</summary>
    public int EjectionPercentMax { get; init; } = 10;
}
