using Tulle.Base.Documents;
using Tulle.Model;

namespace Tulle.Translate;

/// <summary>LDS of a sidecar, inbound side: virtualInbound with a group of chains per port, by the mutual TLS mode of that port.</summary>
internal static class InboundListeners
{
    private static readonly string[] MeshHttp = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
    private static readonly string[] MeshTcp = ["istio-peer-exchange", "istio"];
    private static readonly string[] MeshAny = ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];
    private static readonly string[] PlainHttp = ["http/1.1", "h2c"];

    private sealed record Port(int Number, PortProtocol Protocol, string Cluster, string HttpHostName, string Operation, string ChainName, string StatPrefix, bool Retry);

    public static Node Make(MeshModel model, ProxyView proxy)
    {
        var chains = new List<Node> { Named("virtualInbound-blackhole", TcpChain(model, proxy, "BlackHoleCluster", Node.Map(("destination_port", 15006)), tls: false)) };
        var ports = Ports(model, proxy).ToList();
        var catchAll = new Port(0, PortProtocol.Auto, "InboundPassthroughCluster", "inbound|http|0", ":0/*", "virtualInbound", "InboundPassthroughCluster", true);
        var needsHttpInspector = AddCatchAll(model, proxy, catchAll, Mode(model, proxy, 0), chains);
        var fixedPorts = new List<int>();
        foreach (var port in ports)
        {
            var mode = Mode(model, proxy, port.Number);
            AddPort(model, proxy, port, mode, chains);
            if (port.Protocol != PortProtocol.Auto)
                fixedPorts.Add(port.Number);
            else
                needsHttpInspector |= mode != "STRICT";
        }
        var filters = new List<Node>
        {
            Shapes.Typed("envoy.filters.listener.original_dst", "envoy.extensions.filters.listener.original_dst.v3.OriginalDst"),
            Shapes.Typed("envoy.filters.listener.tls_inspector", "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", ("initial_read_buffer_size", 512)).With("filter_disabled", Range(15006)),
        };
        if (needsHttpInspector)
        {
            filters.Add(Shapes.Typed("envoy.filters.listener.http_inspector", "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector")
                .With("filter_disabled", fixedPorts.Count == 0 ? Range(15006) : Node.Map(("or_match", Node.Map(("rules", Node.List(fixedPorts.Append(15006).Select(Range).ToList())))))));
        }
        return Node.Map(
            ("name", "virtualInbound"),
            ("address", Shapes.Socket("0.0.0.0", 15006)),
            ("filter_chains", Node.List(chains)),
            ("listener_filters", Node.List(filters)),
            ("listener_filters_timeout", "0s"),
            ("traffic_direction", "INBOUND"),
            ("continue_on_listener_filters_timeout", true),
            ("max_connections_to_accept_per_socket_event", 1));
    }

    private static Node Range(int port) => Node.Map(("destination_port_range", Node.Map(("start", port), ("end", port + 1))));

    private static string Mode(MeshModel model, ProxyView proxy, int port) => model.MutualTlsMode(proxy.Namespace, proxy.Labels, port);

    private static IEnumerable<Port> Ports(MeshModel model, ProxyView proxy)
    {
        if (proxy.Workload is null)
            yield break;
        foreach (var group in model.ServicesOf(proxy.Workload).GroupBy(s => s.TargetPort).OrderBy(g => g.Key))
        {
            var (service, port, number) = group.First();
            yield return new Port(number, port.Protocol, $"inbound|{number}||", $"inbound|http|{port.Port}", $"{service.Host}:{port.Port}/*", $"0.0.0.0_{number}", $"inbound_0.0.0.0_{number}",
                port.Protocol != PortProtocol.Http2);
        }
    }

    private static bool AddCatchAll(MeshModel model, ProxyView proxy, Port port, string mode, List<Node> chains)
    {
        if (mode != "DISABLE")
            chains.Add(Named("virtualInbound-catchall-http", HttpChain(model, proxy, port, Match(0, "tls", MeshHttp), tls: true)));
        if (mode != "STRICT")
            chains.Add(Named("virtualInbound-catchall-http", HttpChain(model, proxy, port, Match(0, "raw_buffer", PlainHttp), tls: false)));
        if (mode != "DISABLE")
            chains.Add(Named("virtualInbound", TcpChain(model, proxy, port.Cluster, Match(0, "tls", mode == "STRICT" ? [] : MeshTcp), tls: true)));
        if (mode != "STRICT")
        {
            chains.Add(Named("virtualInbound", TcpChain(model, proxy, port.Cluster, Match(0, "raw_buffer", []), tls: false)));
            chains.Add(Named("virtualInbound", TcpChain(model, proxy, port.Cluster, Match(0, "tls", []), tls: false)));
        }
        return mode != "STRICT";
    }

    private static void AddPort(MeshModel model, ProxyView proxy, Port port, string mode, List<Node> chains)
    {
        void Add(Node chain) => chains.Add(Named(port.ChainName, chain));
        var strict = mode == "STRICT";
        switch (port.Protocol)
        {
            case PortProtocol.Http or PortProtocol.Http2:
                if (mode != "DISABLE")
                    Add(HttpChain(model, proxy, port, Match(port.Number, "tls", strict ? [] : MeshAny), tls: true));
                if (!strict)
                    Add(HttpChain(model, proxy, port, Match(port.Number, "raw_buffer", []), tls: false));
                break;
            case PortProtocol.Auto:
                if (mode != "DISABLE")
                    Add(HttpChain(model, proxy, port, Match(port.Number, "tls", MeshHttp), tls: true));
                if (!strict)
                    Add(HttpChain(model, proxy, port, Match(port.Number, "raw_buffer", PlainHttp), tls: false));
                if (mode != "DISABLE")
                    Add(TcpChain(model, proxy, port.Cluster, Match(port.Number, "tls", strict ? [] : MeshTcp), tls: true));
                if (!strict)
                {
                    Add(TcpChain(model, proxy, port.Cluster, Match(port.Number, "raw_buffer", []), tls: false));
                    Add(TcpChain(model, proxy, port.Cluster, Match(port.Number, "tls", []), tls: false));
                }
                break;
            default:
                if (mode != "DISABLE")
                    Add(TcpChain(model, proxy, port.Cluster, Match(port.Number, "tls", strict ? [] : MeshAny), tls: true));
                if (!strict)
                {
                    Add(TcpChain(model, proxy, port.Cluster, Match(port.Number, "tls", []), tls: false));
                    Add(TcpChain(model, proxy, port.Cluster, Match(port.Number, "raw_buffer", []), tls: false));
                }
                break;
        }
    }

    private static Node Match(int port, string transport, IReadOnlyCollection<string> protocols) => Node.Map(
        ("destination_port", port > 0 ? Node.Of((long)port) : null), ("transport_protocol", transport), ("application_protocols", Shapes.StringsOrNull(protocols)));

    private static Node Named(string name, Node chain) => chain.With("name", name);

    private static Node TcpChain(MeshModel model, ProxyView proxy, string cluster, Node match, bool tls)
    {
        var filters = new List<Node>();
        if (proxy.HasIstioFilters)
            filters.AddRange([Shapes.MetadataExchange(), Shapes.Stats(true)]);
        filters.Add(Shapes.TcpProxy(proxy.IsClosed ? Closed.Cluster : cluster, Shapes.AccessLog(model.Settings.AccessLog)));
        return Node.Map(("filter_chain_match", match), ("filters", Node.List(filters)), ("transport_socket", tls ? TlsShapes.Inbound(proxy, isTcp: true, model.Settings.TrustDomain) : null));
    }

    private static Node HttpChain(MeshModel model, ProxyView proxy, Port port, Node match, bool tls)
    {
        var routes = proxy.IsClosed ? Closed.Table(port.Cluster) : Node.Map(
            ("name", port.Cluster),
            ("virtual_hosts", Node.List(Node.Map(("name", port.HttpHostName), ("domains", Shapes.Strings(["*"])), ("routes", Node.List(Node.Map(
                ("name", "default"),
                ("match", Node.Map(("prefix", "/"))),
                ("route", Node.Map(("cluster", port.Cluster), ("timeout", "0s"),
                    ("retry_policy", port.Retry ? Node.Map(("retry_on", "reset-before-request"), ("num_retries", 2)) : null),
                    ("max_stream_duration", Node.Map(("max_stream_duration", "0s"), ("grpc_timeout_header_max", "0s"))))),
                ("decorator", Node.Map(("operation", port.Operation))))))))),
            ("validate_clusters", false));
        var filters = new List<Node>();
        if (proxy.HasIstioFilters)
            filters.Add(Shapes.MetadataExchange());
        filters.Add(HttpManagers.Make(proxy, ManagerSide.Inbound, port.StatPrefix, routes, null, model.Settings.AccessLog));
        return Node.Map(("filter_chain_match", match), ("filters", Node.List(filters)), ("transport_socket", tls ? TlsShapes.Inbound(proxy, isTcp: false, model.Settings.TrustDomain) : null));
    }
}
