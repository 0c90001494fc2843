namespace Tulle.Snapshot;

[Flags]
public enum RetryOn : ushort
{
    None = 0,
    ServerError = 1,
    GatewayError = 2,
    Reset = 4,
    ConnectFailure = 8,
    RefusedStream = 16,
    Retriable4xx = 32,
    StatusCodes = 64,
    Headers = 128,
    ResetBeforeRequest = 256,

    /// <summary>Answers marked x-envoy-ratelimited, which no other word covers.</summary>
    RateLimited = 512,

    /// <summary>Known, and never happens without HTTP/3.</summary>
    Http3PostConnect = 1024,
    GrpcCancelled = 2048,
    GrpcDeadlineExceeded = 4096,
    GrpcInternal = 8192,
    GrpcResourceExhausted = 16384,
    GrpcUnavailable = 32768,
    AnyGrpc = GrpcCancelled | GrpcDeadlineExceeded | GrpcInternal | GrpcResourceExhausted | GrpcUnavailable,
}

/// <summary>A field of an answer that says how long to wait: seconds from now, or a time.</summary>
public sealed record ResetHeaderConfig(byte[] Name, bool IsTimestamp);

/// <summary>envoy.config.route.v3.RetryPolicy.</summary>
public sealed record RetryConfig
{
    public RetryOn On { get; init; }

    /// <summary>Default 1. Source: Envoy RetryPolicy.num_retries.</summary>
    public int RetriesMax { get; init; } = 1;

    /// <summary>Milliseconds for each attempt's answer to begin. Default 0: none but the route's.</summary>
    public long PerTryTimeoutMs { get; init; }

    /// <summary>Milliseconds an attempt may go without a byte either way. Default 0: none but the route's. Source: Envoy per_try_idle_timeout.</summary>
    public long PerTryIdleTimeoutMs { get; init; }

    public IReadOnlyList<int> StatusCodes { get; init; } = [];

    public IReadOnlyList<HeaderMatcher> ResponseHeaders { get; init; } = [];

    /// <summary>Only requests that match one of these are retried; empty: all.</summary>
    public IReadOnlyList<HeaderMatcher> RequestHeaders { get; init; } = [];

    /// <summary>Default 25. Source: Envoy's upstream.base_retry_backoff_ms.</summary>
    public long BackOffBaseMs { get; init; } = 25;

    public long BackOffMaxMs { get; init; } = 250;

    /// <summary>Fields of an answer that say how long to wait before the next attempt. Empty: the back-off holds.</summary>
    public IReadOnlyList<ResetHeaderConfig> ResetHeaders { get; init; } = [];

    /// <summary>A longer wish is not obeyed. Milliseconds, default 300,000. Source: Envoy RateLimitedRetryBackOff.max_interval.</summary>
    public long ResetMaxMs { get; init; } = 300_000;

    /// <summary>previous_hosts predicate: another endpoint than before.</summary>
    public bool AvoidPreviousHosts { get; init; }

    /// <summary>omit_canary_hosts predicate.</summary>
    public bool AvoidCanaries { get; init; }

    /// <summary>omit_host_metadata predicate: endpoints that have all of these are avoided.</summary>
    public SubsetMatch AvoidMetadata { get; init; } = SubsetMatch.None;

    /// <summary>previous_priorities: after every so many attempts their priorities are avoided. 0: never.</summary>
    public int PreviousPrioritiesFrequency { get; init; }

    /// <summary>Earlier attempts matter to the choice of the next host.</summary>
    public bool ChoosesHosts => AvoidPreviousHosts || AvoidCanaries || !AvoidMetadata.IsEmpty || PreviousPrioritiesFrequency > 0;

    /// <summary>Default 1. Source: Envoy host_selection_retry_max_attempts.</summary>
    public int HostSelectionAttemptsMax { get; init; } = 1;
}
