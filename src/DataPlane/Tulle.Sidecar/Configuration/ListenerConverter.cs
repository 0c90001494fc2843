using Tulle.Base.Documents;
using Tulle.Sidecar.Fields;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

internal sealed record ConvertedListener(ListenerConfig Config, IReadOnlyList<RouteReference> Routes);

/// <summary>envoy.config.listener.v3.Listener.</summary>
internal static class ListenerConverter
{
    public static ConvertedListener? Convert(Node resource, ConversionContext context, Func<string, bool>? knownCluster)
    {
        var listener = context.Reader(resource, ListenerFields.Listener);
        var routes = new List<RouteReference>();
        var address = context.SocketAddress(listener.Child("address"));
        var direction = listener.Choice("traffic_direction", "UNSPECIFIED", "UNSPECIFIED", "INBOUND", "OUTBOUND");
        var name = listener.Text("name") is { Length: > 0 } given ? given : address?.ToString() ?? "";
        var bind = listener.Bool("bind_to_port", true);
        var chains = new List<FilterChainConfig>();
        foreach (var chain in listener.Children("filter_chains"))
            chains.Add(Chain(chain, context, direction == "INBOUND", knownCluster, routes));
        var fallback = listener.Child("default_filter_chain") is { } last ? Chain(last, context, direction == "INBOUND", knownCluster, routes) : null;
        var filters = ListenerFilters(listener);
        // Envoy asks the first chain only, and appends the filter behind those that are written.
        if ((chains.Count > 0 ? chains[0] : fallback) is { BeginsWithProxyHeader: true })
            filters.Add(new ListenerFilterConfig(ListenerFilterKind.ProxyProtocol, []));
        if (chains.Count == 0 && fallback is null)
            listener.Fail("filter_chains", "at least one filter chain is needed");
        var config = address is null ? null : new ListenerConfig
        {
            Name = name,
            Address = address.Value,
            BindToPort = bind,
            UseOriginalDestination = listener.Bool("use_original_dst", false),
            Transparent = listener.Bool("transparent", false),
            StatPrefix = listener.Text("stat_prefix", ""),
            Direction = direction,
            Filters = filters,
            FiltersTimeoutMs = (long)(listener.DurationMs("listener_filters_timeout") ?? 15_000),
            ContinueOnTimeout = listener.Bool("continue_on_listener_filters_timeout", false),
            Chains = chains,
            DefaultChain = fallback,
            Backlog = (int)(listener.Integer("tcp_backlog_size", 1, 1 << 20) ?? 4096),
            AccessLogs = AccessLogConverter.Convert(listener, "access_log", context),
            ContentHash = ConversionContext.Hash(resource),
        };
        listener.Done("is not supported by this proxy");
        return config is null ? null : new ConvertedListener(config, routes);
    }

    private static List<ListenerFilterConfig> ListenerFilters(FieldReader listener)
    {
        var result = new List<ListenerFilterConfig>();
        foreach (var filter in listener.Children("listener_filters"))
        {
            var name = filter.Text("name", "");
            var (type, config) = ConversionContext.Typed(filter);
            var disabled = new List<PortRange>();
            if (filter.Child("filter_disabled") is { } predicate)
                ReadPredicate(predicate, disabled);
            filter.Done();
            ListenerFilterKind? kind = (type.Length > 0 ? type : name) switch
            {
                "envoy.extensions.filters.listener.original_dst.v3.OriginalDst" or "envoy.filters.listener.original_dst" => ListenerFilterKind.OriginalDestination,
                "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector" or "envoy.filters.listener.tls_inspector" => ListenerFilterKind.TlsInspector,
                "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector" or "envoy.filters.listener.http_inspector" => ListenerFilterKind.HttpInspector,
                "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol" or "envoy.filters.listener.proxy_protocol" => ListenerFilterKind.ProxyProtocol,
                _ => null,
            };
            if (kind is null)
            {
                filter.Fail("typed_config", $"listener filter {(type.Length > 0 ? type : name)} is not supported");
                continue;
            }
            result.Add(kind == ListenerFilterKind.ProxyProtocol ? ProxyProtocol(config, disabled) : new ListenerFilterConfig(kind.Value, disabled));
            config.Done();
        }
        return result;
    }

