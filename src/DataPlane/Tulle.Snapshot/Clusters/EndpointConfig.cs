using Tulle.Base;

namespace Tulle.Snapshot;

public enum EndpointHealth : byte
{
    Unknown,
    Healthy,
    Unhealthy,
    Draining,
    Timeout,
    Degraded,
}

/// <summary>A value of endpoint metadata, written with its type; of a list also each item.</summary>
public sealed record SubsetValue(string Whole, IReadOnlyList<string> Items);

/// <summary>Metadata of an endpoint that choices and metrics need.</summary>
public sealed class EndpointFacts
{
    public static EndpointFacts None { get; } = new();

    /// <summary>envoy.lb: subset keys.</summary>
    public IReadOnlyDictionary<string, SubsetValue> Subset { get; init; } = new Dictionary<string, SubsetValue>();

    /// <summary>envoy.lb "canary": true.</summary>
    public bool IsCanary { get; init; }

    /// <summary>envoy.transport_socket_match: which transport to use.</summary>
    public IReadOnlyDictionary<string, string> TransportMatch { get; init; } = new Dictionary<string, string>();

    public WorkloadFacts Workload { get; init; } = WorkloadFacts.Unknown;
}

public sealed class EndpointConfig
{
    public required Address Address { get; init; }

    public string Hostname { get; init; } = "";

    /// <summary>Share of traffic against its neighbours, at least 1.</summary>
    public int Weight { get; init; } = 1;

    public EndpointHealth Health { get; init; }

    public EndpointFacts Facts { get; init; } = EndpointFacts.None;

    /// <summary>Region/zone/subzone.</summary>
    public string Locality { get; init; } = "";

    /// <summary>Which of the assignment's localities it belongs to.</summary>
    public int LocalityIndex { get; init; }

    /// <summary>Weight of its locality; 0 (or none given) gets nothing when localities are weighted.</summary>
    public long LocalityWeight { get; init; }

    public int Priority { get; init; }

    /// <summary>What it has of its own about being checked; null: nothing.</summary>
    public EndpointCheckConfig? Check { get; init; }
}

public sealed class LoadAssignmentConfig
{
    public static LoadAssignmentConfig Empty { get; } = new();

    public IReadOnlyList<EndpointConfig> Endpoints { get; init; } = [];

    /// <summary>1.4 = 140 percent. Source: Envoy overprovisioning_factor.</summary>
    public double Overprovisioning { get; init; } = 1.4;
}
