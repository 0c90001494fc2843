using Tulle.Base.Documents;
using Tulle.Model;

namespace Tulle.Translate;

internal enum ManagerSide : byte
{
    Outbound,
    Inbound,
    Gateway,
}

/// <summary>HTTP connection managers, the same in shape for sidecars (both sides) and gateways.</summary>
internal static class HttpManagers
{
    private static readonly string[] DryRun = ["allow", "deny"];

    public static Node Make(ProxyView proxy, ManagerSide side, string statPrefix, Node? inlineRoutes, string? routeName, AccessLogSettings accessLog)
    {
        var fields = new List<(string, Node?)>
        {
            ("stat_prefix", statPrefix + ";"),
            ("rds", routeName is null ? null : Node.Map(("config_source", Shapes.Ads), ("route_config_name", routeName))),
            ("route_config", inlineRoutes),
            ("http_filters", Node.List(Filters(proxy, side))),
            ("tracing", Tracing(proxy)),
            ("http_protocol_options", side == ManagerSide.Gateway ? Node.Map() : null),
            ("server_name", side == ManagerSide.Outbound ? null : Node.Of("istio-envoy")),
            ("access_log", Shapes.AccessLog(accessLog)),
            ("use_remote_address", side == ManagerSide.Gateway),
            ("forward_client_cert_details", side switch { ManagerSide.Inbound => "APPEND_FORWARD", ManagerSide.Gateway => "SANITIZE_SET", _ => null }),
            ("set_current_client_cert_details", side switch
            {
                ManagerSide.Inbound => Node.Map(("subject", true), ("dns", true), ("uri", true)),
                ManagerSide.Gateway => Node.Map(("subject", true), ("cert", true), ("dns", true), ("uri", true)),
                _ => null,
            }),
            ("upgrade_configs", Node.List(Node.Map(("upgrade_type", "websocket")))),
            ("stream_idle_timeout", "0s"),
            ("normalize_path", true),
            ("request_id_extension", Node.Map(("typed_config", Node.Map(("@type", Shapes.Types + "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig"), ("use_request_id_for_trace_sampling", true))))),
            ("path_with_escaped_slashes_action", "KEEP_UNCHANGED"),
            ("proxy_100_continue", true),
        };
        return Shapes.Typed("envoy.filters.network.http_connection_manager", "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", fields.ToArray());
    }

    private static List<Node> Filters(ProxyView proxy, ManagerSide side)
    {
        var inbound = side == ManagerSide.Inbound;
        var filters = new List<Node>();
        if (proxy.HasIstioFilters)
        {
            var discovery = Node.List(Node.Map(("istio_headers", Node.Map())), Node.Map(("workload_discovery", Node.Map())));
            var propagation = Node.List(Node.Map(("istio_headers", Node.Map())));
            filters.Add(Shapes.Struct("istio.metadata_exchange", "io.istio.http.peer_metadata.Config", inbound
                ? Node.Map(("downstream_discovery", discovery), ("downstream_propagation", propagation))
                : Node.Map(("upstream_discovery", discovery), ("upstream_propagation", propagation))));
        }
        filters.Add(Shapes.Typed("envoy.filters.http.grpc_stats", "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", ("emit_filter_state", true), ("stats_for_all_methods", false)));
        if (!inbound && proxy.HasIstioFilters)
        {
            filters.Add(Shapes.Typed("istio.alpn", "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig", ("alpn_override", Node.List(
                Node.Map(("alpn_override", Shapes.Strings(["istio-http/1.0", "istio", "http/1.0"]))),
                Node.Map(("upstream_protocol", "HTTP11"), ("alpn_override", Shapes.Strings(["istio-http/1.1", "istio", "http/1.1"]))),
                Node.Map(("upstream_protocol", "HTTP2"), ("alpn_override", Shapes.Strings(["istio-h2", "istio", "h2"])))))));
        }
        filters.Add(Shapes.Typed("envoy.filters.http.fault", "envoy.extensions.filters.http.fault.v3.HTTPFault"));
        filters.Add(Shapes.Typed("envoy.filters.http.cors", "envoy.extensions.filters.http.cors.v3.Cors"));
        if (proxy.HasIstioFilters)
            filters.Add(Shapes.Stats(side != ManagerSide.Outbound));
        filters.Add(Shapes.Typed("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router"));
        return filters;
    }

    private static Node Tracing(ProxyView proxy)
    {
        var tags = new List<Node>();
        foreach (var action in DryRun)
        {
            foreach (var (suffix, key) in new[] { ("name", "effective_policy_id"), ("result", "engine_result") })
            {
                tags.Add(Node.Map(("tag", $"istio.authorization.dry_run.{action}_policy.{suffix}"), ("metadata", Node.Map(
                    ("kind", Node.Map(("request", Node.Map()))),
                    ("metadata_key", Node.Map(("key", "envoy.filters.http.rbac"), ("path", Node.List(Node.Map(("key", $"istio_dry_run_{action}_shadow_{key}"))))))))));
            }
        }
        foreach (var (tag, value) in new[]
                 {
                     ("canonical_revision", proxy.CanonicalRevision), ("canonical_service", proxy.CanonicalName), ("cluster_id", proxy.ClusterId), ("mesh_id", proxy.MeshId), ("namespace", proxy.Namespace),
                 })
        {
            tags.Add(Node.Map(("tag", "istio." + tag), ("literal", Node.Map(("value", value)))));
        }
        return Node.Map(("client_sampling", Percent(100)), ("random_sampling", Percent(1)), ("overall_sampling", Percent(100)), ("custom_tags", Node.List(tags)));
    }

    private static Node Percent(int value) => Node.Map(("value", value));
}
