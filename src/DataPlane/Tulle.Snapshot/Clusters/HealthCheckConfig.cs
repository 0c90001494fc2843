using Tulle.Base;

namespace Tulle.Snapshot;

/// <summary>An active HTTP or TCP health check of a cluster (Envoy core.v3.HealthCheck).</summary>
public sealed record HealthCheckConfig
{
    /// <summary>Null for a TCP check.</summary>
    public HttpCheckConfig? Http { get; init; }

    public TcpCheckConfig Tcp { get; init; } = TcpCheckConfig.ConnectOnly;

    /// <summary>Milliseconds for a whole check, from connecting to the end of the answer. Required by Envoy.</summary>
    public long TimeoutMs { get; init; } = 1000;

    /// <summary>Milliseconds between checks of a passing host. Required by Envoy.</summary>
    public long IntervalMs { get; init; } = 5000;

    /// <summary>Milliseconds between checks of a failing host. Default: <see cref="IntervalMs"/>.</summary>
    public long UnhealthyIntervalMs { get; init; } = 5000;

    /// <summary>Milliseconds after a bad check of a host that does not count as failing yet. Default: <see cref="UnhealthyIntervalMs"/>.</summary>
    public long UnhealthyEdgeIntervalMs { get; init; } = 5000;

    /// <summary>Milliseconds after a good check of a host that does not count as passing yet. Default: <see cref="IntervalMs"/>.</summary>
    public long HealthyEdgeIntervalMs { get; init; } = 5000;

    /// <summary>Milliseconds between checks while the cluster never had a connection. Default 60,000. Source: Envoy no_traffic_interval.</summary>
    public long NoTrafficIntervalMs { get; init; } = 60_000;

    /// <summary>The same for a passing host. Default: <see cref="NoTrafficIntervalMs"/>.</summary>
    public long NoTrafficHealthyIntervalMs { get; init; } = 60_000;

    /// <summary>Milliseconds within which the first check happens at random. Default 0: at once.</summary>
    public long InitialJitterMs { get; init; }

    /// <summary>Milliseconds added to each interval at random. Default 0.</summary>
    public long IntervalJitterMs { get; init; }

    /// <summary>Percent of each interval added at random. Default 0.</summary>
    public int IntervalJitterPercent { get; init; }

    /// <summary>Good checks in a row until a failing host passes. The first check decides alone.</summary>
    public int HealthyThreshold { get; init; } = 1;

    /// <summary>Checks in a row without an answer until a host fails. A wrong answer decides alone.</summary>
    public int UnhealthyThreshold { get; init; } = 1;

    /// <summary>Port to check instead of the endpoint's; 0 is the endpoint's.</summary>
    public int AlternatePort { get; init; }

    /// <summary>ALPN of check connections over TLS; empty: the cluster's.</summary>
    public IReadOnlyList<string> Alpn { get; init; } = [];

    /// <summary>Chooses among the cluster's transport matches instead of the endpoint's metadata; null: the endpoint's.</summary>
    public IReadOnlyDictionary<string, string>? TransportMatch { get; init; }

    /// <summary>Hash of the resource: another content starts other checks.</summary>
    public ulong ContentHash { get; init; }
}

public sealed record HttpCheckConfig
{
    public required string Path { get; init; }

    /// <summary>Host field unless the endpoint has its own.</summary>
    public string Host { get; init; } = "";

    public string Method { get; init; } = "GET";

    /// <summary>Status codes (from, to exclusive) that pass. Default 200 only.</summary>
    public IReadOnlyList<(int From, int To)> Expected { get; init; } = [(200, 201)];

    /// <summary>Other codes for which the unhealthy threshold holds.</summary>
    public IReadOnlyList<(int From, int To)> Retriable { get; init; } = [];

    /// <summary>What x-envoy-upstream-healthchecked-cluster must be; null: anything.</summary>
    public TextMatcher? Service { get; init; }
}

/// <param name="Send">Sent after connecting; empty: nothing.</param>
/// <param name="Receive">Found in the answer in this order, with anything between; empty: connecting is enough.</param>
public sealed record TcpCheckConfig(byte[] Send, IReadOnlyList<byte[]> Receive)
{
    public static TcpCheckConfig ConnectOnly { get; } = new([], []);
}

/// <summary>What one endpoint has of its own about being checked.</summary>
/// <param name="Address">Checked instead of the endpoint; null: the endpoint.</param>
/// <param name="Hostname">Host field; empty: the check's.</param>
/// <param name="IsDisabled">Never checked, and passing.</param>
public sealed record EndpointCheckConfig(Address? Address, string Hostname, bool IsDisabled);
