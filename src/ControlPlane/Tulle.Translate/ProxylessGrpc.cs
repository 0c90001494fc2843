using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Xds;

namespace Tulle.Translate;

/// <summary>
/// Configuration for gRPC programs that are their own proxy (node metadata GENERATOR: grpc, as for istiod, or a node that says so by its user agent).
/// They ask for "host:port" as a listener and follow it to a route, clusters and endpoints; they take plain connections only.
/// </summary>
internal static class ProxylessGrpc
{
    public static List<Node> Make(MeshModel model, ProxyView proxy, string type) => type switch
    {
        XdsTypes.Listener => Ports(model, proxy).Select(p => Listener($"{p.Service.Host}:{p.Port.Port}", RouteName(p.Service, p.Port))).ToList(),
        XdsTypes.Route => Ports(model, proxy).Select(p => RouteTables.One(model, proxy, RouteName(p.Service, p.Port), p.Service, p.Port.Port)).ToList(),
        XdsTypes.Cluster => Ports(model, proxy).SelectMany(p => Clusters(model, proxy, p.Service, p.Port)).ToList(),
        XdsTypes.Endpoint => EndpointTranslation.Make(model, proxy),
        _ => [],
    };

    private static string RouteName(MeshService service, MeshPort port) => ClusterTranslation.Name(port.Port, "", service.Host);

    private static IEnumerable<(MeshService Service, MeshPort Port)> Ports(MeshModel model, ProxyView proxy) =>
        model.Services.Where(s => s.IsVisibleIn(proxy.Namespace) && s.Resolution == Resolution.Endpoints)
            .SelectMany(s => s.Ports.Where(p => p.Protocol is PortProtocol.Http or PortProtocol.Http2 or PortProtocol.Auto).Select(p => (s, p)));

    private static Node Listener(string name, string route) => Node.Map(("name", name), ("api_listener", Node.Map(("api_listener", Node.Map(
        ("@type", Shapes.Types + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        ("rds", Node.Map(("config_source", Shapes.Ads), ("route_config_name", route))),
        ("http_filters", Node.List(Node.Map(("name", "envoy.filters.http.router"),
            ("typed_config", Node.Map(("@type", Shapes.Types + "envoy.extensions.filters.http.router.v3.Router")))))))))));

    private static IEnumerable<Node> Clusters(MeshModel model, ProxyView proxy, MeshService service, MeshPort port)
    {
        yield return Cluster(ClusterTranslation.Name(port.Port, "", service.Host));
        foreach (var subset in model.RuleFor(service.Host, service.Namespace, proxy.Namespace)?.Subsets ?? [])
            yield return Cluster(ClusterTranslation.Name(port.Port, subset.Name, service.Host));
    }

    private static Node Cluster(string name) => Node.Map(("name", name), ("type", "EDS"), ("connect_timeout", "10s"), ("lb_policy", "ROUND_ROBIN"),
        ("eds_cluster_config", Node.Map(("eds_config", Shapes.Ads), ("service_name", name))));
}
