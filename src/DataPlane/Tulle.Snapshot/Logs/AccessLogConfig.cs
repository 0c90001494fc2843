namespace Tulle.Snapshot;

/// <summary>One access log: where, in what form, and for which requests.</summary>
public sealed class AccessLogConfig
{
    public required string Path { get; init; }

    public required LogFormat Format { get; init; }

    public LogFilterConfig? Filter { get; init; }
}

public enum LogFilterKind : byte
{
    StatusCode,
    Duration,
    ResponseFlag,
    And,
    Or,
    Header,
    NotHealthCheck,
}

public sealed class LogFilterConfig
{
    public required LogFilterKind Kind { get; init; }

    /// <summary>EQ, GE or LE.</summary>
    public string Comparison { get; init; } = "GE";

    public long Value { get; init; }

    public IReadOnlyList<string> Flags { get; init; } = [];

    public IReadOnlyList<LogFilterConfig> Children { get; init; } = [];

    public HeaderMatcher? Header { get; init; }
}
