namespace Tulle.Snapshot;

/// <summary>Passive health (Envoy OutlierDetection): hosts that fail are ejected for a while. "Enforcing" is the percentage of detections that are carried out.</summary>
public sealed record OutlierConfig
{
    /// <summary>Answers of 500 to 599 in a row. Default 5. 0 turns it off.</summary>
    public int Consecutive5xx { get; init; } = 5;

    /// <summary>Default 100.</summary>
    public int Enforcing5xx { get; init; } = 100;

    /// <summary>Answers of 502, 503, 504 in a row. Default 5. 0 turns it off.</summary>
    public int ConsecutiveGateway { get; init; } = 5;

    /// <summary>Default 0: gateway failures alone eject nobody.</summary>
    public int EnforcingGateway { get; init; }

    /// <summary>Failures to get an answer are counted apart from bad answers. Default false: they count as 503 or 504.</summary>
    public bool SplitLocal { get; init; }

    /// <summary>Failures to connect in a row, with <see cref="SplitLocal"/>. Default 5. 0 turns it off.</summary>
    public int ConsecutiveLocal { get; init; } = 5;

    /// <summary>Default 100.</summary>
    public int EnforcingLocal { get; init; } = 100;

    /// <summary>Milliseconds between looks at ejected hosts and success rates. Default 10,000.</summary>
    public long IntervalMs { get; init; } = 10_000;

    /// <summary>Milliseconds of the first ejection; the n-th in a row lasts n times as long. Default 30,000.</summary>
    public long BaseEjectionMs { get; init; } = 30_000;

    /// <summary>Default: the greater of 300,000 and the base.</summary>
    public long MaxEjectionMs { get; init; } = 300_000;

    /// <summary>Milliseconds added to an ejection at random. Default 0.</summary>
    public long EjectionJitterMs { get; init; }

    /// <summary>Percent of hosts that may be ejected. Default 10. Source: Envoy max_ejection_percent; excess: counted in ejections_overflow.</summary>
    public int EjectionPercentMax { get; init; } = 10;

    /// <summary>One host may be ejected whatever the percentage. Default false.</summary>
    public bool AlwaysEjectOne { get; init; }

    /// <summary>A good active check ends an ejection. Default true.</summary>
    public bool CheckUnejects { get; init; } = true;

    /// <summary>Hosts needed to compare success rates. Default 5.</summary>
    public int SuccessRateHosts { get; init; } = 5;

    /// <summary>Requests a host needs in an interval. Default 100.</summary>
    public int SuccessRateRequests { get; init; } = 100;

    /// <summary>Thousandths of a standard deviation below the mean that eject. Default 1,900.</summary>
    public int SuccessRateFactor { get; init; } = 1900;

    /// <summary>Default 100.</summary>
    public int EnforcingSuccessRate { get; init; } = 100;

    /// <summary>Default 100.</summary>
    public int EnforcingLocalSuccessRate { get; init; } = 100;

    /// <summary>Percent of failures that ejects. Default 85.</summary>
    public int FailurePercentageThreshold { get; init; } = 85;

    /// <summary>Default 0.</summary>
    public int EnforcingFailurePercentage { get; init; }

    /// <summary>Default 0.</summary>
    public int EnforcingLocalFailurePercentage { get; init; }

    /// <summary>Hosts needed for the failure percentage. Default 5.</summary>
    public int FailurePercentageHosts { get; init; } = 5;

    /// <summary>Requests a host needs in an interval. Default 50.</summary>
    public int FailurePercentageRequests { get; init; } = 50;

    /// <summary>Anything that compares rates is carried out: answers are counted. (Istio turns all of it off.)</summary>
    public bool WatchesRates => EnforcingSuccessRate > 0 || EnforcingFailurePercentage > 0;
}
