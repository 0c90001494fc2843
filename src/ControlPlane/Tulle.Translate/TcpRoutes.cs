using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Resources;

namespace Tulle.Translate;

/// <summary>Where a TCP (or passed-through TLS) rule sends connections: one cluster, or several by weight.</summary>
internal static class TcpRoutes
{
    public static Node Filter(MeshModel model, VirtualServiceResource rule, IReadOnlyList<WeightedDestinationResource> routes, int port, bool isGateway)
    {
        var space = rule.Meta.Namespace;
        var log = Shapes.AccessLog(model.Settings.AccessLog);
        var live = routes.Where(r => r.Weight > 0 || routes.Count == 1).ToList();
        string Cluster(WeightedDestinationResource route) => RouteTranslation.Cluster(model, route.Destination, space, port, isGateway);
        if (live.Count == 1)
            return Shapes.TcpProxy(Cluster(live[0]), log);
        return Shapes.Typed("envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            ("stat_prefix", $"{rule.Meta.Name}.{space}"),
            ("weighted_clusters", Node.Map(("clusters", Node.List(live.Select(r => Node.Map(("name", Cluster(r)), ("weight", r.Weight))).ToList())))),
            ("access_log", log));
    }
}
