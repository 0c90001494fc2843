using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class ListenerFilterFields
{
    public static readonly MessageFields OriginalDst = new ProtoFields("envoy.extensions.filters.listener.original_dst.v3.OriginalDst")
    {
    };

    public static readonly MessageFields HttpInspector = new ProtoFields("envoy.extensions.filters.listener.http_inspector.v3.HttpInspector")
    {
    };

    public static readonly MessageFields TlsInspector = new ProtoFields("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector")
    {
        ["enable_ja3_fingerprinting"] = Warned("no fingerprint is made"),
        ["enable_ja4_fingerprinting"] = Warned("no fingerprint is made"),
        ["initial_read_buffer_size"] = Harmless("only sizes a buffer"),
        ["close_connection_on_client_hello_parsing_errors"] = Refused(Later.Transports),
        ["max_client_hello_size"] = Refused(Later.Transports),
    };

    public static readonly MessageFields ProxyProtocol = new ProtoFields("envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol")
    {
        ["rules"] = Refused(Later.Requests),
        ["allow_requests_without_proxy_protocol"] = Obeyed,
        ["pass_through_tlvs"] = Warned("TLVs are not passed on"),
        ["disallowed_versions"] = Obeyed,
        ["stat_prefix"] = Warned("statistics have no prefix of their own"),
        ["tlv_location"] = Warned("TLVs are not kept"),
    };
}
