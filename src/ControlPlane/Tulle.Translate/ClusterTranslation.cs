using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Resources;

namespace Tulle.Translate;

/// <summary>CDS for one proxy.</summary>
internal static class ClusterTranslation
{
    private const string HttpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

    public static List<Node> Make(MeshModel model, ProxyView proxy)
    {
        var clusters = new List<Node> { BlackHole() };
        if (!proxy.IsRouter)
        {
            clusters.Add(Passthrough("InboundPassthroughCluster", proxy));
            clusters.Add(Passthrough("PassthroughCluster", proxy));
            clusters.AddRange(Inbound(model, proxy));
        }
        foreach (var service in model.Services.Where(s => s.IsVisibleIn(proxy.Namespace)))
        {
            var rule = model.RuleFor(service.Host, service.Namespace, proxy.Namespace);
            foreach (var port in service.Ports.Where(p => p.Protocol != PortProtocol.Udp))
            {
                // A router has no original destination: what it cannot name it cannot reach.
                if (proxy.IsRouter && service.Resolution is Resolution.None)
                    continue;
                clusters.Add(Outbound(model, proxy, service, port, rule, null));
                foreach (var subset in rule?.Subsets ?? [])
                    clusters.Add(Outbound(model, proxy, service, port, rule, subset));
            }
        }
        return clusters;
    }

    /// <summary>Secrets that destination rules name, for a router.</summary>
    public static IEnumerable<string> Credentials(MeshModel model, ProxyView proxy)
    {
        foreach (var service in model.Services.Where(s => s.IsVisibleIn(proxy.Namespace)))
        {
            var rule = model.RuleFor(service.Host, service.Namespace, proxy.Namespace);
            foreach (var port in rule is null ? [] : service.Ports)
            {
                yield return ClientTls.Credential(TrafficPolicies.Effective(rule!.TrafficPolicy, null, port.Port));
                foreach (var subset in rule.Subsets)
                    yield return ClientTls.Credential(TrafficPolicies.Effective(rule.TrafficPolicy, subset.TrafficPolicy, port.Port));
            }
        }
    }

    public static string Name(int port, string subset, string host) => $"outbound|{port}|{subset}|{host}";

    private static Node BlackHole() => Node.Map(("name", "BlackHoleCluster"), ("alt_stat_name", "BlackHoleCluster;"), ("type", "STATIC"), ("connect_timeout", "10s"));

    private static Node Passthrough(string name, ProxyView proxy)
    {
        var inbound = name.StartsWith("Inbound", StringComparison.Ordinal);
        return Node.Map(("name", name), ("alt_stat_name", "PassthroughCluster;"), ("type", "ORIGINAL_DST"), ("connect_timeout", "10s"), ("lb_policy", "CLUSTER_PROVIDED"),
            ("circuit_breakers", Thresholds(null)),
            ("typed_extension_protocol_options", Node.Map((HttpOptions, Node.Map(("@type", Shapes.Types + HttpOptions),
                ("common_http_protocol_options", Node.Map(("idle_timeout", "300s"))),
                ("use_downstream_protocol_config", Node.Map(("http_protocol_options", Node.Map()), ("http2_protocol_options", Node.Map()))))))),
            ("upstream_bind_config", inbound ? SourceAddress() : null),
            ("filters", inbound || !proxy.HasIstioFilters ? null : Node.List(Shapes.MetadataExchange())));
    }

    private static Node SourceAddress() => Node.Map(("source_address", Node.Map(("address", "127.0.0.6"), ("port_value", 0))));

    private static IEnumerable<Node> Inbound(MeshModel model, ProxyView proxy)
    {
        if (proxy.Workload is null)
            yield break;
        foreach (var group in model.ServicesOf(proxy.Workload).GroupBy(s => s.TargetPort).OrderBy(g => g.Key))
        {
            var protocol = group.First().Port.Protocol;
            // The service's own rule bounds what its sidecar lets in, too.
            var first = group.First().Service;
            var rule = model.RuleFor(first.Host, first.Namespace, proxy.Namespace);
            var policy = TrafficPolicies.Effective(rule?.TrafficPolicy, null, group.First().Port.Port);
            if (policy?["connectionPool"] is null)
                (rule, policy) = (null, null);
            yield return Node.Map(("name", $"inbound|{group.Key}||"), ("alt_stat_name", $"inbound|{group.Key}||;"), ("type", "ORIGINAL_DST"), ("connect_timeout", "10s"), ("lb_policy", "CLUSTER_PROVIDED"),
                ("circuit_breakers", Thresholds(policy)),
                ("typed_extension_protocol_options", ProtocolOptions(protocol)),
                ("cleanup_interval", "9223372035s"),
                ("upstream_bind_config", SourceAddress()),
                ("common_lb_config", Node.Map()),
                ("metadata", ServiceMetadata(group.Select(s => s.Service).Distinct(), rule, null)));
        }
    }

    private static Node? ProtocolOptions(PortProtocol protocol) => protocol switch
    {
        PortProtocol.Http2 => Options(("explicit_http_config", Node.Map(("http2_protocol_options", Node.Map())))),
        PortProtocol.Auto => Options(("use_downstream_protocol_config", Node.Map(("http_protocol_options", Node.Map()), ("http2_protocol_options", Node.Map())))),
        _ => null,
    };

