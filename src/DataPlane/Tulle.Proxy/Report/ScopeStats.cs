namespace Tulle.Proxy;

/// <summary>Counters of one HTTP connection manager.</summary>
public sealed class HttpStats
{
    public HttpStats(StatsStore store, string prefix)
    {
        Stat C(string leaf) => store.Counter(StatScope.Http, prefix, leaf);
        Stat G(string leaf) => store.Gauge(StatScope.Http, prefix, leaf);
        ConnectionTotal = C("downstream_cx_total");
        ConnectionActive = G("downstream_cx_active");
        ConnectionDestroy = C("downstream_cx_destroy");
        ConnectionIdleTimeout = C("downstream_cx_idle_timeout");
        ConnectionProtocolError = C("downstream_cx_protocol_error");
        ConnectionDrainClose = C("downstream_cx_drain_close");
        BytesReceived = C("downstream_cx_rx_bytes_total");
        BytesSent = C("downstream_cx_tx_bytes_total");
        RequestTotal = C("downstream_rq_total");
        RequestActive = G("downstream_rq_active");
        RequestCompleted = C("downstream_rq_completed");
        RequestHttp1 = C("downstream_rq_http1_total");
        RequestTimeout = C("downstream_rq_timeout");
        RequestIdleTimeout = C("downstream_rq_idle_timeout");
        RequestMaxDuration = C("downstream_rq_max_duration_reached");
        ConnectionMaxDuration = C("downstream_cx_max_duration_reached");
        HeadTimeout = C("downstream_rq_header_timeout");
        TurnBudgetSpent = C("downstream_cx_turn_budget_spent");
        RequestReset = C("downstream_rq_rx_reset");
        NoRoute = C("no_route");
        NoCluster = C("no_cluster");
        Redirects = C("rq_redirect");
        DirectResponses = C("rq_direct_response");
        RequestClass = [C("downstream_rq_1xx"), C("downstream_rq_2xx"), C("downstream_rq_3xx"), C("downstream_rq_4xx"), C("downstream_rq_5xx")];
    }

    public Stat ConnectionTotal { get; }
    public Stat ConnectionActive { get; }
    public Stat ConnectionDestroy { get; }
    public Stat ConnectionIdleTimeout { get; }
    public Stat ConnectionProtocolError { get; }
    public Stat ConnectionDrainClose { get; }
    public Stat BytesReceived { get; }
    public Stat BytesSent { get; }
    public Stat RequestTotal { get; }
    public Stat RequestActive { get; }
    public Stat RequestCompleted { get; }
    public Stat RequestHttp1 { get; }
    public Stat RequestTimeout { get; }
    public Stat RequestIdleTimeout { get; }
    public Stat RequestMaxDuration { get; }
    public Stat ConnectionMaxDuration { get; }
    public Stat HeadTimeout { get; }

    /// <summary>How often a connection used up what one turn of its loop allows and went on behind the others.</summary>
    public Stat TurnBudgetSpent { get; }
    public Stat RequestReset { get; }
    public Stat NoRoute { get; }
    public Stat NoCluster { get; }
    public Stat Redirects { get; }
    public Stat DirectResponses { get; }
    public Stat[] RequestClass { get; }
}

/// <summary>Counters of one upstream cluster.</summary>
public sealed class ClusterStats
{
    private readonly Stat?[] _byCode = new Stat?[600];
    private readonly StatsStore _store;
    private readonly string _name;

