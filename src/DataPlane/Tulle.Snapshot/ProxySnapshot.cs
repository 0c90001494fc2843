namespace Tulle.Snapshot;

/// <summary>
/// Everything a proxy was told, validated and immutable. A loop swaps its reference at the top of a turn; a request keeps the one it began with.
/// </summary>
public sealed class ProxySnapshot
{
    public static ProxySnapshot Empty { get; } = new();

    /// <summary>Counts up with every publication.</summary>
    public long Version { get; init; }

    public IReadOnlyDictionary<string, ClusterConfig> Clusters { get; init; } = new Dictionary<string, ClusterConfig>();

    /// <summary>Endpoints by cluster name: kept apart so that an endpoint change rebuilds nothing else.</summary>
    public IReadOnlyDictionary<string, LoadAssignmentConfig> Endpoints { get; init; } = new Dictionary<string, LoadAssignmentConfig>();

    public IReadOnlyDictionary<string, RouteTable> Routes { get; init; } = new Dictionary<string, RouteTable>();

    public IReadOnlyList<ListenerConfig> Listeners { get; init; } = [];

    /// <summary>This proxy's own workload, for metrics and peer metadata.</summary>
    public NodeConfig Node { get; init; } = new();
}

/// <summary>Who this proxy is.</summary>
public sealed class NodeConfig
{
    public string Id { get; init; } = "";

    public string Cluster { get; init; } = "";

    public WorkloadFacts Workload { get; init; } = WorkloadFacts.Unknown;

    /// <summary>Value of x-envoy-peer-metadata that tells other sidecars of this workload; empty: nothing is told.</summary>
    public byte[] PeerMetadata { get; init; } = [];

    /// <summary>The same as the first bytes of a TCP connection.</summary>
    public byte[] PeerExchange { get; init; } = [];

    /// <summary>Value of x-envoy-peer-metadata-id: <see cref="Id"/> as bytes.</summary>
    public byte[] PeerMetadataId { get; init; } = [];
}

/// <summary>The facts of a workload that Istio's metrics name.</summary>
public sealed record WorkloadFacts(string Name, string Namespace, string CanonicalName, string CanonicalRevision, string App, string Version, string Cluster)
{
    public static WorkloadFacts Unknown { get; } = new("unknown", "unknown", "unknown", "unknown", "unknown", "unknown", "unknown");

    // Part of the key under which every request is counted: made once.
    private readonly int _hash = HashCode.Combine(Name, Namespace, CanonicalName, CanonicalRevision, App, Version, Cluster);

    public override int GetHashCode() => _hash;
}
