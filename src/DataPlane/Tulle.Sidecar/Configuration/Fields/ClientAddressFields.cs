using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class ClientAddressFields
{
    public static readonly MessageFields Detection = new ProtoFields("envoy.config.core.v3.TypedExtensionConfig")
    {
        ["name"] = Obeyed,
        ["typed_config"] = Obeyed.Of(() => [CustomHeader, Xff]),
    };

    public static readonly MessageFields CustomHeader = new ProtoFields("envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig")
    {
        ["header_name"] = Obeyed,
        ["allow_extension_to_set_address_as_trusted"] = Obeyed,
        ["reject_with_status"] = Obeyed.Of(() => HttpStatus),
    };

    public static readonly MessageFields HttpStatus = new ProtoFields("envoy.type.v3.HttpStatus")
    {
        ["code"] = Obeyed,
    };

    public static readonly MessageFields Xff = new ProtoFields("envoy.extensions.http.original_ip_detection.xff.v3.XffConfig")
    {
        ["xff_num_trusted_hops"] = Obeyed,
        ["xff_trusted_cidrs"] = Obeyed.Of(() => XffTrustedCidrs),
        ["skip_xff_append"] = Obeyed,
    };

    public static readonly MessageFields XffTrustedCidrs = new ProtoFields("envoy.extensions.http.original_ip_detection.xff.v3.XffTrustedCidrs")
    {
        ["cidrs"] = Obeyed.Of(() => CoreFields.CidrRange),
    };

    private const string Manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

    public static readonly MessageFields InternalAddressConfig = new ProtoFields(Manager + ".InternalAddressConfig")
    {
        ["unix_sockets"] = Obeyed,
        ["cidr_ranges"] = Obeyed.Of(() => CoreFields.CidrRange),
    };
}
