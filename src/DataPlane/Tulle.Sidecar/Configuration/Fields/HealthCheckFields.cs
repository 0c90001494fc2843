using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class HealthCheckFields
{
    public static readonly MessageFields HealthCheck = new ProtoFields("envoy.config.core.v3.HealthCheck")
    {
        ["name"] = Warned("it is only a label"),
        ["timeout"] = Obeyed,
        ["interval"] = Obeyed,
        ["initial_jitter"] = Obeyed,
        ["interval_jitter"] = Obeyed,
        ["interval_jitter_percent"] = Obeyed,
        ["unhealthy_threshold"] = Obeyed,
        ["healthy_threshold"] = Obeyed,
        ["alt_port"] = Obeyed,
        ["reuse_connection"] = Warned("every check has its own connection"),
        ["http_health_check"] = Obeyed.Of(() => HttpHealthCheck),
        ["tcp_health_check"] = Obeyed.Of(() => TcpHealthCheck),
        ["grpc_health_check"] = Refused(Later.Requests),
        ["custom_health_check"] = Refused(Later.Never),
        ["no_traffic_interval"] = Obeyed,
        ["no_traffic_healthy_interval"] = Obeyed,
        ["unhealthy_interval"] = Obeyed,
        ["unhealthy_edge_interval"] = Obeyed,
        ["healthy_edge_interval"] = Obeyed,
        ["event_log_path"] = Warned("no event is written"),
        ["event_logger"] = Warned("no event is written"),
        ["event_service"] = Warned("no event is sent"),
        ["always_log_health_check_failures"] = Warned("no event is written"),
        ["always_log_health_check_success"] = Warned("no event is written"),
        ["tls_options"] = Obeyed.Of(() => TlsOptions),
        ["transport_socket_match_criteria"] = Obeyed,
    };

    public static readonly MessageFields HttpHealthCheck = new ProtoFields("envoy.config.core.v3.HealthCheck.HttpHealthCheck")
    {
        ["host"] = Obeyed,
        ["path"] = Obeyed,
        ["send"] = Refused(Later.Never),
        ["receive"] = Refused(Later.Never),
        ["response_buffer_size"] = Refused(Later.Never),
        ["request_headers_to_add"] = Refused(Later.Policies),
        ["request_headers_to_remove"] = Refused(Later.Policies),
        ["expected_statuses"] = Obeyed.Of(() => CoreFields.Int64Range),
        ["retriable_statuses"] = Obeyed.Of(() => CoreFields.Int64Range),
        ["codec_client_type"] = Refused(Later.Requests),
        ["use_alpn_protocol"] = Refused(Later.Requests),
        ["service_name_matcher"] = Obeyed.Of(() => MatcherFields.StringMatcher),
        ["method"] = Obeyed,
    };

    public static readonly MessageFields TcpHealthCheck = new ProtoFields("envoy.config.core.v3.HealthCheck.TcpHealthCheck")
    {
        ["send"] = Obeyed.Of(() => Payload),
        ["receive"] = Obeyed.Of(() => Payload),
        ["proxy_protocol_config"] = Refused(Later.Safe),
    };

    public static readonly MessageFields TlsOptions = new ProtoFields("envoy.config.core.v3.HealthCheck.TlsOptions")
    {
        ["alpn_protocols"] = Obeyed,
    };

    public static readonly MessageFields Payload = new ProtoFields("envoy.config.core.v3.HealthCheck.Payload")
    {
        ["text"] = Obeyed,
        ["binary"] = Obeyed,
    };
}
