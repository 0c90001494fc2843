using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class HttpOptionFields
{
    public static readonly MessageFields Downstream = new ProtoFields("envoy.config.core.v3.HttpProtocolOptions")
    {
        ["idle_timeout"] = Obeyed,
        ["max_connection_duration"] = Obeyed,
        ["max_connection_duration_jitter"] = Refused(Later.Never),
        ["max_headers_count"] = Obeyed,
        ["max_response_headers_kb"] = Refused(Later.Never),
        ["max_stream_duration"] = Obeyed,
        ["headers_with_underscores_action"] = Obeyed,
        ["max_requests_per_connection"] = Obeyed,
    };

    public static readonly MessageFields Upstream = new ProtoFields("envoy.config.core.v3.HttpProtocolOptions")
    {
        ["idle_timeout"] = Obeyed,
        ["max_connection_duration"] = Refused(Later.Safe),
        ["max_connection_duration_jitter"] = Refused(Later.Never),
        ["max_headers_count"] = Obeyed,
        ["max_response_headers_kb"] = Obeyed,
        ["max_stream_duration"] = Obeyed,
        ["headers_with_underscores_action"] = Harmless("it is about requests that come in, and answers are not touched by it"),
        ["max_requests_per_connection"] = Obeyed,
    };

    public static readonly MessageFields DownstreamHttp1 = new ProtoFields("envoy.config.core.v3.Http1ProtocolOptions")
    {
        ["allow_absolute_url"] = Obeyed,
        ["accept_http_10"] = Obeyed,
        ["default_host_for_http_10"] = Obeyed,
        ["header_key_format"] = Refused(Later.Requests),
        ["enable_trailers"] = Obeyed,
        ["allow_chunked_length"] = Refused(Later.Requests),
        ["override_stream_error_on_invalid_http_message"] = Warned("a malformed message ends its connection"),
        ["send_fully_qualified_url"] = Harmless("it is about requests to upstreams"),
        ["use_balsa_parser"] = Harmless("one parser serves all"),
        ["allow_custom_methods"] = Obeyed,
        ["ignore_http_11_upgrade"] = Warned("upgrades follow upgrade_configs alone"),
    };

    public static readonly MessageFields UpstreamHttp1 = new ProtoFields("envoy.config.core.v3.Http1ProtocolOptions")
    {
        ["allow_absolute_url"] = Harmless("it is about requests that come in"),
        ["accept_http_10"] = Harmless("it is about requests that come in"),
        ["default_host_for_http_10"] = Harmless("it is about requests that come in"),
        ["header_key_format"] = Refused(Later.Requests),
        ["enable_trailers"] = Obeyed,
        ["allow_chunked_length"] = Refused(Later.Requests),
        ["override_stream_error_on_invalid_http_message"] = Warned("a malformed message ends its connection"),
        ["send_fully_qualified_url"] = Refused(Later.Requests),
        ["use_balsa_parser"] = Harmless("one parser serves all"),
        ["allow_custom_methods"] = Harmless("it is about requests that come in"),
        ["ignore_http_11_upgrade"] = Warned("upgrades follow upgrade_configs alone"),
    };
}
