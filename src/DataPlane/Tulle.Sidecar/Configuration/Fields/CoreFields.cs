using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class CoreFields
{
    public static readonly MessageFields Address = new ProtoFields("envoy.config.core.v3.Address")
    {
        ["socket_address"] = Obeyed.Of(() => SocketAddress),
        ["pipe"] = Obeyed.Of(() => Pipe),
        ["envoy_internal_address"] = Refused(Later.Transports),
    };

    public static readonly MessageFields SocketAddress = new ProtoFields("envoy.config.core.v3.SocketAddress")
    {
        ["protocol"] = Obeyed,
        ["address"] = Obeyed,
        ["port_value"] = Obeyed,
        ["named_port"] = Refused(Later.Never),
        ["resolver_name"] = Refused(Later.Never),
        ["ipv4_compat"] = Harmless("IPv4 addresses are written as such"),
        ["network_namespace_filepath"] = Refused(Later.Never),
    };

    public static readonly MessageFields Pipe = new ProtoFields("envoy.config.core.v3.Pipe")
    {
        ["path"] = Obeyed,
        ["mode"] = Refused(Later.Never),
    };

    public static readonly MessageFields BindConfig = new ProtoFields("envoy.config.core.v3.BindConfig")
    {
        ["source_address"] = Obeyed.Of(() => SocketAddress),
        ["freebind"] = Refused(Later.Transports),
        ["socket_options"] = Refused(Later.Transports),
        ["extra_source_addresses"] = Warned("an upstream of another address family than source_address is reached from an address that the kernel chooses; the rest comes with the issue transports"),
        ["additional_source_addresses"] = Refused(Later.Transports),
        ["local_address_selector"] = Refused(Later.Never),
        ["validate_network_namespaces"] = Refused(Later.Never),
    };

    public static readonly MessageFields DataSource = new ProtoFields("envoy.config.core.v3.DataSource")
    {
        ["filename"] = Obeyed,
        ["inline_bytes"] = Obeyed,
        ["inline_string"] = Obeyed,
        ["environment_variable"] = Obeyed,
        ["watched_directory"] = Warned("the file is read when the configuration is taken"),
    };

    public static readonly MessageFields TcpKeepalive = new ProtoFields("envoy.config.core.v3.TcpKeepalive")
    {
        ["keepalive_probes"] = Obeyed,
        ["keepalive_time"] = Obeyed,
        ["keepalive_interval"] = Obeyed,
    };

    public static readonly MessageFields Metadata = new ProtoFields("envoy.config.core.v3.Metadata")
    {
        ["filter_metadata"] = Obeyed,
        ["typed_filter_metadata"] = Harmless("nothing here reads typed metadata"),
    };

    public static readonly MessageFields Locality = new ProtoFields("envoy.config.core.v3.Locality")
    {
        ["region"] = Obeyed,
        ["zone"] = Obeyed,
        ["sub_zone"] = Obeyed,
    };

    public static readonly MessageFields HeaderValueOption = new ProtoFields("envoy.config.core.v3.HeaderValueOption")
    {
        ["header"] = Obeyed.Of(() => HeaderValue),
        ["append"] = Obeyed,
        ["append_action"] = Obeyed,
        ["keep_empty_value"] = Obeyed,
    };

    public static readonly MessageFields HeaderValue = new ProtoFields("envoy.config.core.v3.HeaderValue")
    {
        ["key"] = Obeyed,
        ["value"] = Obeyed,
        ["raw_value"] = Refused(Later.Never),
    };

    public static readonly MessageFields RuntimeFractionalPercent = new ProtoFields("envoy.config.core.v3.RuntimeFractionalPercent")
    {
        ["default_value"] = Obeyed.Of(() => FractionalPercent),
        ["runtime_key"] = Warned("no runtime key overrides the default; that comes with the issue requests"),
    };

    public static readonly MessageFields RuntimeFeatureFlag = new ProtoFields("envoy.config.core.v3.RuntimeFeatureFlag")
    {
        ["default_value"] = Obeyed,
        ["runtime_key"] = Warned("no runtime key overrides the default; that comes with the issue requests"),
    };

    public static readonly MessageFields RuntimeUInt32 = new ProtoFields("envoy.config.core.v3.RuntimeUInt32")
    {
        ["default_value"] = Obeyed,
        ["runtime_key"] = Warned("no runtime key overrides the default; that comes with the issue requests"),
    };

    public static readonly MessageFields RuntimeDouble = new ProtoFields("envoy.config.core.v3.RuntimeDouble")
    {
        ["default_value"] = Obeyed,
        ["runtime_key"] = Warned("no runtime key overrides the default; that comes with the issue requests"),
    };

    public static readonly MessageFields FractionalPercent = new ProtoFields("envoy.type.v3.FractionalPercent")
    {
        ["numerator"] = Obeyed,
        ["denominator"] = Obeyed,
    };

    public static readonly MessageFields Percent = new ProtoFields("envoy.type.v3.Percent")
    {
        ["value"] = Obeyed,
    };

    public static readonly MessageFields Int64Range = new ProtoFields("envoy.type.v3.Int64Range")
    {
        ["start"] = Obeyed,
        ["end"] = Obeyed,
    };

    public static readonly MessageFields Int32Range = new ProtoFields("envoy.type.v3.Int32Range")
    {
        ["start"] = Obeyed,
        ["end"] = Obeyed,
    };

    public static readonly MessageFields CidrRange = new ProtoFields("envoy.config.core.v3.CidrRange")
    {
        ["address_prefix"] = Obeyed,
        ["prefix_len"] = Obeyed,
    };

    public static readonly MessageFields UpstreamSocket = new ProtoFields("envoy.config.core.v3.TransportSocket")
    {
        ["name"] = Obeyed,
        ["typed_config"] = Obeyed.Of(() => [RawBuffer, TlsFields.UpstreamTlsContext]),
    };

    public static readonly MessageFields DownstreamSocket = new ProtoFields("envoy.config.core.v3.TransportSocket")
    {
        ["name"] = Obeyed,
        ["typed_config"] = Obeyed.Of(() => [RawBuffer, TlsFields.DownstreamTlsContext]),
    };

    public static readonly MessageFields RawBuffer = new ProtoFields("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer")
    {
    };
}
