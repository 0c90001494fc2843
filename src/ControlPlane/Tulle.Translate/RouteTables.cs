using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Resources;

namespace Tulle.Translate;

/// <summary>RDS: which names, and what is behind each.</summary>
internal static class RouteTables
{
    private static Node Table(string name, List<Node> hosts) => Node.Map(("name", name), ("virtual_hosts", Node.List(hosts)), ("validate_clusters", false),
        ("max_direct_response_body_size_bytes", 1048576), ("ignore_port_in_host_matching", true));

    private static Node VirtualHost(string name, IEnumerable<string> domains, List<Node> routes, bool requireTls = false) => Node.Map(("name", name), ("domains", Shapes.Strings(domains)),
        ("routes", routes.Count > 0 ? Node.List(routes) : null), ("require_tls", requireTls ? "ALL" : null), ("include_request_attempt_count", true));

    public static IEnumerable<Node> Sidecar(MeshModel model, ProxyView proxy)
    {
        var services = model.Services.Where(s => s.IsVisibleIn(proxy.Namespace)).ToList();
        var ports = services.SelectMany(s => s.Ports).Where(p => p.Protocol is PortProtocol.Http or PortProtocol.Http2).Select(p => p.Port).Distinct().Order();
        foreach (var port in ports)
            yield return Table(port.ToString(System.Globalization.CultureInfo.InvariantCulture), Hosts(model, proxy, services, port));
        foreach (var service in services.Where(s => s.Address.Length > 0))
        {
            foreach (var port in service.Ports.Where(p => p.Protocol == PortProtocol.Auto))
                yield return Table($"{service.Host}:{port.Port}", [VirtualHost($"{service.Host}:{port.Port}", ["*"], ServiceRoutes(model, proxy, service, port.Port))]);
        }
    }

    /// <summary>The routes of one port of one service, under the names a client may dial.</summary>
    public static Node One(MeshModel model, ProxyView proxy, string name, MeshService service, int port) =>
        Table(name, [VirtualHost($"{service.Host}:{port}", [service.Host, $"{service.Host}:{port}", "*"], ServiceRoutes(model, proxy, service, port))]);

    private static List<Node> Hosts(MeshModel model, ProxyView proxy, List<MeshService> services, int port)
    {
        var hosts = new SortedDictionary<string, Node>(StringComparer.Ordinal);
        foreach (var service in services.Where(s => s.Ports.Any(p => p.Port == port && p.Protocol is PortProtocol.Http or PortProtocol.Http2)))
            hosts[service.Host] = VirtualHost($"{service.Host}:{port}", Domains(service, proxy), ServiceRoutes(model, proxy, service, port));
        // A rule's host that is no service of this port still is a name that requests may carry.
        foreach (var rule in model.MeshRules(proxy.Namespace).Where(r => r.Http.Count > 0))
        {
            foreach (var host in rule.Hosts)
            {
                var full = model.FindDestination(host, rule.Meta.Namespace)?.Host ?? model.ResolveHost(host, rule.Meta.Namespace);
                if (full == "*" || hosts.ContainsKey(full))
                    continue;
                hosts[full] = VirtualHost($"{full}:{port}", [full], RouteTranslation.Routes(model, proxy, rule, port, null));
            }
        }
        var result = hosts.Values.ToList();
        result.Add(VirtualHost("allow_any", ["*"], [Node.Map(("name", "allow_any"), ("match", Node.Map(("prefix", "/"))),
            ("route", Node.Map(("cluster", "PassthroughCluster"), ("timeout", "0s"), ("max_grpc_timeout", "0s"))))]));
        return result;
    }

    private static List<Node> ServiceRoutes(MeshModel model, ProxyView proxy, MeshService service, int port)
    {
        var rule = model.MeshRules(proxy.Namespace).FirstOrDefault(r => r.Http.Count > 0 && r.Hosts.Any(h => MeshModel.Matches(model.FindDestination(h, r.Meta.Namespace)?.Host ?? model.ResolveHost(h, r.Meta.Namespace), service.Host)));
        var routes = rule is null ? [] : RouteTranslation.Routes(model, proxy, rule, port, null);
        // A rule none of whose matches is for this client says nothing: the service is reached as without it.
        return routes.Count > 0 ? routes : [Default(service.Host, port)];
    }

