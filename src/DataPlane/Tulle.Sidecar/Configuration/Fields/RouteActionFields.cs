using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class RouteActionFields
{
    public static readonly MessageFields RouteAction = new ProtoFields("envoy.config.route.v3.RouteAction")
    {
        ["cluster"] = Obeyed,
        ["cluster_header"] = Obeyed,
        ["weighted_clusters"] = Obeyed.Of(() => WeightedCluster),
        ["cluster_specifier_plugin"] = Refused(Later.Policies),
        ["inline_cluster_specifier_plugin"] = Refused(Later.Policies),
        ["cluster_not_found_response_code"] = Obeyed,
        ["metadata_match"] = Obeyed.Of(() => CoreFields.Metadata),
        ["prefix_rewrite"] = Obeyed,
        ["regex_rewrite"] = Obeyed.Of(() => MatcherFields.RegexMatchAndSubstitute),
        ["path_rewrite_policy"] = Refused(Later.Policies),
        ["path_rewrite"] = Refused(Later.Policies),
        ["host_rewrite_literal"] = Obeyed,
        ["auto_host_rewrite"] = Obeyed,
        ["host_rewrite_header"] = Obeyed,
        ["host_rewrite_path_regex"] = Refused(Later.Policies),
        ["host_rewrite"] = Refused(Later.Policies),
        ["append_x_forwarded_host"] = Obeyed,
        ["timeout"] = Obeyed,
        ["idle_timeout"] = Obeyed,
        ["flush_timeout"] = Warned("idle_timeout holds"),
        ["early_data_policy"] = Warned("early data is not taken"),
        ["retry_policy"] = Obeyed.Of(() => RetryPolicy),
        ["retry_policy_typed_config"] = Refused(Later.Never),
        ["request_mirror_policies"] = Refused(Later.Requests),
        ["priority"] = Obeyed,
        ["rate_limits"] = Refused(Later.Policies),
        ["include_vh_rate_limits"] = Refused(Later.Policies),
        ["hash_policy"] = Refused(Later.Policies),
        ["cors"] = Refused(Later.Requests),
        ["max_grpc_timeout"] = Warned("a gRPC call's own time-out is not looked at; max_stream_duration and timeout hold"),
        ["grpc_timeout_offset"] = Refused(Later.Safe),
        ["upgrade_configs"] = Obeyed.Of(() => RouteUpgrade),
        ["internal_redirect_policy"] = Refused(Later.Policies),
        ["internal_redirect_action"] = Refused(Later.Policies),
        ["max_internal_redirects"] = Refused(Later.Policies),
        ["hedge_policy"] = Refused(Later.Policies),
        ["max_stream_duration"] = Obeyed.Of(() => MaxStreamDuration),
    };

    public static readonly MessageFields RouteUpgrade = new ProtoFields("envoy.config.route.v3.RouteAction.UpgradeConfig")
    {
        ["upgrade_type"] = Obeyed,
        ["enabled"] = Obeyed,
        ["connect_config"] = Obeyed.Of(() => ConnectConfig),
    };

    public static readonly MessageFields ConnectConfig = new ProtoFields("envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig")
    {
        ["proxy_protocol_config"] = Refused(Later.Transports),
        ["allow_post"] = Refused(Later.Transports),
    };

    public static readonly MessageFields MaxStreamDuration = new ProtoFields("envoy.config.route.v3.RouteAction.MaxStreamDuration")
    {
        ["max_stream_duration"] = Obeyed,
        ["grpc_timeout_header_max"] = Warned("a gRPC call's own time-out is not looked at"),
        ["grpc_timeout_header_offset"] = Refused(Later.Safe),
    };

    public static readonly MessageFields WeightedCluster = new ProtoFields("envoy.config.route.v3.WeightedCluster")
    {
        ["clusters"] = Obeyed.Of(() => ClusterWeight),
        ["total_weight"] = Refused(Later.Never),
        ["runtime_key_prefix"] = Warned("no runtime key overrides a weight; that comes with the issue requests"),
        ["header_name"] = Refused(Later.Policies),
        ["use_hash_policy"] = Refused(Later.Policies),
    };

    public static readonly MessageFields ClusterWeight = new ProtoFields("envoy.config.route.v3.WeightedCluster.ClusterWeight")
    {
        ["name"] = Obeyed,
        ["cluster_header"] = Refused(Later.Policies),
        ["weight"] = Obeyed,
        ["metadata_match"] = Obeyed.Of(() => CoreFields.Metadata),
        ["request_headers_to_add"] = Obeyed.Of(() => CoreFields.HeaderValueOption),
        ["request_headers_to_remove"] = Obeyed,
        ["response_headers_to_add"] = Obeyed.Of(() => CoreFields.HeaderValueOption),
        ["response_headers_to_remove"] = Obeyed,
        ["typed_per_filter_config"] = Obeyed.Of(() => [HttpFilterFields.Fault, HttpFilterFields.CorsPolicy]),
        ["host_rewrite_literal"] = Obeyed,
    };

    public static readonly MessageFields RetryPolicy = new ProtoFields("envoy.config.route.v3.RetryPolicy")
    {
        ["retry_on"] = Obeyed,
        ["num_retries"] = Obeyed,
        ["per_try_timeout"] = Obeyed,
        ["per_try_idle_timeout"] = Obeyed,
        ["retry_priority"] = Obeyed.Of(() => RetryPriority),
        ["retry_host_predicate"] = Obeyed.Of(() => RetryHostPredicate),
        ["retry_options_predicates"] = Refused(Later.Never),
        ["host_selection_retry_max_attempts"] = Obeyed,
        ["retriable_status_codes"] = Obeyed,
        ["retry_back_off"] = Obeyed.Of(() => RetryBackOff),
        ["rate_limited_retry_back_off"] = Obeyed.Of(() => RateLimitedRetryBackOff),
        ["retriable_headers"] = Obeyed.Of(() => RouteTableFields.HeaderMatcher),
        ["retriable_request_headers"] = Obeyed.Of(() => RouteTableFields.HeaderMatcher),
        ["refresh_cluster_on_retry"] = Refused(Later.Never),
    };

    public static readonly MessageFields RetryHostPredicate = new ProtoFields("envoy.config.route.v3.RetryPolicy.RetryHostPredicate")
    {
        ["name"] = Obeyed,
        ["typed_config"] = Obeyed.Of(() => [PreviousHostsPredicate, OmitCanaryHostsPredicate, OmitHostMetadata]),
    };

    public static readonly MessageFields RetryBackOff = new ProtoFields("envoy.config.route.v3.RetryPolicy.RetryBackOff")
    {
        ["base_interval"] = Obeyed,
        ["max_interval"] = Obeyed,
    };

    public static readonly MessageFields PreviousHostsPredicate = new ProtoFields("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate")
    {
    };

    public static readonly MessageFields OmitCanaryHostsPredicate = new ProtoFields("envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate")
    {
    };

    public static readonly MessageFields OmitHostMetadata = new ProtoFields("envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig")
    {
        ["metadata_match"] = Obeyed.Of(() => CoreFields.Metadata),
    };

    public static readonly MessageFields RetryPriority = new ProtoFields("envoy.config.route.v3.RetryPolicy.RetryPriority")
    {
        ["name"] = Obeyed,
        ["typed_config"] = Obeyed.Of(() => [PreviousPriorities]),
    };

    public static readonly MessageFields PreviousPriorities = new ProtoFields("envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig")
    {
        ["update_frequency"] = Obeyed,
    };

    public static readonly MessageFields RateLimitedRetryBackOff = new ProtoFields("envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff")
    {
        ["reset_headers"] = Obeyed.Of(() => ResetHeader),
        ["max_interval"] = Obeyed,
    };

    public static readonly MessageFields ResetHeader = new ProtoFields("envoy.config.route.v3.RetryPolicy.ResetHeader")
    {
        ["name"] = Obeyed,
        ["format"] = Obeyed,
    };
}
