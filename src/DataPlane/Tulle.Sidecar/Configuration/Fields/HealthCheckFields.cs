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
        ["initial_jitter"] = Warned("checks start as the host appears"),
        ["interval_jitter"] = Warned("every interval is as long as the other"),
        ["interval_jitter_percent"] = Warned("every interval is as long as the other"),
        ["unhealthy_threshold"] = Obeyed,
        ["healthy_threshold"] = Obeyed,
        ["alt_port"] = Refused(Later.Safe),
        ["reuse_connection"] = Warned("every check has its own connection"),
        ["http_health_check"] = Obeyed.Of(() => HttpHealthCheck),
        ["tcp_health_check"] = Obeyed.Of(() => TcpHealthCheck),
        ["grpc_health_check"] = Refused(Later.Requests),
        ["custom_health_check"] = Refused(Later.Never),
        ["no_traffic_interval"] = Warned("interval holds always"),
        ["no_traffic_healthy_interval"] = Warned("interval holds always"),
        ["unhealthy_interval"] = Obeyed,
        ["unhealthy_edge_interval"] = Warned("interval and unhealthy_interval hold"),
        ["healthy_edge_interval"] = Warned("interval holds"),
        ["event_log_path"] = Warned("no event is written"),
        ["event_logger"] = Warned("no event is written"),
        ["event_service"] = Warned("no event is sent"),
        ["always_log_health_check_failures"] = Warned("no event is written"),
        ["always_log_health_check_success"] = Warned("no event is written"),
        ["tls_options"] = Refused(Later.Safe),
        ["transport_socket_match_criteria"] = Refused(Later.Safe),
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
        ["expected_statuses"] = Refused(Later.Policies),
        ["retriable_statuses"] = Refused(Later.Safe),
        ["codec_client_type"] = Refused(Later.Requests),
        ["use_alpn_protocol"] = Refused(Later.Requests),
        ["service_name_matcher"] = Refused(Later.Safe),
        ["method"] = Refused(Later.Safe),
    };

    public static readonly MessageFields TcpHealthCheck = new ProtoFields("envoy.config.core.v3.HealthCheck.TcpHealthCheck")
    {
        ["send"] = Refused(Later.Safe),
        ["receive"] = Refused(Later.Safe),
        ["proxy_protocol_config"] = Refused(Later.Safe),
    };
}