    private static Node Default(string host, int port) => Node.Map(("name", "default"), ("match", Node.Map(("prefix", "/"))),
        ("route", Node.Map(("cluster", ClusterTranslation.Name(port, "", host)), ("timeout", "0s"), ("retry_policy", RouteTranslation.DefaultRetry()), ("max_grpc_timeout", "0s"))),
        ("decorator", Node.Map(("operation", $"{host}:{port}/*"))));

    /// <summary>Every way to write a service's name from a namespace.</summary>
    private static List<string> Domains(MeshService service, ProxyView proxy)
    {
        var names = new List<string> { service.Host, service.Host + "." };
        if (service.EntryName.Length == 0)
        {
            if (service.Namespace == proxy.Namespace)
                names.Add(service.Name);
            names.Add($"{service.Name}.{service.Namespace}");
            names.Add($"{service.Name}.{service.Namespace}.svc");
        }
        var result = new List<string>(names);
        if (service.Resolution == Resolution.Headless)
            result.AddRange(names.Select(n => "*." + n));
        if (service.Address.Length > 0)
            result.Add(service.Address);
        return result;
    }

    /// <summary>Servers of the gateways that select this router, with the port at which it listens for each.</summary>
    public static IEnumerable<(GatewayResource Gateway, GatewayServerResource Server, int Port)> Servers(MeshModel model, ProxyView proxy)
    {
        var exposed = proxy.Workload is null ? [] : model.ServicesOf(proxy.Workload).ToList();
        foreach (var gateway in model.Resources.Gateways.OrderBy(g => g.Meta.Order))
        {
            if (!gateway.Selector.All(s => proxy.Label(s.Key) == s.Value))
                continue;
            foreach (var server in gateway.Servers)
            {
                // The gateway's Service maps the port that clients use to the one at the pod.
                var target = exposed.Where(e => e.Port.Port == server.Port).Select(e => e.TargetPort).FirstOrDefault();
                yield return (gateway, server, target > 0 ? target : server.Port);
            }
        }
    }

    /// <summary>Plain HTTP; tls there can only say that it is redirected.</summary>
    public static bool IsHttp(GatewayServerResource server) => server.Protocol is "HTTP" or "HTTP2" or "GRPC" or "GRPC-WEB";

    public static bool IsHttps(GatewayServerResource server) => server.Protocol == "HTTPS" && server.Tls.Terminates;

    public static string HttpsName(GatewayResource gateway, GatewayServerResource server) => $"https.{server.Port}.{server.PortName}.{gateway.Meta.Name}.{gateway.Meta.Namespace}";

    public static IEnumerable<Node> Router(MeshModel model, ProxyView proxy)
    {
        var all = Servers(model, proxy).ToList();
        foreach (var group in all.Where(s => IsHttp(s.Server)).GroupBy(s => s.Port))
            yield return proxy.IsClosed ? Closed.Table($"http.{group.Key}") : Table($"http.{group.Key}", GatewayHosts(model, proxy, group.ToList()));
        foreach (var (gateway, server, port) in all.Where(s => IsHttps(s.Server)))
            yield return proxy.IsClosed ? Closed.Table(HttpsName(gateway, server)) : Table(HttpsName(gateway, server), GatewayHosts(model, proxy, [(gateway, server, port)]));
    }

    private static List<Node> GatewayHosts(MeshModel model, ProxyView proxy, List<(GatewayResource Gateway, GatewayServerResource Server, int Port)> servers)
    {
        var hosts = new Dictionary<string, (List<Node> Routes, bool Tls, int Port)>(StringComparer.Ordinal);
        foreach (var (gateway, server, _) in servers)
        {
            foreach (var rule in GatewayRules.Of(model, proxy, gateway))
            {
                foreach (var full in GatewayRules.Hosts(model, gateway, server, rule))
                {
                    if (!hosts.TryGetValue(full, out var entry))
                        hosts[full] = entry = ([], server.Tls.HttpsRedirect, server.Port);
                    entry.Routes.AddRange(RouteTranslation.Routes(model, proxy, rule, server.Port, gateway));
                }
            }
        }
        if (hosts.Count == 0)
            return [VirtualHost($"blackhole:{servers[0].Server.Port}", ["*"], [])];
        return hosts.OrderBy(h => h.Key, StringComparer.Ordinal).Select(h => VirtualHost($"{h.Key}:{h.Value.Port}", [h.Key], h.Value.Routes, h.Value.Tls)).ToList();
    }
}
