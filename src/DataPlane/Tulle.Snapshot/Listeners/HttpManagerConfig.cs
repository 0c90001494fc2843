namespace Tulle.Snapshot;

public enum ServerHeaderMode : byte
{
    Overwrite,
    AppendIfAbsent,
    PassThrough,
}

public enum ClientCertificateForwarding : byte
{
    Sanitize,
    ForwardOnly,
    AppendForward,
    SanitizeSet,
    AlwaysForwardOnly,
}

public enum EscapedSlashes : byte
{
    Keep,
    Reject,
    UnescapeAndRedirect,
    UnescapeAndForward,
}

/// <summary>The HTTP connection manager of a filter chain.</summary>
public sealed class HttpManagerConfig
{
    public required string StatPrefix { get; init; }

    /// <summary>Routes given in place; null when they come by name.</summary>
    public RouteTable? InlineRoutes { get; init; }

    /// <summary>Name of the routes in the snapshot.</summary>
    public string RouteName { get; init; } = "";

    public IReadOnlyList<AccessLogConfig> AccessLogs { get; init; } = [];

    public bool UseRemoteAddress { get; init; }

    public int TrustedHops { get; init; }

    public bool SkipForwardedForAppend { get; init; }

    public byte[] ServerName { get; init; } = "envoy"u8.ToArray();

    public ServerHeaderMode ServerHeader { get; init; }

    public byte[] Via { get; init; } = [];

    public bool NormalizePath { get; init; }

    public bool MergeSlashes { get; init; }

    public EscapedSlashes EscapedSlashes { get; init; }

    public bool AcceptHttp10 { get; init; }

    public bool EnableTrailers { get; init; }

    /// <summary>Bytes of a request head. Default 61,440. Source: Envoy max_request_headers_kb. Excess: 431.</summary>
    public int HeadBytesMax { get; init; } = 60 * 1024;

    /// <summary>Fields of a request. Default 100. Source: Envoy common_http_protocol_options.max_headers_count. Excess: 431.</summary>
    public int HeadFieldsMax { get; init; } = 100;

    /// <summary>Milliseconds a connection without a request stays. Default 3,600,000. Source: Envoy. 0 is for ever.</summary>
    public long IdleTimeoutMs { get; init; } = 3_600_000;

    /// <summary>Milliseconds until the whole request must have come; 0 (default) is no limit. Excess: 408.</summary>
    public long RequestTimeoutMs { get; init; }

    /// <summary>Milliseconds until the head must have come; 0 (default) is no limit. Excess: 408.</summary>
    public long HeadTimeoutMs { get; init; }

    /// <summary>Milliseconds without progress on a request. Default 300,000. Source: Envoy stream_idle_timeout. 0 is no limit. Excess: 504 or 408.</summary>
    public long StreamIdleTimeoutMs { get; init; } = 300_000;

    /// <summary>Milliseconds a request may live in all, from its first byte; 0 (default) is no limit. Source: Envoy max_stream_duration. Excess: 504 or 408.</summary>
    public long MaxStreamDurationMs { get; init; }

    /// <summary>
    /// Milliseconds after which a connection drains: answers say Connection: close, and an idle one is closed when the drain timeout has passed too.
    /// 0 (default) is no limit. Source: Envoy max_connection_duration.
    /// </summary>
    public long MaxConnectionDurationMs { get; init; }

    /// <summary>Milliseconds a drained connection may live on. Default 5,000. Source: Envoy drain_timeout.</summary>
    public long DrainTimeoutMs { get; init; } = 5000;

    /// <summary>Milliseconds after a last answer in which the peer may close first. Default 1,000. Source: Envoy delayed_close_timeout.</summary>
    public long DelayedCloseMs { get; init; } = 1000;

    /// <summary>Requests on one connection; 0 (default) is any number.</summary>
    public int RequestsPerConnectionMax { get; init; }

    public RequestRulesConfig Rules { get; init; } = RequestRulesConfig.None;

    /// <summary>Router: the time that another proxy expects is the request's time-out. Source: Envoy respect_expected_rq_timeout.</summary>
    public bool RespectExpectedTimeout { get; init; }

    /// <summary>Router: steering fields (lower case) that are refused (400) when they make no sense. Source: Envoy strict_check_headers.</summary>
    public IReadOnlyList<byte[]> StrictFields { get; init; } = [];

    public bool GenerateRequestId { get; init; } = true;

    public bool PreserveExternalRequestId { get; init; }

    public bool AlwaysSetRequestIdInResponse { get; init; }

    public bool Proxy100Continue { get; init; }

    public ClientCertificateForwarding ForwardClientCertificate { get; init; }

    public bool SetCertificateSubject { get; init; }

    public bool SetCertificateUri { get; init; }

    public bool SetCertificateDns { get; init; }

    public bool SetCertificateHash { get; init; }

    /// <summary>Upgrade types in lower case that are allowed; "connect" for CONNECT.</summary>
    public IReadOnlyList<string> Upgrades { get; init; } = [];

    /// <summary>Router: no x-envoy-* headers are added.</summary>
    public bool SuppressEnvoyHeaders { get; init; }

    /// <summary>istio.alpn: ALPN offered upstream instead of the cluster's; empty leaves it.</summary>
    public IReadOnlyList<string> UpstreamAlpn { get; init; } = [];

    /// <summary>istio.metadata_exchange: what the other side's sidecar says of its workload is read and taken off.</summary>
    public bool PeerMetadata { get; init; }

    /// <summary>istio.metadata_exchange: this side says its own.</summary>
    public PeerPropagation PeerPropagation { get; init; }

    /// <summary>istio.stats is in the chain.</summary>
    public bool IstioStats { get; init; }

    /// <summary>This side of the mesh: outbound managers report as source, inbound ones as destination.</summary>
    public bool IsInbound { get; init; }
}

/// <summary>Whom a manager tells of its own workload. Source: io.istio.http.peer_metadata.Config, istio_headers and its skip_external_clusters.</summary>
public enum PeerPropagation : byte
{
    None,
    Everybody,

    /// <summary>Only clusters that stand for a service of the mesh.</summary>
    Services,
}
