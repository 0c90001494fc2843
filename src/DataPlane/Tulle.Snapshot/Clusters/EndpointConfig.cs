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

/// <summary>Metadata of an endpoint that choices and metrics need.</summary>
public sealed class EndpointFacts
{
    public static EndpointFacts None { get; } = new();

    /// <summary>envoy.lb: subset keys.</summary>
    public IReadOnlyDictionary<string, string> Subset { get; init; } = new Dictionary<string, string>();

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

    public int Priority { get; init; }
}

public sealed class LoadAssignmentConfig
{
    public static LoadAssignmentConfig Empty { get; } = new();

    public IReadOnlyList<EndpointConfig> Endpoints { get; init; } = [];

    /// <summary>1.4 = 140 percent. Source: Envoy overprovisioning_factor.</summary>
    public double Overprovisioning { get; init; } = 1.4;
}
