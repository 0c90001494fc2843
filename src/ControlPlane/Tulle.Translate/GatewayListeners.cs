using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Resources;

namespace Tulle.Translate;

/// <summary>LDS of a router: one listener per port of the gateways that select it.</summary>
internal static class GatewayListeners
{
    public static IEnumerable<Node> Make(MeshModel model, ProxyView proxy)
    {
        foreach (var group in RouteTables.Servers(model, proxy).GroupBy(s => s.Port).OrderBy(g => g.Key))
        {
            var chains = new List<Node>();
            if (group.Any(s => RouteTables.IsHttp(s.Server)))
                chains.Add(Http(model, proxy, group.Key, $"http.{group.Key}", null, null));
            var needsInspector = false;
            foreach (var (gateway, server, port) in group.Where(s => RouteTables.IsHttps(s.Server)))
            {
                needsInspector = true;
                chains.Add(Http(model, proxy, port, RouteTables.HttpsName(gateway, server), Names(server), Tls(model, proxy, server)));
            }
            foreach (var (gateway, server, _) in group.Where(s => s.Server.Protocol is "TLS" or "HTTPS" && s.Server.TlsMode is "PASSTHROUGH" or "AUTO_PASSTHROUGH"))
            {
                needsInspector = true;
                chains.AddRange(Passthrough(model, proxy, gateway, server));
            }
            foreach (var (gateway, server, _) in group.Where(s => s.Server.Protocol is "TCP" or "MONGO" && s.Server.TlsMode.Length == 0))
                chains.AddRange(Tcp(model, proxy, gateway, server));
            if (chains.Count == 0)
                continue;
            yield return Node.Map(
                ("name", $"0.0.0.0_{group.Key}"),
                ("address", Shapes.Socket("0.0.0.0", group.Key)),
                ("filter_chains", Node.List(chains)),
                ("listener_filters", needsInspector ? Node.List(Shapes.Typed("envoy.filters.listener.tls_inspector", "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", ("initial_read_buffer_size", 512))) : null),
                ("traffic_direction", "OUTBOUND"),
                ("max_connections_to_accept_per_socket_event", 1));
        }
    }

    private static Node? Names(GatewayServerResource server)
    {
        var hosts = server.Hosts.Select(h => h[(h.IndexOf('/') + 1)..]).ToList();
        return hosts.Contains("*") ? null : Node.Map(("server_names", Shapes.Strings(hosts)));
    }

    private static Node Tls(MeshModel model, ProxyView proxy, GatewayServerResource server) =>
        server.TlsMode == "ISTIO_MUTUAL" ? TlsShapes.Inbound(proxy, isTcp: false, model.Settings.TrustDomain) : TlsShapes.Gateway($"kubernetes://{server.CredentialName}", server.TlsMode == "MUTUAL");

    private static Node Http(MeshModel model, ProxyView proxy, int port, string routes, Node? match, Node? tls) => Node.Map(
        ("filter_chain_match", match),
        ("filters", Node.List(HttpManagers.Make(proxy, ManagerSide.Gateway, $"outbound_0.0.0.0_{port}", null, routes, model.Settings.AccessLog))),
        ("transport_socket", tls),
        ("transport_socket_connect_timeout", "15s"));

    private static IEnumerable<Node> Passthrough(MeshModel model, ProxyView proxy, GatewayResource gateway, GatewayServerResource server)
    {
        foreach (var rule in Rules(model, gateway))
        {
            foreach (var tls in rule.Tls.Where(t => t.Routes.Count > 0))
            {
                foreach (var match in tls.Matches.Where(m => m.Port is null || m.Port == server.Port))
                    yield return Chain(proxy, model, RouteTranslation.Cluster(model, tls.Routes[0].Destination, rule.Meta.Namespace, server.Port, isGateway: true), Node.Map(("server_names", Shapes.Strings(match.SniHosts))));
            }
        }
    }

    private static IEnumerable<Node> Tcp(MeshModel model, ProxyView proxy, GatewayResource gateway, GatewayServerResource server)
    {
        foreach (var rule in Rules(model, gateway))
        {
            foreach (var tcp in rule.Tcp.Where(t => t.Routes.Count > 0 && (t.Matches.Count == 0 || t.Matches.Any(m => m.Port is null || m.Port == server.Port))).Take(1))
                yield return Chain(proxy, model, RouteTranslation.Cluster(model, tcp.Routes[0].Destination, rule.Meta.Namespace, server.Port, isGateway: true), null);
        }
    }

    private static IEnumerable<VirtualServiceResource> Rules(MeshModel model, GatewayResource gateway) => model.Resources.VirtualServices
        .Where(v => v.Gateways.Any(g => g == $"{gateway.Meta.Namespace}/{gateway.Meta.Name}" || (g == gateway.Meta.Name && v.Meta.Namespace == gateway.Meta.Namespace))).OrderBy(v => v.Meta.Order);

    private static Node Chain(ProxyView proxy, MeshModel model, string cluster, Node? match) => Node.Map(
        ("filter_chain_match", match),
        ("filters", Node.List(proxy.HasIstioFilters ? [Shapes.Stats(true), Shapes.TcpProxy(cluster, Shapes.AccessLog(model.Settings.AccessLog))] : [Shapes.TcpProxy(cluster, Shapes.AccessLog(model.Settings.AccessLog))])),
        ("transport_socket_connect_timeout", "15s"));
}
