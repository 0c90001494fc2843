using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class UpstreamHttpFields
{
    public static readonly MessageFields UpstreamOptions = new ProtoFields("envoy.extensions.upstreams.http.v3.HttpProtocolOptions")
    {
        ["common_http_protocol_options"] = Obeyed.Of(() => HttpOptionFields.Upstream),
        ["upstream_http_protocol_options"] = Obeyed.Of(() => UpstreamHttpProtocolOptions),
        ["explicit_http_config"] = Obeyed.Of(() => ExplicitHttpConfig),
        ["use_downstream_protocol_config"] = Obeyed.Of(() => UseDownstreamHttpConfig),
        ["auto_config"] = Refused(Later.Requests),
        ["http_filters"] = Refused(Later.Never),
        ["header_validation_config"] = Refused(Later.Never),
        ["outlier_detection"] = Refused(Later.Never),
        ["request_mirror_policies"] = Refused(Later.Requests),
        ["hash_policy"] = Refused(Later.Policies),
        ["retry_policy"] = Refused(Later.Never),
    };

    public static readonly MessageFields UpstreamHttpProtocolOptions = new ProtoFields("envoy.config.core.v3.UpstreamHttpProtocolOptions")
    {
        ["auto_sni"] = Obeyed,
        ["auto_san_validation"] = Obeyed,
        ["override_auto_sni_header"] = Obeyed,
    };

    public static readonly MessageFields ExplicitHttpConfig = new ProtoFields("envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig")
    {
        ["http_protocol_options"] = Obeyed.Of(() => HttpOptionFields.UpstreamHttp1),
        ["http2_protocol_options"] = Warned("requests are spoken in HTTP/1.1 until the issue requests brings HTTP/2"),
        ["http3_protocol_options"] = Refused(Later.Never),
    };

    public static readonly MessageFields UseDownstreamHttpConfig = new ProtoFields("envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig")
    {
        ["http_protocol_options"] = Obeyed.Of(() => HttpOptionFields.UpstreamHttp1),
        ["http2_protocol_options"] = Warned("requests are spoken in HTTP/1.1 until the issue requests brings HTTP/2"),
        ["http3_protocol_options"] = Refused(Later.Never),
    };
}
