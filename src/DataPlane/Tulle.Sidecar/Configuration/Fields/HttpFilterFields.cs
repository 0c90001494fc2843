using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class HttpFilterFields
{
    public static readonly MessageFields HttpFilter = new ProtoFields("envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter")
    {
        ["name"] = Obeyed,
        ["typed_config"] = Obeyed.Of(() =>
        [
            Router,
            GrpcStats,
            Cors,
            Fault,
            PeerMetadata,
            NetworkFilterFields.IstioStats,
            Alpn,
            Compressor,
        ]),
        ["config_discovery"] = Refused(Later.Policies),
        ["is_optional"] = Obeyed,
        ["disabled"] = Obeyed,
    };

    public static readonly MessageFields Router = new ProtoFields("envoy.extensions.filters.http.router.v3.Router")
    {
        ["dynamic_stats"] = Warned("dynamic statistics of clusters are kept always"),
        ["start_child_span"] = Warned("nothing is traced yet"),
        ["upstream_log"] = Warned("one line per request is written, none per attempt; that comes with the issue requests"),
        ["upstream_log_options"] = Warned("one line per request is written, none per attempt"),
        ["suppress_envoy_headers"] = Obeyed,
        ["strict_check_headers"] = Obeyed,
        ["respect_expected_rq_timeout"] = Obeyed,
        ["suppress_grpc_request_failure_code_stats"] = Warned("the statistic is not kept"),
        ["upstream_http_filters"] = Refused(Later.Never),
        ["reject_connect_request_early_data"] = Refused(Later.Never),
    };

    public static readonly MessageFields GrpcStats = new ProtoFields("envoy.extensions.filters.http.grpc_stats.v3.FilterConfig")
    {
        ["emit_filter_state"] = Warned("gRPC calls are not counted apart; that comes with the issue requests"),
        ["individual_method_stats_allowlist"] = Warned("gRPC calls are not counted apart; that comes with the issue requests"),
        ["stats_for_all_methods"] = Warned("gRPC calls are not counted apart; that comes with the issue requests"),
        ["enable_upstream_stats"] = Warned("gRPC calls are not counted apart; that comes with the issue requests"),
        ["replace_dots_in_grpc_service_name"] = Warned("gRPC calls are not counted apart; that comes with the issue requests"),
    };

    public static readonly MessageFields Cors = new ProtoFields("envoy.extensions.filters.http.cors.v3.Cors")
    {
    };

    public static readonly MessageFields CorsPolicy = new ProtoFields("envoy.extensions.filters.http.cors.v3.CorsPolicy")
    {
        ["allow_origin_string_match"] = Refused(Later.Requests),
        ["allow_methods"] = Refused(Later.Requests),
        ["allow_headers"] = Refused(Later.Requests),
        ["expose_headers"] = Refused(Later.Requests),
        ["max_age"] = Refused(Later.Requests),
        ["allow_credentials"] = Refused(Later.Requests),
        ["filter_enabled"] = Refused(Later.Requests),
        ["shadow_enabled"] = Refused(Later.Requests),
        ["allow_private_network_access"] = Refused(Later.Requests),
        ["forward_not_matching_preflights"] = Refused(Later.Requests),
    };

    public static readonly MessageFields Fault = new ProtoFields("envoy.extensions.filters.http.fault.v3.HTTPFault")
    {
        ["delay"] = Refused(Later.Requests),
        ["abort"] = Refused(Later.Requests),
        ["upstream_cluster"] = Refused(Later.Requests),
        ["headers"] = Refused(Later.Requests),
        ["downstream_nodes"] = Refused(Later.Requests),
        ["max_active_faults"] = Refused(Later.Requests),
        ["response_rate_limit"] = Refused(Later.Requests),
        ["delay_percent_runtime"] = Refused(Later.Requests),
        ["abort_percent_runtime"] = Refused(Later.Requests),
        ["delay_duration_runtime"] = Refused(Later.Requests),
        ["abort_http_status_runtime"] = Refused(Later.Requests),
        ["max_active_faults_runtime"] = Refused(Later.Requests),
        ["response_rate_limit_percent_runtime"] = Refused(Later.Requests),
        ["abort_grpc_status_runtime"] = Refused(Later.Requests),
        ["disable_downstream_cluster_stats"] = Refused(Later.Requests),
        ["filter_metadata"] = Refused(Later.Requests),
    };

    public static readonly MessageFields PeerMetadata = new ProtoFields("io.istio.http.peer_metadata.Config")
    {
        ["upstream_propagation"] = Obeyed.Of(() => PeerPropagationMethod),
        ["downstream_propagation"] = Obeyed.Of(() => PeerPropagationMethod),
        ["downstream_discovery"] = Harmless("what a peer tells in its fields is known in any case"),
        ["upstream_discovery"] = Harmless("what a peer tells in its fields is known in any case"),
        ["shared_with_upstream"] = Harmless("one process, one memory"),
        ["additional_labels"] = Harmless("only add labels to metrics"),
    };

    public static readonly MessageFields PeerPropagationMethod = new ProtoFields("io.istio.http.peer_metadata.Config.PropagationMethod")
    {
        ["istio_headers"] = Obeyed.Of(() => PeerIstioHeaders),
    };

    public static readonly MessageFields PeerIstioHeaders = new ProtoFields("io.istio.http.peer_metadata.Config.IstioHeaders")
    {
        ["skip_external_clusters"] = Obeyed,
    };

    public static readonly MessageFields Alpn = new ProtoFields("istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig")
    {
        ["alpn_override"] = Obeyed.Of(() => AlpnOverride),
    };

    public static readonly MessageFields AlpnOverride = new ProtoFields("istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig.AlpnOverride")
    {
        ["upstream_protocol"] = Obeyed,
        ["alpn_override"] = Obeyed,
    };

    public static readonly MessageFields Compressor = new ProtoFields("envoy.extensions.filters.http.compressor.v3.Compressor")
    {
        ["content_length"] = Warned("answers are passed on as they come, without compression; that comes with the issue policies"),
        ["content_type"] = Warned("answers are passed on as they come, without compression; that comes with the issue policies"),
        ["disable_on_etag_header"] = Warned("answers are passed on as they come, without compression; that comes with the issue policies"),
        ["remove_accept_encoding_header"] = Warned("answers are passed on as they come, without compression; that comes with the issue policies"),
        ["runtime_enabled"] = Warned("answers are passed on as they come, without compression; that comes with the issue policies"),
        ["compressor_library"] = Warned("answers are passed on as they come, without compression; that comes with the issue policies"),
        ["request_direction_config"] = Warned("answers are passed on as they come, without compression; that comes with the issue policies"),
        ["response_direction_config"] = Warned("answers are passed on as they come, without compression; that comes with the issue policies"),
        ["choose_first"] = Warned("answers are passed on as they come, without compression; that comes with the issue policies"),
    };
}
