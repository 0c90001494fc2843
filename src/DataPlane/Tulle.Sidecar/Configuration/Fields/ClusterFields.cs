using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class ClusterFields
{
    public static readonly MessageFields Cluster = new ProtoFields("envoy.config.cluster.v3.Cluster")
    {
        ["transport_socket_matches"] = Obeyed.Of(() => TransportSocketMatch),
        ["transport_socket_matcher"] = Refused(Later.Policies),
        ["name"] = Obeyed,
        ["alt_stat_name"] = Obeyed,
        ["stats_matcher"] = Refused(Later.Requests),
        ["type"] = Obeyed,
        ["cluster_type"] = Obeyed.Of(() => CustomClusterType),
        ["eds_cluster_config"] = Obeyed.Of(() => EdsClusterConfig),
        ["connect_timeout"] = Obeyed,
        ["per_connection_buffer_limit_bytes"] = Harmless("buffers of a connection have a bound of their own here"),
        ["per_connection_buffer_high_watermark_timeout"] = Refused(Later.Never),
        ["lb_policy"] = Obeyed,
        ["load_assignment"] = Obeyed.Of(() => EndpointFields.ClusterLoadAssignment),
        ["health_checks"] = Obeyed.Of(() => HealthCheckFields.HealthCheck),
        ["max_requests_per_connection"] = Obeyed,
        ["circuit_breakers"] = Obeyed.Of(() => ClusterBalanceFields.CircuitBreakers),
        ["upstream_http_protocol_options"] = Obeyed.Of(() => UpstreamHttpFields.UpstreamHttpProtocolOptions),
        ["common_http_protocol_options"] = Obeyed.Of(() => HttpOptionFields.Upstream),
        ["http_protocol_options"] = Obeyed.Of(() => HttpOptionFields.UpstreamHttp1),
        ["http2_protocol_options"] = Refused(Later.Requests),
        ["typed_extension_protocol_options"] = Obeyed.Of(() => [UpstreamHttpFields.UpstreamOptions]),
        ["dns_refresh_rate"] = Obeyed,
        ["dns_jitter"] = Obeyed,
        ["dns_failure_refresh_rate"] = Obeyed.Of(() => RefreshRate),
        ["respect_dns_ttl"] = Warned("names are looked up every dns_refresh_rate, whatever their TTL says"),
        ["dns_lookup_family"] = Obeyed,
        ["dns_resolvers"] = Refused(Later.Never),
        ["use_tcp_for_dns_lookups"] = Refused(Later.Never),
        ["dns_resolution_config"] = Refused(Later.Never),
        ["typed_dns_resolver_config"] = Warned("the machine's resolver is asked"),
        ["wait_for_warm_on_init"] = Warned("start waits for every cluster"),
        ["outlier_detection"] = Obeyed.Of(() => ClusterBalanceFields.OutlierDetection),
        ["cleanup_interval"] = Harmless("an ORIGINAL_DST cluster keeps no list of hosts that would have to be cleaned"),
        ["upstream_bind_config"] = Obeyed.Of(() => CoreFields.BindConfig),
        ["lb_subset_config"] = Obeyed.Of(() => ClusterBalanceFields.LbSubsetConfig),
        ["ring_hash_lb_config"] = Refused(Later.Policies),
        ["maglev_lb_config"] = Refused(Later.Policies),
        ["original_dst_lb_config"] = Obeyed.Of(() => ClusterBalanceFields.OriginalDstLbConfig),
        ["least_request_lb_config"] = Obeyed.Of(() => ClusterBalanceFields.LeastRequestLbConfig),
        ["round_robin_lb_config"] = Obeyed.Of(() => ClusterBalanceFields.RoundRobinLbConfig),
        ["common_lb_config"] = Obeyed.Of(() => ClusterBalanceFields.CommonLbConfig),
        ["transport_socket"] = Obeyed.Of(() => CoreFields.UpstreamSocket),
        ["metadata"] = Obeyed.Of(() => CoreFields.Metadata),
        ["protocol_selection"] = Refused(Later.Requests),
        ["upstream_connection_options"] = Obeyed.Of(() => ClusterBalanceFields.UpstreamConnectionOptions),
        ["close_connections_on_host_health_failure"] = Obeyed,
        ["ignore_health_on_host_removal"] = Harmless("a host that discovery removes goes at once"),
        ["filters"] = Obeyed.Of(() => UpstreamFilter),
        ["load_balancing_policy"] = Refused(Later.Policies),
        ["lrs_server"] = Warned("load is not reported; it comes with the issue settings"),
        ["lrs_report_endpoint_metrics"] = Warned("load is not reported; it comes with the issue settings"),
        ["track_timeout_budgets"] = Warned("this statistic is not kept"),
        ["upstream_config"] = Refused(Later.Never),
        ["track_cluster_stats"] = Warned("these statistics are not kept"),
        ["preconnect_policy"] = Refused(Later.Safe),
        ["connection_pool_per_downstream_connection"] = Obeyed,
        ["queuing_policies"] = Refused(Later.Never),
    };

    public static readonly MessageFields RefreshRate = new ProtoFields("envoy.config.cluster.v3.Cluster.RefreshRate")
    {
        ["base_interval"] = Obeyed,
        ["max_interval"] = Warned("a failed look-up is tried again every base_interval"),
    };

    public static readonly MessageFields TransportSocketMatch = new ProtoFields("envoy.config.cluster.v3.Cluster.TransportSocketMatch")
    {
        ["name"] = Obeyed,
        ["match"] = Obeyed,
        ["transport_socket"] = Obeyed.Of(() => CoreFields.UpstreamSocket),
    };

    public static readonly MessageFields CustomClusterType = new ProtoFields("envoy.config.cluster.v3.Cluster.CustomClusterType")
    {
        ["name"] = Obeyed,
        ["typed_config"] = Obeyed.Of(() => [Aggregate]),
    };

    public static readonly MessageFields Aggregate = new ProtoFields("envoy.extensions.clusters.aggregate.v3.ClusterConfig")
    {
        ["clusters"] = Obeyed,
    };

    public static readonly MessageFields EdsClusterConfig = new ProtoFields("envoy.config.cluster.v3.Cluster.EdsClusterConfig")
    {
        ["eds_config"] = Obeyed.Of(() => ConfigSourceFields.ConfigSource),
        ["service_name"] = Obeyed,
    };

    public static readonly MessageFields UpstreamFilter = new ProtoFields("envoy.config.cluster.v3.Filter")
    {
        ["name"] = Obeyed,
        ["typed_config"] = Obeyed.Of(() => [NetworkFilterFields.MetadataExchange]),
        ["config_discovery"] = Refused(Later.Policies),
    };
}
