using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class ClusterBalanceFields
{
    public static readonly MessageFields LbSubsetConfig = new ProtoFields("envoy.config.cluster.v3.Cluster.LbSubsetConfig")
    {
        ["fallback_policy"] = Obeyed,
        ["default_subset"] = Obeyed,
        ["subset_selectors"] = Obeyed.Of(() => LbSubsetSelector),
        ["locality_weight_aware"] = Obeyed,
        ["scale_locality_weight"] = Refused(Later.Policies),
        ["panic_mode_any"] = Obeyed,
        ["list_as_any"] = Obeyed,
        ["metadata_fallback_policy"] = Refused(Later.Policies),
    };

    public static readonly MessageFields LbSubsetSelector = new ProtoFields("envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector")
    {
        ["keys"] = Obeyed,
        ["single_host_per_subset"] = Refused(Later.Policies),
        ["fallback_policy"] = Obeyed,
        ["fallback_keys_subset"] = Obeyed,
    };

    public static readonly MessageFields RoundRobinLbConfig = new ProtoFields("envoy.config.cluster.v3.Cluster.RoundRobinLbConfig")
    {
        ["slow_start_config"] = Warned("new hosts get their whole share at once; it comes with the issue policies"),
    };

    public static readonly MessageFields LeastRequestLbConfig = new ProtoFields("envoy.config.cluster.v3.Cluster.LeastRequestLbConfig")
    {
        ["choice_count"] = Obeyed,
        ["active_request_bias"] = Obeyed.Of(() => CoreFields.RuntimeDouble),
        ["slow_start_config"] = Warned("new hosts get their whole share at once; it comes with the issue policies"),
    };

    public static readonly MessageFields OriginalDstLbConfig = new ProtoFields("envoy.config.cluster.v3.Cluster.OriginalDstLbConfig")
    {
        ["use_http_header"] = Refused(Later.Transports),
        ["http_header_name"] = Refused(Later.Transports),
        ["upstream_port_override"] = Obeyed,
        ["metadata_key"] = Refused(Later.Transports),
    };

    public static readonly MessageFields CommonLbConfig = new ProtoFields("envoy.config.cluster.v3.Cluster.CommonLbConfig")
    {
        ["healthy_panic_threshold"] = Obeyed.Of(() => CoreFields.Percent),
        ["zone_aware_lb_config"] = Refused(Later.Policies),
        ["locality_weighted_lb_config"] = Obeyed.Of(() => LocalityWeightedLbConfig),
        ["update_merge_window"] = Harmless("updates are taken as they come, many in one turn at once"),
        ["ignore_new_hosts_until_first_hc"] = Obeyed,
        ["close_connections_on_host_set_change"] = Refused(Later.Policies),
        ["consistent_hashing_lb_config"] = Refused(Later.Policies),
        ["override_host_status"] = Refused(Later.Policies),
    };

    public static readonly MessageFields LocalityWeightedLbConfig = new ProtoFields("envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig")
    {
    };

    public static readonly MessageFields CircuitBreakers = new ProtoFields("envoy.config.cluster.v3.CircuitBreakers")
    {
        ["thresholds"] = Obeyed.Of(() => Thresholds),
        ["per_host_thresholds"] = Obeyed.Of(() => Thresholds),
    };

    public static readonly MessageFields Thresholds = new ProtoFields("envoy.config.cluster.v3.CircuitBreakers.Thresholds")
    {
        ["priority"] = Obeyed,
        ["max_connections"] = Obeyed,
        ["max_pending_requests"] = Obeyed,
        ["max_requests"] = Obeyed,
        ["max_retries"] = Obeyed,
        ["retry_budget"] = Obeyed.Of(() => RetryBudget),
        ["track_remaining"] = Warned("the gauges of what remains are not kept; they come with the issue requests"),
        ["max_connection_pools"] = Refused(Later.Safe),
    };

    public static readonly MessageFields RetryBudget = new ProtoFields("envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget")
    {
        ["budget_percent"] = Obeyed.Of(() => CoreFields.Percent),
        ["budget_interval"] = Refused(Later.Never),
        ["min_retry_concurrency"] = Obeyed,
    };

    public static readonly MessageFields OutlierDetection = new ProtoFields("envoy.config.cluster.v3.OutlierDetection")
    {
        ["consecutive_5xx"] = Obeyed,
        ["interval"] = Obeyed,
        ["base_ejection_time"] = Obeyed,
        ["max_ejection_percent"] = Obeyed,
        ["enforcing_consecutive_5xx"] = Obeyed,
        ["enforcing_success_rate"] = Obeyed,
        ["success_rate_minimum_hosts"] = Obeyed,
        ["success_rate_request_volume"] = Obeyed,
        ["success_rate_stdev_factor"] = Obeyed,
        ["consecutive_gateway_failure"] = Obeyed,
        ["enforcing_consecutive_gateway_failure"] = Obeyed,
        ["split_external_local_origin_errors"] = Obeyed,
        ["consecutive_local_origin_failure"] = Obeyed,
        ["enforcing_consecutive_local_origin_failure"] = Obeyed,
        ["enforcing_local_origin_success_rate"] = Obeyed,
        ["failure_percentage_threshold"] = Obeyed,
        ["enforcing_failure_percentage"] = Obeyed,
        ["enforcing_failure_percentage_local_origin"] = Obeyed,
        ["failure_percentage_minimum_hosts"] = Obeyed,
        ["failure_percentage_request_volume"] = Obeyed,
        ["max_ejection_time"] = Obeyed,
        ["max_ejection_time_jitter"] = Obeyed,
        ["successful_active_health_check_uneject_host"] = Obeyed,
        ["monitors"] = Refused(Later.Never),
        ["always_eject_one_host"] = Obeyed,
        ["detect_degraded_hosts"] = Refused(Later.Never),
    };

    public static readonly MessageFields UpstreamConnectionOptions = new ProtoFields("envoy.config.cluster.v3.UpstreamConnectionOptions")
    {
        ["tcp_keepalive"] = Obeyed.Of(() => CoreFields.TcpKeepalive),
        ["set_local_interface_name_on_upstream_connections"] = Refused(Later.Never),
        ["happy_eyeballs_config"] = Refused(Later.Never),
    };
}