    public ClusterStats(StatsStore store, string name)
    {
        _store = store;
        _name = name;
        Stat C(string leaf) => store.Counter(StatScope.Cluster, name, leaf);
        Stat G(string leaf) => store.Gauge(StatScope.Cluster, name, leaf);
        ConnectionTotal = C("upstream_cx_total");
        ConnectionActive = G("upstream_cx_active");
        ConnectionHttp1 = C("upstream_cx_http1_total");
        ConnectFail = C("upstream_cx_connect_fail");
        ConnectTimeout = C("upstream_cx_connect_timeout");
        ConnectionDestroy = C("upstream_cx_destroy");
        ConnectionIdleTimeout = C("upstream_cx_idle_timeout");
        ConnectionMaxRequests = C("upstream_cx_max_requests");
        ConnectionOverflow = C("upstream_cx_overflow");
        ConnectionProtocolError = C("upstream_cx_protocol_error");
        BytesReceived = C("upstream_cx_rx_bytes_total");
        BytesSent = C("upstream_cx_tx_bytes_total");
        RequestTotal = C("upstream_rq_total");
        RequestActive = G("upstream_rq_active");
        RequestCompleted = C("upstream_rq_completed");
        RequestPendingTotal = C("upstream_rq_pending_total");
        RequestPendingActive = G("upstream_rq_pending_active");
        RequestPendingOverflow = C("upstream_rq_pending_overflow");
        RequestTimeout = C("upstream_rq_timeout");
        RequestPerTryTimeout = C("upstream_rq_per_try_timeout");
        RequestPerTryIdleTimeout = C("upstream_rq_per_try_idle_timeout");
        RequestMaxDuration = C("upstream_rq_max_duration_reached");
        RequestRetry = C("upstream_rq_retry");
        RequestRetrySuccess = C("upstream_rq_retry_success");
        RequestRetryOverflow = C("upstream_rq_retry_overflow");
        RequestRetryLimit = C("upstream_rq_retry_limit_exceeded");
        RetryBufferFull = C("retry_or_shadow_abandoned");
        RequestReset = C("upstream_rq_rx_reset");
        RequestCancelled = C("upstream_rq_cancelled");
        NoneHealthy = C("upstream_cx_none_healthy");
        HealthyPanic = C("lb_healthy_panic");
        SubsetsFallback = C("lb_subsets_fallback");
        MembershipTotal = G("membership_total");
        MembershipHealthy = G("membership_healthy");
        MembershipChange = C("membership_change");
        MembershipDegraded = G("membership_degraded");
        MembershipExcluded = G("membership_excluded");
        SubsetsActive = G("lb_subsets_active");
        SubsetsSelected = C("lb_subsets_selected");
        SubsetsPanic = C("lb_subsets_fallback_panic");
        TlsHandshake = C("ssl.handshake");
        TlsReused = C("ssl.session_reused");
        TlsFail = C("ssl.connection_error");
        RequestClass = [C("upstream_rq_1xx"), C("upstream_rq_2xx"), C("upstream_rq_3xx"), C("upstream_rq_4xx"), C("upstream_rq_5xx")];
    }

    public Stat ConnectionTotal { get; }
    public Stat ConnectionActive { get; }
    public Stat ConnectionHttp1 { get; }
    public Stat ConnectFail { get; }
    public Stat ConnectTimeout { get; }
    public Stat ConnectionDestroy { get; }
    public Stat ConnectionIdleTimeout { get; }
    public Stat ConnectionMaxRequests { get; }
    public Stat ConnectionOverflow { get; }
    public Stat ConnectionProtocolError { get; }
    public Stat BytesReceived { get; }
    public Stat BytesSent { get; }
    public Stat RequestTotal { get; }
    public Stat RequestActive { get; }
    public Stat RequestCompleted { get; }
    public Stat RequestPendingTotal { get; }
    public Stat RequestPendingActive { get; }
    public Stat RequestPendingOverflow { get; }
    public Stat RequestTimeout { get; }
    public Stat RequestPerTryTimeout { get; }
    public Stat RequestPerTryIdleTimeout { get; }
    public Stat RequestMaxDuration { get; }
    public Stat RequestRetry { get; }
    public Stat RequestRetrySuccess { get; }
    public Stat RequestRetryOverflow { get; }
    public Stat RequestRetryLimit { get; }

