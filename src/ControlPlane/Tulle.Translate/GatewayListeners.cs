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
            foreach (var (gateway, server, _) in group.Where(s => s.Server.Protocol is "TLS" or "HTTPS" && s.Server.Tls.Mode is "PASSTHROUGH" or "AUTO_PASSTHROUGH"))
            {
                needsInspector = true;
                chains.AddRange(Passthrough(model, proxy, gateway, server));
            }
            foreach (var (gateway, server, _) in group.Where(s => s.Server.Protocol is "TCP" or "MONGO" && s.Server.Tls.Mode.Length == 0))
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
        server.Tls.Mode == "ISTIO_MUTUAL" ? ServerTls.Mutual(proxy, server.Tls, model.Settings.TrustDomain) : ServerTls.Make(server.Tls);

    private static Node Http(MeshModel model, ProxyView proxy, int port, string routes, Node? match, Node? tls) => Node.Map(
        ("filter_chain_match", match),
        ("filters", Node.List(HttpManagers.Make(proxy, ManagerSide.Gateway, $"outbound_0.0.0.0_{port}", null, routes, model.Settings.AccessLog))),
        ("transport_socket", tls),
        ("transport_socket_connect_timeout", "15s"));

    private static IEnumerable<Node> Passthrough(MeshModel model, ProxyView proxy, GatewayResource gateway, GatewayServerResource server)
    {
        foreach (var rule in GatewayRules.Of(model, proxy, gateway))
        {
            foreach (var tls in rule.Tls.Where(t => t.Routes.Count > 0))
            {
                foreach (var match in tls.Matches.Where(m => GatewayRules.Applies(model, m, rule, proxy, server.Port, gateway)))
                {
                    if (GatewayRules.Sni(model, gateway, server, rule, match) is { Count: > 0 } names)
                        yield return Chain(proxy, TcpRoutes.Filter(model, rule, tls.Routes, server.Port, isGateway: true), Node.Map(("server_names", Shapes.Strings(names))));
                }
            }
        }
    }

    /// <summary>The first rule takes the port: bytes carry no name by which a second could be told apart.</summary>
    private static IEnumerable<Node> Tcp(MeshModel model, ProxyView proxy, GatewayResource gateway, GatewayServerResource server)
    {
        foreach (var rule in GatewayRules.Of(model, proxy, gateway).Where(r => GatewayRules.Hosts(model, gateway, server, r).Any()))
        {
            var tcp = rule.Tcp.FirstOrDefault(t => t.Routes.Count > 0 && (t.Matches.Count == 0 || t.Matches.Any(m => GatewayRules.Applies(model, m, rule, proxy, server.Port, gateway))));
            if (tcp is null)
                continue;
            yield return Chain(proxy, TcpRoutes.Filter(model, rule, tcp.Routes, server.Port, isGateway: true), null);
            yield break;
        }
    }

    private static Node Chain(ProxyView proxy, Node filter, Node? match) => Node.Map(
        ("filter_chain_match", match),
        ("filters", Node.List(proxy.HasIstioFilters ? [Shapes.Stats(true), Open(proxy, filter)] : [Open(proxy, filter)])),
        ("transport_socket_connect_timeout", "15s"));

    private static Node Open(ProxyView proxy, Node filter) => proxy.IsClosed ? Shapes.TcpProxy(Closed.Cluster, null) : filter;
}
