using Tulle.Base.Documents;
using Tulle.Sidecar.Fields;
using Tulle.Xds;

namespace Tulle.Sidecar;

/// <summary>
/// What this proxy can do, as its xDS node says it: a control plane then never sends what would be refused. Made from the tables of fields, so that it
/// grows with them.
/// </summary>
internal static class Capabilities
{
    /// <summary>Where extensions go: Envoy's category, the message and field that hold one.</summary>
    private static readonly (string Category, MessageFields Holder, string Field)[] s_places =
    [
        ("envoy.filters.listener", ListenerFields.ListenerFilter, "typed_config"),
        ("envoy.filters.network", ListenerFields.NetworkFilter, "typed_config"),
        ("envoy.filters.http", HttpFilterFields.HttpFilter, "typed_config"),
        ("envoy.transport_sockets.downstream", CoreFields.DownstreamSocket, "typed_config"),
        ("envoy.transport_sockets.upstream", CoreFields.UpstreamSocket, "typed_config"),
        ("envoy.access_loggers", AccessLogFields.AccessLog, "typed_config"),
        ("envoy.clusters", ClusterFields.CustomClusterType, "typed_config"),
        ("envoy.upstream_options", ClusterFields.Cluster, "typed_extension_protocol_options"),
        ("envoy.http.original_ip_detection", ClientAddressFields.Detection, "typed_config"),
        ("envoy.http.early_header_mutation", EarlyHeaderFields.Extension, "typed_config"),
        ("envoy.request_id", HttpManagerFields.RequestIDExtension, "typed_config"),
        ("envoy.retry_host_predicates", RouteActionFields.RetryHostPredicate, "typed_config"),
        ("envoy.retry_priorities", RouteActionFields.RetryPriority, "typed_config"),
    ];

    /// <summary>Groups of fields that a control plane asks about before it sends them. A proxy has a group when it obeys all fields of it.</summary>
    private static readonly (string Name, (MessageFields Message, string Field)[] Fields)[] s_groups =
    [
        ("tulle.cluster.hash_policy", [(ClusterFields.Cluster, "ring_hash_lb_config"), (ClusterFields.Cluster, "maglev_lb_config"), (RouteActionFields.RouteAction, "hash_policy")]),
        ("tulle.cluster.health_checks", [(ClusterFields.Cluster, "health_checks")]),
        ("tulle.cluster.http2_protocol_options", [(UpstreamHttpFields.ExplicitHttpConfig, "http2_protocol_options")]),
        ("tulle.cluster.lb_subset_config", [(ClusterFields.Cluster, "lb_subset_config")]),
        ("tulle.cluster.locality_weighted_lb_config", [(ClusterBalanceFields.CommonLbConfig, "locality_weighted_lb_config")]),
        ("tulle.cluster.outlier_detection", [(ClusterFields.Cluster, "outlier_detection")]),
        ("tulle.cluster.preconnect_policy", [(ClusterFields.Cluster, "preconnect_policy")]),
        ("tulle.cluster.retry_budget", [(ClusterBalanceFields.Thresholds, "retry_budget")]),
        ("tulle.cluster.slow_start_config", [(ClusterBalanceFields.RoundRobinLbConfig, "slow_start_config"), (ClusterBalanceFields.LeastRequestLbConfig, "slow_start_config")]),
        ("tulle.listener.http2_protocol_options", [(HttpManagerFields.HttpConnectionManager, "http2_protocol_options")]),
        ("tulle.listener.tracing", [(HttpManagerFields.HttpConnectionManager, "tracing")]),
        ("tulle.route.internal_redirect_policy", [(RouteActionFields.RouteAction, "internal_redirect_policy")]),
        ("tulle.route.request_mirror_policies", [(RouteActionFields.RouteAction, "request_mirror_policies")]),
        ("tulle.tcp.hash_policy", [(NetworkFilterFields.TcpProxy, "hash_policy")]),
    ];

    /// <summary>Names of types that are none of Envoy's own.</summary>
    private static readonly Dictionary<string, string> s_names = new(StringComparer.Ordinal)
    {
        [HttpFilterFields.PeerMetadata.Name] = "istio.metadata_exchange",
        [NetworkFilterFields.MetadataExchange.Name] = "istio.metadata_exchange",
        [NetworkFilterFields.IstioStats.Name] = "istio.stats",
        [HttpFilterFields.Alpn.Name] = "istio.alpn",
    };

    /// <summary>node.extensions: every type that is run, under its category and Envoy's name.</summary>
    public static IEnumerable<Node> Extensions()
    {
        foreach (var (category, holder, field) in s_places)
        {
            if (holder.Find(field) is not { Word: FieldWord.Obeyed } rule)
                continue;
            foreach (var message in rule.Messages)
                yield return Node.Map(("name", NameOf(message.Name)), ("category", category), ("type_urls", Node.List([Node.Of(XdsTypes.Prefix + message.Name)])));
        }
    }

    /// <summary>node.client_features: the groups of fields that are obeyed.</summary>
    public static IEnumerable<string> Features() => s_groups.Where(g => g.Fields.All(f => f.Message.Find(f.Field) is { Word: FieldWord.Obeyed })).Select(g => g.Name);

    /// <summary>All groups there are, with their fields.</summary>
    public static IEnumerable<(string Name, (MessageFields Message, string Field)[] Fields)> Groups => s_groups;

    /// <summary>envoy.extensions.filters.http.router.v3.Router is called envoy.filters.http.router.</summary>
    private static string NameOf(string type)
    {
        const string Prefix = "envoy.extensions.";
        if (s_names.TryGetValue(type, out var name))
            return name;
        var end = type.LastIndexOf(".v3.", StringComparison.Ordinal);
        return end > Prefix.Length && type.StartsWith(Prefix, StringComparison.Ordinal) ? string.Concat("envoy.", type.AsSpan(Prefix.Length, end - Prefix.Length)) : type;
    }
}