    /// <summary>Requests that could not be retried any more because their bodies were too long to be kept (Envoy's name).</summary>
    public Stat RetryBufferFull { get; }
    public Stat RequestReset { get; }
    public Stat RequestCancelled { get; }
    public Stat NoneHealthy { get; }
    public Stat HealthyPanic { get; }
    public Stat SubsetsFallback { get; }
    public Stat MembershipTotal { get; }
    public Stat MembershipHealthy { get; }
    public Stat MembershipChange { get; }
    public Stat MembershipDegraded { get; }
    public Stat MembershipExcluded { get; }
    public Stat SubsetsActive { get; }
    public Stat SubsetsSelected { get; }
    public Stat SubsetsPanic { get; }
    public Stat TlsHandshake { get; }
    public Stat TlsReused { get; }
    public Stat TlsFail { get; }
    public Stat[] RequestClass { get; }

    /// <summary>upstream_rq_NNN; made when a code is first seen.</summary>
    public Stat Code(int status)
    {
        if ((uint)status >= (uint)_byCode.Length)
            status = 599;
        return _byCode[status] ??= _store.Counter(StatScope.Cluster, _name, $"upstream_rq_{status}");
    }
}

/// <summary>Counters of one listener.</summary>
public sealed class ListenerStats
{
    public ListenerStats(StatsStore store, string name)
    {
        Stat C(string leaf) => store.Counter(StatScope.Listener, name, leaf);
        ConnectionTotal = C("downstream_cx_total");
        ConnectionActive = store.Gauge(StatScope.Listener, name, "downstream_cx_active");
        ConnectionDestroy = C("downstream_cx_destroy");
        ConnectionOverflow = C("downstream_cx_overflow");
        NoFilterChain = C("no_filter_chain_match");
        FiltersTimeout = C("downstream_pre_cx_timeout");
        TlsHandshake = C("ssl.handshake");
        TlsReused = C("ssl.session_reused");
        TlsConnectionError = C("ssl.connection_error");
        TlsVerifyFailed = C("ssl.fail_verify_san");
    }

    public Stat ConnectionTotal { get; }
    public Stat ConnectionActive { get; }
    public Stat ConnectionDestroy { get; }
    public Stat ConnectionOverflow { get; }
    public Stat NoFilterChain { get; }
    public Stat FiltersTimeout { get; }
    public Stat TlsHandshake { get; }
    public Stat TlsReused { get; }
    public Stat TlsConnectionError { get; }
    public Stat TlsVerifyFailed { get; }
}

/// <summary>Counters of HTTP requests by listener: listener.NAME.http.PREFIX.…</summary>
public sealed class ListenerHttpStats
{
    public ListenerHttpStats(StatsStore store, string listener, string prefix)
    {
        Stat C(string leaf) => store.Counter(StatScope.Listener, listener, $"http.{prefix}.{leaf}");
        RequestClass = [C("downstream_rq_1xx"), C("downstream_rq_2xx"), C("downstream_rq_3xx"), C("downstream_rq_4xx"), C("downstream_rq_5xx")];
        RequestCompleted = C("downstream_rq_completed");
    }

    public Stat[] RequestClass { get; }

    public Stat RequestCompleted { get; }
}

/// <summary>Counters of one tcp_proxy.</summary>
public sealed class TcpStats
{
    public TcpStats(StatsStore store, string prefix)
    {
        Stat C(string leaf) => store.Counter(StatScope.Tcp, prefix, leaf);
        ConnectionTotal = C("downstream_cx_total");
        NoRoute = C("downstream_cx_no_route");
        BytesReceived = C("downstream_cx_rx_bytes_total");
        BytesSent = C("downstream_cx_tx_bytes_total");
        IdleTimeout = C("idle_timeout");
        MaxConnect = C("max_downstream_connection_duration");
    }

    public Stat ConnectionTotal { get; }
    public Stat NoRoute { get; }
    public Stat BytesReceived { get; }
    public Stat BytesSent { get; }
    public Stat IdleTimeout { get; }
    public Stat MaxConnect { get; }
}
