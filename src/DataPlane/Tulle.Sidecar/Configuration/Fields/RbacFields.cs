using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class RbacFields
{
    public static readonly MessageFields NetworkRbac = new ProtoFields("envoy.extensions.filters.network.rbac.v3.RBAC")
    {
        ["rules"] = Obeyed.Of(() => Rbac),
        ["matcher"] = Refused(Later.Policies),
        ["shadow_rules"] = Warned("what shadow rules would do is not told; it comes with the issue requests"),
        ["shadow_matcher"] = Refused(Later.Policies),
        ["shadow_rules_stat_prefix"] = Warned("what shadow rules would do is not told; it comes with the issue requests"),
        ["stat_prefix"] = Obeyed,
        ["enforcement_type"] = Warned("rules are checked once, when the first bytes come"),
        ["delay_deny"] = Refused(Later.Transports),
    };

    public static readonly MessageFields Rbac = new ProtoFields("envoy.config.rbac.v3.RBAC")
    {
        ["action"] = Obeyed,
        ["policies"] = Obeyed.Of(() => RbacPolicy),
        ["audit_logging_options"] = Warned("no audit log is written"),
    };

    public static readonly MessageFields RbacPolicy = new ProtoFields("envoy.config.rbac.v3.Policy")
    {
        ["permissions"] = Obeyed.Of(() => Permission),
        ["principals"] = Obeyed.Of(() => Principal),
        ["condition"] = Refused(Later.Policies),
        ["checked_condition"] = Refused(Later.Policies),
        ["cel_config"] = Refused(Later.Policies),
    };

    public static readonly MessageFields Permission = new ProtoFields("envoy.config.rbac.v3.Permission")
    {
        ["and_rules"] = Obeyed.Of(() => PermissionSet),
        ["or_rules"] = Obeyed.Of(() => PermissionSet),
        ["any"] = Obeyed,
        ["header"] = Refused(Later.Requests),
        ["url_path"] = Refused(Later.Requests),
        ["destination_ip"] = Obeyed.Of(() => CoreFields.CidrRange),
        ["destination_port"] = Obeyed,
        ["destination_port_range"] = Refused(Later.Transports),
        ["metadata"] = Refused(Later.Requests),
        ["not_rule"] = Obeyed.Of(() => Permission),
        ["requested_server_name"] = Obeyed.Of(() => MatcherFields.StringMatcher),
        ["matcher"] = Refused(Later.Policies),
        ["uri_template"] = Refused(Later.Policies),
        ["sourced_metadata"] = Refused(Later.Policies),
    };

    public static readonly MessageFields PermissionSet = new ProtoFields("envoy.config.rbac.v3.Permission.Set")
    {
        ["rules"] = Obeyed.Of(() => Permission),
    };

    public static readonly MessageFields Principal = new ProtoFields("envoy.config.rbac.v3.Principal")
    {
        ["and_ids"] = Obeyed.Of(() => PrincipalSet),
        ["or_ids"] = Obeyed.Of(() => PrincipalSet),
        ["any"] = Obeyed,
        ["authenticated"] = Obeyed.Of(() => Authenticated),
        ["source_ip"] = Obeyed.Of(() => CoreFields.CidrRange),
        ["direct_remote_ip"] = Obeyed.Of(() => CoreFields.CidrRange),
        ["remote_ip"] = Obeyed.Of(() => CoreFields.CidrRange),
        ["header"] = Refused(Later.Requests),
        ["url_path"] = Refused(Later.Requests),
        ["metadata"] = Refused(Later.Requests),
        ["filter_state"] = Refused(Later.Transports),
        ["not_id"] = Obeyed.Of(() => Principal),
        ["sourced_metadata"] = Refused(Later.Policies),
        ["custom"] = Refused(Later.Policies),
    };

    public static readonly MessageFields PrincipalSet = new ProtoFields("envoy.config.rbac.v3.Principal.Set")
    {
        ["ids"] = Obeyed.Of(() => Principal),
    };

    public static readonly MessageFields Authenticated = new ProtoFields("envoy.config.rbac.v3.Principal.Authenticated")
    {
        ["principal_name"] = Obeyed.Of(() => MatcherFields.StringMatcher),
    };
}
