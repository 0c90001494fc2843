using Tulle.Base.Documents;
using Tulle.Model;

namespace Tulle.Translate;

/// <summary>LDS of a sidecar, outbound side: virtualOutbound, and one virtual listener per port or address.</summary>
internal static class OutboundListeners
{
    public static IEnumerable<Node> Make(MeshModel model, ProxyView proxy)
    {
        var log = model.Settings.AccessLog;
        yield return Virtual(proxy, log);
        var services = model.Services.Where(s => s.IsVisibleIn(proxy.Namespace)).ToList();
        var httpPorts = services.SelectMany(s => s.Ports).Where(p => p.Protocol is PortProtocol.Http or PortProtocol.Http2).Select(p => p.Port).ToHashSet();
        foreach (var port in httpPorts.Order())
            yield return Http("0.0.0.0", port, port.ToString(System.Globalization.CultureInfo.InvariantCulture), proxy, log, Passthrough(proxy, log));
        var wildcard = new SortedDictionary<int, List<(string Host, Node Filter)>>();
        foreach (var service in services)
        {
            foreach (var port in service.Ports.Where(p => p.Protocol is PortProtocol.Tcp or PortProtocol.Tls or PortProtocol.Auto))
            {
                var cluster = TcpFilter(model, proxy, service, port);
                if (service.Address.Length > 0 && port.Protocol == PortProtocol.Auto)
                    yield return Http(service.Address, port.Port, $"{service.Host}:{port.Port}", proxy, log, Chain(proxy, cluster, null, withTimeout: true));
                else if (service.Address.Length > 0)
                    yield return Listener($"{service.Address}_{port.Port}", service.Address, port.Port, [Chain(proxy, cluster, null, withTimeout: true)], null, null);
                else if (service.Resolution == Resolution.Headless)
                {
                    // One listener per pod address: the client picked the pod.
                    foreach (var endpoint in model.EndpointsOf(service, port).Where(e => e.IsReady && e.Address != proxy.Address))
                        yield return Listener($"{endpoint.Address}_{port.Port}", endpoint.Address, port.Port, [Chain(proxy, cluster, null, withTimeout: true)], null, null);
                }
                else if (!httpPorts.Contains(port.Port))
                {
                    if (!wildcard.TryGetValue(port.Port, out var list))
                        wildcard[port.Port] = list = [];
                    list.Add((port.Protocol == PortProtocol.Tls ? service.Host : "", cluster));
                }
            }
        }
        foreach (var (port, entries) in wildcard)
        {
            var chains = entries.Where(e => e.Host.Length > 0).Select(e => Chain(proxy, e.Filter, Node.Map(("server_names", Shapes.Strings([e.Host]))), withTimeout: true)).ToList();
            var plain = entries.Where(e => e.Host.Length == 0).Take(1).Select(e => Chain(proxy, e.Filter, null, withTimeout: true)).ToList();
            yield return Listener($"0.0.0.0_{port}", "0.0.0.0", port, [.. chains, .. plain], plain.Count > 0 ? null : Passthrough(proxy, log),
                chains.Count > 0 ? Shapes.Typed("envoy.filters.listener.tls_inspector", "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", ("initial_read_buffer_size", 512)) : null);
        }
    }

    /// <summary>tcp rules may send a whole service elsewhere or split it.</summary>
    private static Node TcpFilter(MeshModel model, ProxyView proxy, MeshService service, MeshPort port)
    {
        foreach (var rule in model.MeshRules(proxy.Namespace).Where(r => r.Tcp.Count > 0 && r.Hosts.Any(h => model.FindDestination(h, r.Meta.Namespace) == service)))
        {
            foreach (var tcp in rule.Tcp)
            {
                if (tcp.Routes.Count > 0 && (tcp.Matches.Count == 0 || tcp.Matches.Any(m => GatewayRules.Applies(model, m, rule, proxy, port.Port, gateway: null))))
                    return TcpRoutes.Filter(model, rule, tcp.Routes, port.Port, isGateway: false);
            }
        }
        return Shapes.TcpProxy(ClusterTranslation.Name(port.Port, "", service.Host), Shapes.AccessLog(model.Settings.AccessLog));
    }

    private static Node Virtual(ProxyView proxy, AccessLogSettings log) => Node.Map(
        ("name", "virtualOutbound"),
        ("address", Shapes.Socket("0.0.0.0", 15001)),
        ("filter_chains", Node.List(
            Named(Chain(proxy, "BlackHoleCluster", Node.Map(("destination_port", 15001)), log), "virtualOutbound-blackhole"),
            Named(Chain(proxy, "PassthroughCluster", null, log), "virtualOutbound-catchall-tcp"))),
        ("use_original_dst", true),
        ("traffic_direction", "OUTBOUND"),
        ("max_connections_to_accept_per_socket_event", 1));

    private static Node Named(Node chain, string name) => chain.With("name", name);

    private static Node Chain(ProxyView proxy, string cluster, Node? match, AccessLogSettings log, bool withTimeout = false) =>
        Chain(proxy, Shapes.TcpProxy(cluster, Shapes.AccessLog(log)), match, withTimeout);

    private static Node Chain(ProxyView proxy, Node filter, Node? match, bool withTimeout) => Node.Map(
        ("filter_chain_match", match),
        ("filters", Node.List(proxy.HasIstioFilters ? [Shapes.Stats(false), filter] : [filter])),
        ("transport_socket_connect_timeout", withTimeout ? "15s" : null));

    private static Node Passthrough(ProxyView proxy, AccessLogSettings log) => Named(Chain(proxy, "PassthroughCluster", Node.Map(), log), "PassthroughFilterChain");

    private static Node Http(string address, int port, string routes, ProxyView proxy, AccessLogSettings log, Node fallback) => Listener($"{address}_{port}", address, port,
        [Node.Map(
            ("filter_chain_match", Node.Map(("transport_protocol", "raw_buffer"), ("application_protocols", Shapes.Strings(["http/1.1", "h2c"])))),
            ("filters", Node.List(HttpManagers.Make(proxy, ManagerSide.Outbound, $"outbound_{address}_{port}", null, routes, log))),
            ("transport_socket_connect_timeout", "15s"))],
        fallback, Shapes.Typed("envoy.filters.listener.http_inspector", "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"));

    private static Node Listener(string name, string address, int port, List<Node> chains, Node? fallback, Node? inspector) => Node.Map(
        ("name", name),
        ("address", Shapes.Socket(address, port)),
        ("filter_chains", Node.List(chains)),
        ("default_filter_chain", fallback),
        ("listener_filters", inspector is null ? null : Node.List(inspector)),
        ("listener_filters_timeout", "0s"),
        ("traffic_direction", "OUTBOUND"),
        ("continue_on_listener_filters_timeout", true),
        ("bind_to_port", false));
}
