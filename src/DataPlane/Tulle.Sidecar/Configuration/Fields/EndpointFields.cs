using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class EndpointFields
{
    public static readonly MessageFields ClusterLoadAssignment = new ProtoFields("envoy.config.endpoint.v3.ClusterLoadAssignment")
    {
        ["cluster_name"] = Harmless("the key of the resource, read with its name"),
        ["endpoints"] = Obeyed.Of(() => LocalityLbEndpoints),
        ["named_endpoints"] = Refused(Later.Never),
        ["policy"] = Obeyed.Of(() => AssignmentPolicy),
    };

    public static readonly MessageFields AssignmentPolicy = new ProtoFields("envoy.config.endpoint.v3.ClusterLoadAssignment.Policy")
    {
        ["drop_overloads"] = Refused(Later.Policies),
        ["overprovisioning_factor"] = Obeyed,
        ["endpoint_stale_after"] = Warned("endpoints stay until the control plane changes them"),
        ["weighted_priority_health"] = Refused(Later.Policies),
    };

    public static readonly MessageFields LocalityLbEndpoints = new ProtoFields("envoy.config.endpoint.v3.LocalityLbEndpoints")
    {
        ["locality"] = Obeyed.Of(() => CoreFields.Locality),
        ["metadata"] = Harmless("only describes"),
        ["lb_endpoints"] = Obeyed.Of(() => LbEndpoint),
        ["load_balancer_endpoints"] = Refused(Later.Never),
        ["leds_cluster_locality_config"] = Refused(Later.Never),
        ["load_balancing_weight"] = Obeyed,
        ["priority"] = Obeyed,
        ["proximity"] = Harmless("only describes"),
    };

    public static readonly MessageFields LbEndpoint = new ProtoFields("envoy.config.endpoint.v3.LbEndpoint")
    {
        ["endpoint"] = Obeyed.Of(() => Endpoint),
        ["endpoint_name"] = Refused(Later.Never),
        ["health_status"] = Obeyed,
        ["metadata"] = Obeyed.Of(() => CoreFields.Metadata),
        ["load_balancing_weight"] = Obeyed,
    };

    public static readonly MessageFields Endpoint = new ProtoFields("envoy.config.endpoint.v3.Endpoint")
    {
        ["address"] = Obeyed.Of(() => CoreFields.Address),
        ["health_check_config"] = Obeyed.Of(() => EndpointHealthCheck),
        ["hostname"] = Obeyed,
        ["additional_addresses"] = Refused(Later.Transports),
        ["observability_name"] = Harmless("only a label"),
    };

    public static readonly MessageFields EndpointHealthCheck = new ProtoFields("envoy.config.endpoint.v3.Endpoint.HealthCheckConfig")
    {
        ["port_value"] = Obeyed,
        ["hostname"] = Obeyed,
        ["address"] = Obeyed.Of(() => CoreFields.Address),
        ["disable_active_health_check"] = Obeyed,
    };
}
