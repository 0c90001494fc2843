using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Resources;

namespace Tulle.Translate;

/// <summary>EDS: who is behind a cluster.</summary>
internal static class EndpointTranslation
{
    /// <summary>Assignments of every EDS cluster of a proxy.</summary>
    public static List<Node> Make(MeshModel model, ProxyView proxy)
    {
        var result = new List<Node>();
        foreach (var service in model.Services.Where(s => s.IsVisibleIn(proxy.Namespace)))
        {
            if (service.Resolution == Resolution.Endpoints || (service.Resolution == Resolution.Headless && proxy.IsRouter))
                AddService(model, proxy, service, result);
        }
        return result;
    }

    private static void AddService(MeshModel model, ProxyView proxy, MeshService service, List<Node> result)
    {
        var rule = model.RuleFor(service.Host, service.Namespace, proxy.Namespace);
        foreach (var port in service.Ports.Where(p => p.Protocol != PortProtocol.Udp))
        {
            result.Add(Make(model, service, port, null, rule, ClusterTranslation.Name(port.Port, "", service.Host)));
            foreach (var subset in rule?.Subsets ?? [])
                result.Add(Make(model, service, port, subset, rule, ClusterTranslation.Name(port.Port, subset.Name, service.Host)));
        }
    }

    public static Node Make(MeshModel model, MeshService service, MeshPort port, SubsetResource? subset, DestinationRuleResource? rule, string name)
    {
        var isOverridden = ClientTls.IsOverridden(TrafficPolicies.Effective(rule?.TrafficPolicy, subset?.TrafficPolicy, port.Port));
        var isDns = service.Resolution == Resolution.Dns;
        var endpoints = model.EndpointsOf(service, port)
            .Where(e => e.IsReady && (subset is null || subset.Labels.All(l => e.Labels.TryGetValue(l.Key, out var v) && v == l.Value)))
            .Select(e => Endpoint(model, service, e, isDns, !isOverridden && model.TakesMutualTls(e))).ToList();
        return Node.Map(("cluster_name", name), ("endpoints", endpoints.Count == 0 ? null : Node.List(
            Node.Map(("locality", Node.Map()), ("lb_endpoints", Node.List(endpoints)), ("load_balancing_weight", endpoints.Count)))));
    }

    private static Node Endpoint(MeshModel model, MeshService service, MeshEndpoint endpoint, bool isDns, bool takesMutualTls)
    {
        var workload = endpoint.Workload;
        var description = workload is null
            ? $"{service.EntryName};{service.Namespace};{service.EntryName};;{model.Settings.ClusterId}"
            : $"{workload.OwnerName};{workload.Namespace};{workload.CanonicalName};{workload.CanonicalRevision};{model.Settings.ClusterId}";
        return Node.Map(
            ("endpoint", Node.Map(("address", Shapes.Socket(endpoint.Address, endpoint.Port)))),
            ("health_status", isDns ? null : "HEALTHY"),
            ("metadata", Node.Map(("filter_metadata", Node.Map(
                ("envoy.transport_socket_match", takesMutualTls ? Node.Map(("tlsMode", "istio")) : null),
                ("istio", Node.Map(("workload", description))))))),
            ("load_balancing_weight", endpoint.Weight));
    }
}
