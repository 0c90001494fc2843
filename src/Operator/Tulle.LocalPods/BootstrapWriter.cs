using Tulle.Base.Documents;

namespace Tulle.LocalPods;

/// <summary>The proxy's bootstrap: Istio's shape, with the control plane and the certificate agent on unix sockets. A stock Envoy starts from it too.</summary>
internal static class BootstrapWriter
{
    public static Node Make(LocalPod pod, string xdsSocket, string sdsSocket)
    {
        var metadata = Node.Map(
            ("CLUSTER_ID", "Kubernetes"),
            ("INSTANCE_IPS", pod.Address),
            ("INTERCEPTION_MODE", "REDIRECT"),
            ("ISTIO_VERSION", "1.31.0"),
            ("LABELS", Node.Map(pod.Injected.Labels.Select(l => new KeyValuePair<string, Node>(l.Key, l.Value)).ToList())),
            ("MESH_ID", "cluster.local"),
            ("NAME", pod.Name),
            ("NAMESPACE", pod.Namespace),
            ("SERVICE_ACCOUNT", pod.ServiceAccount),
            ("WORKLOAD_NAME", pod.OwnerName));
        var role = pod.Injected.IsGateway ? "router" : "sidecar";
        return Node.Map(
            ("node", Node.Map(("id", $"{role}~{pod.Address}~{pod.Name}.{pod.Namespace}~{pod.Namespace}.svc.cluster.local"), ("cluster", $"{pod.OwnerName}.{pod.Namespace}"), ("locality", Node.Map()), ("metadata", metadata))),
            ("admin", Node.Map(("address", Address("127.0.0.1", 15000)))),
            ("dynamic_resources", Node.Map(
                ("lds_config", Ads()), ("cds_config", Ads()),
                ("ads_config", Node.Map(("api_type", "DELTA_GRPC"), ("set_node_on_first_message_only", true), ("transport_api_version", "V3"),
                    ("grpc_services", Node.List(Node.Map(("envoy_grpc", Node.Map(("cluster_name", "xds-grpc")))))))))),
            ("static_resources", Node.Map(
                ("clusters", Node.List(
                    Cluster("prometheus_stats", Address("127.0.0.1", 15000), http2: false),
                    Cluster("sds-grpc", Pipe(sdsSocket), http2: true),
                    Cluster("xds-grpc", Pipe(xdsSocket), http2: true))),
                ("listeners", Node.List(
                    Listener(15090, "stats", "/stats/prometheus", null),
                    Listener(15021, "agent", "/healthz/ready", "/ready"))))));
    }

    private static Node Ads() => Node.Map(("ads", Node.Map()), ("initial_fetch_timeout", "0s"), ("resource_api_version", "V3"));

    private static Node Address(string host, int port) => Node.Map(("socket_address", Node.Map(("address", host), ("port_value", port))));

    private static Node Pipe(string path) => Node.Map(("pipe", Node.Map(("path", path))));

    private static Node Cluster(string name, Node address, bool http2)
    {
        const string Options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        var protocol = Node.Map(("@type", "type.googleapis.com/" + Options), ("explicit_http_config", Node.Map(("http2_protocol_options", Node.Map()))));
        var endpoint = Node.Map(("endpoint", Node.Map(("address", address))));
        var endpoints = Node.List(Node.Map(("lb_endpoints", Node.List(endpoint))));
        return Node.Map(("name", name), ("type", "STATIC"), ("connect_timeout", "1s"),
            ("typed_extension_protocol_options", http2 ? Node.Map((Options, protocol)) : null),
            ("load_assignment", Node.Map(("cluster_name", name), ("endpoints", endpoints))));
    }

    private static Node Listener(int port, string prefix, string path, string? rewrite)
    {
        const string Manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
        var route = Node.Map(("match", Node.Map(("prefix", path))), ("route", Node.Map(("cluster", "prometheus_stats"), ("prefix_rewrite", rewrite))));
        var host = Node.Map(("name", "backend"), ("domains", Node.List("*")), ("routes", Node.List(route)));
        var router = Node.Map(("name", "envoy.filters.http.router"), ("typed_config", Node.Map(("@type", "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"))));
        var manager = Node.Map(("@type", "type.googleapis.com/" + Manager), ("codec_type", "AUTO"), ("stat_prefix", prefix),
            ("route_config", Node.Map(("virtual_hosts", Node.List(host)))), ("http_filters", Node.List(router)));
        var filter = Node.Map(("name", "envoy.filters.network.http_connection_manager"), ("typed_config", manager));
        return Node.Map(("name", $"0.0.0.0_{port}"), ("address", Address("0.0.0.0", port)), ("filter_chains", Node.List(Node.Map(("filters", Node.List(filter))))));
    }
}