    private static ListenerFilterConfig ProxyProtocol(FieldReader config, List<PortRange> disabled)
    {
        var refused = config.Texts("disallowed_versions");
        foreach (var version in refused)
        {
            if (version is not ("V1" or "V2"))
                config.Fail("disallowed_versions", $"there is no version {version}; it is V1 or V2");
        }
        return new ListenerFilterConfig(ListenerFilterKind.ProxyProtocol, disabled)
        {
            AllowsWithoutHeader = config.Bool("allow_requests_without_proxy_protocol", false),
            RefusesVersion1 = refused.Contains("V1"),
            RefusesVersion2 = refused.Contains("V2"),
        };
    }

    private static void ReadPredicate(FieldReader predicate, List<PortRange> ranges)
    {
        if (predicate.Child("destination_port_range") is { } range)
        {
            ranges.Add(new PortRange((int)range.IntegerOr("start", 0), (int)range.IntegerOr("end", 0)));
            range.Done();
        }
        if (predicate.Child("or_match") is { } any)
        {
            foreach (var rule in any.Children("rules"))
                ReadPredicate(rule, ranges);
            any.Done();
        }
        predicate.Done("only destination_port_range and or_match are supported");
    }

    private static FilterChainConfig Chain(FieldReader chain, ConversionContext context, bool isInbound, Func<string, bool>? knownCluster, List<RouteReference> routes)
    {
        var filters = new List<NetworkFilterConfig>();
        HttpManagerConfig? http = null;
        TcpProxyConfig? tcp = null;
        byte[]? direct = null;
        foreach (var filter in chain.Children("filters"))
        {
            var name = filter.Text("name", "");
            var (type, config) = ConversionContext.Typed(filter);
            filter.Done();
            switch (type)
            {
                case "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager":
                    http = HttpManagerConverter.Convert(config, context, isInbound, knownCluster, routes);
                    break;
                case "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy":
                    tcp = NetworkFilterConverter.TcpProxy(config, context);
                    break;
                case "envoy.extensions.filters.network.direct_response.v3.Config":
                    direct = ConversionContext.DataSource(config.Child("response")) ?? [];
                    config.Done();
                    break;
                default:
                    if (NetworkFilterConverter.Convert(type, name, config, context) is { } converted)
                        filters.Add(converted);
                    break;
            }
        }
        var match = chain.Child("filter_chain_match");
        var result = new FilterChainConfig
        {
            Name = chain.Text("name", ""),
            Match = match is null ? FilterChainMatchConfig.Any : Match(match),
            Tls = chain.Child("transport_socket") is { } socket ? TlsConverter.Server(socket, context) : null,
            HandshakeTimeoutMs = (long)(chain.DurationMs("transport_socket_connect_timeout") is { } limit and > 0 ? limit : 15_000),
            Filters = filters,
            Http = http,
            Tcp = tcp,
            DirectResponse = direct,
            BeginsWithProxyHeader = chain.Bool("use_proxy_proto", false),
        };
        chain.Done("is not supported by this proxy");
        if (http is null && tcp is null && direct is null && filters.Count > 0)
            chain.Fail("filters", "the chain has no terminal filter (http_connection_manager, tcp_proxy or direct_response)");
        return result;
    }

    private static FilterChainMatchConfig Match(FieldReader match)
    {
        var result = new FilterChainMatchConfig
        {
            DestinationPort = (int?)match.Integer("destination_port", 1, 65535),
            DestinationPrefixes = MatcherConverter.Prefixes(match, "prefix_ranges"),
            SourcePrefixes = MatcherConverter.Prefixes(match, "source_prefix_ranges"),
            DirectSourcePrefixes = MatcherConverter.Prefixes(match, "direct_source_prefix_ranges"),
            SourcePorts = match.List("source_ports").Select(p => (int)p.AsInteger).ToList(),
            ServerNames = match.Texts("server_names").Select(n => n.ToLowerInvariant()).ToList(),
            TransportProtocol = match.Text("transport_protocol", ""),
            ApplicationProtocols = match.Texts("application_protocols"),
        };
        if (match.Text("source_type") is not (null or "ANY"))
            match.Fail("source_type", "is not supported");
        match.Done("is not supported by this proxy");
        return result;
    }
}
