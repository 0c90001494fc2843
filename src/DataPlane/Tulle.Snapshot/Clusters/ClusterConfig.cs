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

/// <summary>Which addresses of a name are used.</summary>
public enum DnsFamily : byte
{
    /// <summary>IPv6 if there is any, else IPv4.</summary>
    Auto,
    V4Only,
    V6Only,
    V4Preferred,
    All,
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

    /// <summary>For requests of routes with priority HIGH, which have connections of their own. Default: those of <see cref="ThresholdsConfig"/>.</summary>
    public ThresholdsConfig HighThresholds { get; init; } = ThresholdsConfig.Default;

    /// <summary>Pooled connections to one host, of all loops; a loop without one may always have one. Default no limit. Source: Envoy per_host_thresholds. Excess: waits.</summary>
    public uint HostConnectionsMax { get; init; } = uint.MaxValue;

    /// <summary>The same for requests of routes with priority HIGH.</summary>
    public uint HighHostConnectionsMax { get; init; } = uint.MaxValue;

    /// <summary>Keep-alive probes on upstream connections; null sends none. Source: Envoy upstream_connection_options.tcp_keepalive.</summary>
    public KeepAliveConfig? KeepAlive { get; init; }

    /// <summary>Every downstream connection has upstream connections of its own, which end with it. Default false.</summary>
    public bool PoolPerDownstream { get; init; }

    /// <summary>Bytes of a response head. Default 61,440 (60 KiB). Source: Envoy HttpProtocolOptions.max_response_headers_kb. Excess: 502 UPE.</summary>
    public int ResponseHeadBytesMax { get; init; } = 60 * 1024;

    /// <summary>Fields of a response head or trailer section. Default 100. Source: Envoy HttpProtocolOptions.max_headers_count. Excess: 502 UPE.</summary>
    public int ResponseFieldsMax { get; init; } = 100;

    /// <summary>TLS towards every endpoint; null for plain text.</summary>
    public TlsClientConfig? Tls { get; init; }

    /// <summary>Choices by endpoint metadata, tried in order before <see cref="Tls"/>.</summary>
    public IReadOnlyList<TransportMatchConfig> TransportMatches { get; init; } = [];

    /// <summary>Null: the server name is the one of the TLS configuration.</summary>
    public ServerNameRule? ServerNames { get; init; }

    /// <summary>Milliseconds an unused pooled connection stays. Default 3,600,000 (1 h). Source: Envoy HttpProtocolOptions.idle_timeout. 0 never closes it.</summary>
    public long IdleTimeoutMs { get; init; } = 3_600_000;

    /// <summary>Milliseconds an attempt may last, from the sending of its head; 0 (default) is no limit. Source: Envoy max_stream_duration. Excess: 504 or 408, flag UMSDR.</summary>
    public long MaxStreamDurationMs { get; init; }

    /// <summary>Requests on one upstream connection; 0 means any number. Default 0. Source: Envoy max_requests_per_connection.</summary>
    public int RequestsPerConnectionMax { get; init; }

    /// <summary>HTTP/1 trailers are passed on. Default false. Source: Envoy Http1ProtocolOptions.enable_trailers.</summary>
    public bool EnableTrailers { get; init; }

    /// <summary>Below this share of healthy hosts all are used. Percent, default 50; 0 never panics. Source: Envoy healthy_panic_threshold.</summary>
    public double PanicPercent { get; init; } = 50;

    /// <summary>Groups of endpoints by metadata.</summary>
    public SubsetsConfig Subsets { get; init; } = SubsetsConfig.None;

    /// <summary>Localities share the traffic of a priority by their weights (locality_weighted_lb_config). Default false: they do not matter.</summary>
    public bool IsLocalityWeighted { get; init; }

    /// <summary>How strongly requests in flight lessen a weight. Default 1; 0 is round robin. Source: Envoy active_request_bias.</summary>
    public double ActiveRequestBias { get; init; } = 1;

    /// <summary>TCP connections to a host end when its health check fails or it is ejected. Default false.</summary>
    public bool CloseConnectionsOnHostFailure { get; init; }

    /// <summary>A new host does not count among the hosts until its first check. Default false: it counts as failing.</summary>
    public bool IgnoreNewHostsUntilFirstCheck { get; init; }

    public HealthCheckConfig? HealthCheck { get; init; }

    public OutlierConfig? Outlier { get; init; }