    private static Node? UpstreamOptions(PortProtocol protocol, string? idle, Node? names)
    {
        if (idle is null && names is null)
            return ProtocolOptions(protocol);
        var ways = Node.Map(("http_protocol_options", Node.Map()), ("http2_protocol_options", Node.Map()));
        return Node.Map((HttpOptions, Node.Map(("@type", Shapes.Types + HttpOptions),
            ("common_http_protocol_options", idle is null ? null : Node.Map(("idle_timeout", idle))),
            ("upstream_http_protocol_options", names),
            ("explicit_http_config", protocol == PortProtocol.Auto ? null : Node.Map((protocol == PortProtocol.Http2 ? "http2_protocol_options" : "http_protocol_options", Node.Map()))),
            ("use_downstream_protocol_config", protocol == PortProtocol.Auto ? ways : null))));
    }

    private static Node Options((string, Node?) field) => Node.Map((HttpOptions, Node.Map(("@type", Shapes.Types + HttpOptions), field)));

    private static Node ServiceMetadata(IEnumerable<MeshService> services, DestinationRuleResource? rule, string? subset, bool keepsAlpn = false)
    {
        var list = services.ToList();
        return Node.Map(("filter_metadata", Node.Map(("istio", Node.Map(
            ("alpn_override", keepsAlpn ? "false" : null),
            ("config", rule is null ? null : $"/apis/networking.istio.io/v1/namespaces/{rule.Meta.Namespace}/destination-rule/{rule.Meta.Name}"),
            ("external", list.Exists(s => s.IsExternal) ? Node.Of(true) : null),
            ("services", Node.List(list.Select(s => Node.Map(("host", s.Host), ("name", s.Name), ("namespace", s.Namespace))).ToList())),
            ("subset", subset))))));
    }

    private static Node Outbound(MeshModel model, ProxyView proxy, MeshService service, MeshPort port, DestinationRuleResource? rule, SubsetResource? subset)
    {
        var name = Name(port.Port, subset?.Name ?? "", service.Host);
        var policy = TrafficPolicies.Effective(rule?.TrafficPolicy, subset?.TrafficPolicy, port.Port);
        // Headless services are reached at the address the client chose, but by name from a gateway.
        var discovery = service.Resolution switch
        {
            Resolution.Dns => "STRICT_DNS",
            Resolution.Headless when !proxy.IsRouter => "ORIGINAL_DST",
            Resolution.None => "ORIGINAL_DST",
            _ => "EDS",
        };
        var balance = TrafficPolicies.Balance(policy);
        if (policy?.At("loadBalancer", "simple")?.AsText == "PASSTHROUGH")
            discovery = "ORIGINAL_DST";
        var tls = ClientTls.Of(model, proxy, service, port, policy, subset?.Name ?? "", discovery == "ORIGINAL_DST");
        return Node.Map(
            ("transport_socket_matches", tls.Matches),
            ("name", name),
            ("alt_stat_name", name + ";"),
            ("type", discovery),
            ("eds_cluster_config", discovery == "EDS" ? Node.Map(("eds_config", Shapes.Ads), ("service_name", name)) : null),
            ("connect_timeout", TrafficPolicies.ConnectTimeout(policy)),
            ("lb_policy", discovery == "ORIGINAL_DST" ? "CLUSTER_PROVIDED" : balance),
            ("load_assignment", discovery == "STRICT_DNS" ? EndpointTranslation.Make(model, service, port, subset, rule, name) : null),
            ("circuit_breakers", Thresholds(policy)),
            ("max_requests_per_connection", TrafficPolicies.RequestsPerConnection(policy)),
            ("typed_extension_protocol_options", UpstreamOptions(port.Protocol, TrafficPolicies.IdleTimeout(policy), tls.AutomaticNames)),
            ("dns_refresh_rate", discovery == "STRICT_DNS" ? "60s" : null),
            ("dns_jitter", discovery == "STRICT_DNS" ? "0.100s" : null),
            ("respect_dns_ttl", discovery == "STRICT_DNS" ? Node.Of(true) : null),
            ("dns_lookup_family", discovery == "STRICT_DNS" ? "V4_ONLY" : null),
            ("typed_dns_resolver_config", discovery == "STRICT_DNS" ? Shapes.Typed("envoy.network.dns_resolver.cares", "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig", ("udp_max_queries", 100)) : null),
            ("outlier_detection", TrafficPolicies.Outlier(policy)),
            ("transport_socket", tls.Socket),
            ("common_lb_config", Node.Map(("healthy_panic_threshold", TrafficPolicies.PanicThreshold(policy)))),
            ("metadata", ServiceMetadata([service], rule, subset?.Name, tls.IsOriginated)),
            ("filters", proxy.HasIstioFilters ? Node.List(Shapes.MetadataExchange()) : null));
    }

    private static Node Thresholds(Node? policy)
    {
        const long Unlimited = uint.MaxValue;
        long Value(string a, string b, string c) => policy?.At(a, b, c)?.AsInteger is { } value and > 0 ? value : Unlimited;
        return Node.Map(("thresholds", Node.List(Node.Map(
            ("max_connections", Value("connectionPool", "tcp", "maxConnections")),
            ("max_pending_requests", Value("connectionPool", "http", "http1MaxPendingRequests")),
            ("max_requests", Value("connectionPool", "http", "http2MaxRequests")),
            ("max_retries", Value("connectionPool", "http", "maxRetries"))))));
    }
}
