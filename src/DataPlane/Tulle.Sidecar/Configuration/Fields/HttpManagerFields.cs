using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class HttpManagerFields
{
    public static readonly MessageFields HttpConnectionManager = new ProtoFields("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager")
    {
        ["codec_type"] = Obeyed,
        ["stat_prefix"] = Obeyed,
        ["rds"] = Obeyed.Of(() => Rds),
        ["route_config"] = Obeyed.Of(() => RouteTableFields.RouteConfiguration),
        ["scoped_routes"] = Refused(Later.Policies),
        ["http_filters"] = Obeyed.Of(() => HttpFilterFields.HttpFilter),
        ["add_user_agent"] = Obeyed,
        ["tracing"] = Warned("no context is passed on and no span is made; it comes with the issue policies"),
        ["common_http_protocol_options"] = Obeyed.Of(() => HttpOptionFields.Downstream),
        ["http1_safe_max_connection_duration"] = Warned("a connection ends between two requests in any case"),
        ["http_protocol_options"] = Obeyed.Of(() => HttpOptionFields.DownstreamHttp1),
        ["http2_protocol_options"] = Warned("requests are spoken in HTTP/1.1 until the issue requests brings HTTP/2"),
        ["http3_protocol_options"] = Refused(Later.Never),
        ["server_name"] = Obeyed,
        ["server_header_transformation"] = Obeyed,
        ["scheme_header_transformation"] = Obeyed.Of(() => EarlyHeaderFields.SchemeHeaderTransformation),
        ["max_request_headers_kb"] = Obeyed,
        ["stream_idle_timeout"] = Obeyed,
        ["stream_flush_timeout"] = Warned("stream_idle_timeout holds"),
        ["request_timeout"] = Obeyed,
        ["request_headers_timeout"] = Obeyed,
        ["drain_timeout"] = Obeyed,
        ["drain_timeout_jitter"] = Warned("every drain waits as long as the other"),
        ["delayed_close_timeout"] = Obeyed,
        ["access_log"] = Obeyed.Of(() => AccessLogFields.AccessLog),
        ["access_log_flush_interval"] = Warned("a line is written when the request ends"),
        ["flush_access_log_on_new_request"] = Warned("a line is written when the request ends"),
        ["access_log_options"] = Obeyed.Of(() => HcmAccessLogOptions),
        ["use_remote_address"] = Obeyed,
        ["xff_num_trusted_hops"] = Obeyed,
        ["original_ip_detection_extensions"] = Obeyed.Of(() => ClientAddressFields.Detection),
        ["early_header_mutation_extensions"] = Obeyed.Of(() => EarlyHeaderFields.Extension),
        ["internal_address_config"] = Obeyed.Of(() => ClientAddressFields.InternalAddressConfig),
        ["skip_xff_append"] = Obeyed,
        ["via"] = Obeyed,
        ["generate_request_id"] = Obeyed,
        ["preserve_external_request_id"] = Obeyed,
        ["always_set_request_id_in_response"] = Obeyed,
        ["forward_client_cert_details"] = Obeyed,
        ["set_current_client_cert_details"] = Obeyed.Of(() => SetCurrentClientCertDetails),
        ["forward_client_cert_matcher"] = Refused(Later.Never),
        ["proxy_100_continue"] = Obeyed,
        ["represent_ipv4_remote_address_as_ipv4_mapped_ipv6"] = Warned("IPv4 addresses are written as such"),
        ["upgrade_configs"] = Obeyed.Of(() => ManagerUpgrade),
        ["normalize_path"] = Obeyed,
        ["merge_slashes"] = Obeyed,
        ["path_with_escaped_slashes_action"] = Obeyed,
        ["request_id_extension"] = Obeyed.Of(() => RequestIDExtension),
        ["local_reply_config"] = Refused(Later.Policies),
        ["strip_matching_host_port"] = Refused(Later.Requests),
        ["strip_any_host_port"] = Refused(Later.Requests),
        ["stream_error_on_invalid_http_message"] = Warned("a malformed message ends its connection"),
        ["path_normalization_options"] = Refused(Later.Never),
        ["strip_trailing_host_dot"] = Obeyed,
        ["proxy_status_config"] = Refused(Later.Never),
        ["typed_header_validation_config"] = Refused("the one validation there is cannot be replaced"),
        ["append_x_forwarded_port"] = Obeyed,
        ["append_local_overload"] = Warned("there is no overload manager yet"),
        ["add_proxy_protocol_connection_state"] = Refused(Later.Never),
        ["forward_proto_config"] = Refused(Later.Never),
        ["record_route_resolution_stats"] = Warned("this statistic is not kept"),
    };

    public static readonly MessageFields ManagerUpgrade = new ProtoFields("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig")
    {
        ["upgrade_type"] = Obeyed,
        ["filters"] = Refused(Later.Policies),
        ["enabled"] = Obeyed,
    };

    public static readonly MessageFields SetCurrentClientCertDetails = new ProtoFields("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails")
    {
        ["subject"] = Obeyed,
        ["cert"] = Warned("the certificate itself is not told to the upstream"),
        ["chain"] = Warned("the chain is not told to the upstream"),
        ["dns"] = Obeyed,
        ["uri"] = Obeyed,
        ["issuer"] = Refused(Later.Never),
        ["format"] = Refused(Later.Never),
    };

    public static readonly MessageFields HcmAccessLogOptions = new ProtoFields("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.HcmAccessLogOptions")
    {
        ["access_log_flush_interval"] = Warned("a line is written when the request ends"),
        ["flush_access_log_on_new_request"] = Warned("a line is written when the request ends"),
        ["flush_log_on_tunnel_successfully_established"] = Warned("a line is written when the tunnel ends"),
    };

    public static readonly MessageFields RequestIDExtension = new ProtoFields("envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension")
    {
        ["typed_config"] = Obeyed.Of(() => [UuidRequestIdConfig]),
    };

    public static readonly MessageFields UuidRequestIdConfig = new ProtoFields("envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig")
    {
        ["pack_trace_reason"] = Warned("nothing is traced, so the id carries no reason"),
        ["use_request_id_for_trace_sampling"] = Warned("nothing is traced yet"),
    };

    public static readonly MessageFields Rds = new ProtoFields("envoy.extensions.filters.network.http_connection_manager.v3.Rds")
    {
        ["config_source"] = Obeyed.Of(() => ConfigSourceFields.ConfigSource),
        ["route_config_name"] = Obeyed,
    };
}
