namespace Tulle.Base;

/// <summary>Who caused an ending.</summary>
public enum FailureSide : byte
{
    None,
    Downstream,
    Upstream,
    Proxy,
}

/// <summary>The step of a request at which it ended; the steps of docs/request-flow.md.</summary>
public enum FailureStage : byte
{
    None,
    Accept,
    Sniff,
    Terminate,
    Decode,
    Route,
    Authorize,
    Limit,
    Balance,
    Connect,
    Encode,
    Relay,
    Report,
}

/// <summary>Why something ended. Each value maps one to one to an access-log flag and a detail text (see <see cref="Failures"/>).</summary>
public enum FailureReason : byte
{
    None,
    NoRoute,
    ClusterNotFound,
    NoHealthyUpstream,
    ConnectFailed,
    ConnectTimeout,
    UpstreamClosed,
    UpstreamReset,
    UpstreamProtocol,
    ResponseTimeout,
    PerTryTimeout,
    StreamIdle,
    RequestTimeout,
    MaxDuration,
    Overflow,
    RetryLimit,
    DownstreamProtocol,
    DownstreamClosed,
    HeadersTooLarge,
    ConnectionLimit,
    PeerUntrusted,
    UpgradeFailed,
    MissingHost,
    VersionUnsupported,
    TlsFailed,
    RbacDenied,
    NoFilterChain,
    BodyTooLarge,
    InvalidSteering,
    PerTryIdle,
    StreamDuration,
    UpstreamDuration,
}

/// <summary>One ending of a request or connection, as plain data.</summary>
/// <param name="Side">Who caused it.</param>
/// <param name="Stage">At which step.</param>
/// <param name="Reason">Why.</param>
/// <param name="Retry">Whether another try may succeed and is safe.</param>
/// <param name="OsError">errno of the failed call, 0 when there was none.</param>
public readonly record struct Failure(FailureSide Side, FailureStage Stage, FailureReason Reason, bool Retry = false, int OsError = 0)
{
    public static Failure None => default;

    public bool IsNone => Reason == FailureReason.None;
}

/// <summary>The words of the access log for each reason. Flags and details are Envoy's.</summary>
public static class Failures
{
    public static string Flag(FailureReason reason) => reason switch
    {
        FailureReason.NoRoute or FailureReason.NoFilterChain => "NR",
        FailureReason.ClusterNotFound => "NC",
        FailureReason.NoHealthyUpstream => "UH",
        FailureReason.ConnectFailed or FailureReason.ConnectTimeout or FailureReason.TlsFailed => "UF",
        FailureReason.UpstreamClosed => "UC",
        FailureReason.UpstreamReset => "UR",
        FailureReason.UpstreamProtocol => "UPE",
        FailureReason.ResponseTimeout or FailureReason.PerTryTimeout or FailureReason.PerTryIdle => "UT",
        FailureReason.UpstreamDuration => "UMSDR",
        FailureReason.StreamIdle => "SI",
        FailureReason.MaxDuration => "DT",
        FailureReason.Overflow => "UO",
        FailureReason.RetryLimit => "URX",
        FailureReason.DownstreamProtocol or FailureReason.HeadersTooLarge => "DPE",
        FailureReason.DownstreamClosed => "DC",
        FailureReason.InvalidSteering => "IH",
        _ => "-",
    };

    public static string Details(FailureReason reason) => reason switch
    {
        FailureReason.NoRoute => "route_not_found",
        FailureReason.NoFilterChain => "filter_chain_not_found",
        FailureReason.ClusterNotFound => "cluster_not_found",
        FailureReason.NoHealthyUpstream => "no_healthy_upstream",
        FailureReason.ResponseTimeout => "response_timeout",
        FailureReason.PerTryTimeout => "upstream_per_try_timeout",
        FailureReason.StreamIdle => "stream_idle_timeout",
        FailureReason.RequestTimeout => "request_overall_timeout",
        FailureReason.PerTryIdle => "upstream_per_try_idle_timeout",
        FailureReason.MaxDuration or FailureReason.StreamDuration => "max_duration_timeout",
        FailureReason.UpstreamDuration => "upstream_max_stream_duration_reached",
        FailureReason.DownstreamClosed => "downstream_remote_disconnect",
        FailureReason.HeadersTooLarge => "http1.headers_too_large",
        FailureReason.DownstreamProtocol => "http1.codec_error",
        FailureReason.UpgradeFailed => "upgrade_failed",
        FailureReason.MissingHost => "missing_host_header",
        FailureReason.VersionUnsupported => "low_version",
        FailureReason.RbacDenied => "rbac_access_denied",
        FailureReason.BodyTooLarge => "request_payload_too_large",
        _ => "",
    };

    /// <summary>What the answer to the client says behind "reset reason:" and the details say in braces.</summary>
    public static string ResetWords(FailureReason reason) => reason switch
    {
        FailureReason.ConnectFailed or FailureReason.TlsFailed => "remote connection failure",
        FailureReason.ConnectTimeout => "connection timeout",
        FailureReason.UpstreamClosed => "connection termination",
        FailureReason.UpstreamReset => "remote reset",
        FailureReason.UpstreamProtocol => "protocol error",
        FailureReason.Overflow => "overflow",
        _ => "connection termination",
    };
}