    /// <summary>Local address of upstream sockets (Istio's inbound clusters use 127.0.0.6); null lets the kernel choose.</summary>
    public Address? BindAddress { get; init; }

    /// <summary>The local address for one upstream: <see cref="BindAddress"/> where both are of one family, else the kernel chooses.</summary>
    public Address? BindAddressFor(Address upstream) => BindAddress is { } bind && bind.Kind == upstream.Kind ? bind : null;

    /// <summary>Member clusters of an aggregate, in order of preference.</summary>
    public IReadOnlyList<string> Members { get; init; } = [];

    /// <summary>DNS names to resolve with their port and weight (STRICT_DNS, LOGICAL_DNS).</summary>
    public IReadOnlyList<DnsTargetConfig> DnsTargets { get; init; } = [];

    /// <summary>Milliseconds between look-ups. Default 5,000. Source: Envoy dns_refresh_rate.</summary>
    public long DnsRefreshMs { get; init; } = 5000;

    /// <summary>Milliseconds until a failed look-up is tried again. Default: <see cref="DnsRefreshMs"/>. Source: Envoy dns_failure_refresh_rate.base_interval.</summary>
    public long DnsFailureRefreshMs { get; init; } = 5000;

    /// <summary>Milliseconds added to the refresh at random. Default 0. Source: Envoy dns_jitter.</summary>
    public long DnsJitterMs { get; init; }

    /// <summary>Address families to ask for. Default AUTO. Source: Envoy dns_lookup_family.</summary>
    public DnsFamily DnsFamily { get; init; }

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

/// <param name="Endpoint">What every address of the name is; its address is replaced.</param>
public sealed record DnsTargetConfig(string Host, int Port, EndpointConfig Endpoint)
{
    /// <summary>Port of health checks; 0: that of the endpoint.</summary>
    public int CheckPort { get; init; }

    /// <summary>The endpoint at an address that the name has.</summary>
    public EndpointConfig At(Address address) => new()
    {
        Address = address.WithPort(Port),
        Hostname = Endpoint.Hostname,
        Weight = Endpoint.Weight,
        Health = Endpoint.Health,
        Facts = Endpoint.Facts,
        Locality = Endpoint.Locality,
        LocalityIndex = Endpoint.LocalityIndex,
        LocalityWeight = Endpoint.LocalityWeight,
        Priority = Endpoint.Priority,
        Check = Endpoint.Check is { } check && CheckPort > 0 ? check with { Address = address.WithPort(CheckPort) } : Endpoint.Check,
    };
}

/// <summary>Circuit breaker. uint.MaxValue means no limit.</summary>
/// <param name="ConnectionsMax">Default 1,024. Source: Envoy CircuitBreakers.Thresholds. Excess: waits, or UO.</param>
/// <param name="PendingMax">Requests waiting for a connection. Default 1,024. Excess: 503 UO.</param>
/// <param name="RequestsMax">Requests in flight. Default 1,024. Excess: 503 UO.</param>
/// <param name="RetriesMax">Retries in flight. Default 3. Excess: the last answer is passed on. Not looked at with a budget.</param>
public sealed record ThresholdsConfig(uint ConnectionsMax, uint PendingMax, uint RequestsMax, uint RetriesMax)
{
    public static ThresholdsConfig Default { get; } = new(1024, 1024, 1024, 3);

    /// <summary>Retries in flight in percent of the requests that wait or are in flight; negative: no budget, <see cref="RetriesMax"/> holds. Default with a budget 20.</summary>
    public double RetryBudgetPercent { get; init; } = -1;

    /// <summary>Retries in flight that are always allowed, with a budget. Default 3.</summary>
    public uint RetryBudgetMin { get; init; } = 3;
}

/// <summary>TCP keep-alive (tcp(7)); 0 leaves what the kernel has.</summary>
/// <param name="Probes">Unanswered probes until the connection is dead. Kernel: 9.</param>
/// <param name="TimeSeconds">Seconds without traffic until the first probe. Kernel: 7,200.</param>
/// <param name="IntervalSeconds">Seconds between probes. Kernel: 75.</param>
public sealed record KeepAliveConfig(int Probes, int TimeSeconds, int IntervalSeconds);

/// <summary>A transport chosen by endpoint metadata; TLS null means plain text.</summary>
public sealed record TransportMatchConfig(string Name, IReadOnlyDictionary<string, string> Match, TlsClientConfig? Tls);

