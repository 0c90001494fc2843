using System.Text;
using Tulle.Base.Documents;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>The routes a connection manager asks for by name.</summary>
internal sealed record RouteReference(string Name, ConfigSource Source, string StatPrefix)
{
    public ResourceKey Key => new(Source.Key, Name);
}

/// <summary>envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.</summary>
internal static class HttpManagerConverter
{
    public static HttpManagerConfig Convert(FieldReader manager, ConversionContext context, bool isInbound, Func<string, bool>? knownCluster, List<RouteReference> routes)
    {
        var statPrefix = manager.Required("stat_prefix").TrimEnd(';');
        RouteTable? inline = null;
        var routeName = "";
        if (manager.Child("route_config") is { } table)
        {
            inline = RouteConverter.Convert(table, context, knownCluster);
        }
        else if (manager.Child("rds") is { } rds)
        {
            routeName = rds.Text("route_config_name", "");
            if (ConversionContext.Source(rds.Child("config_source")) is { } source)
            {
                var reference = new RouteReference(routeName, source, statPrefix);
                routes.Add(reference);
                routeName = reference.Key.ToString();
            }
            rds.Done();
        }
        else
        {
            manager.Fail("", "one of route_config and rds is needed");
        }
        long idle = 3_600_000;
        long streamMax = 0, connectionMax = 0;
        var fieldsMax = 100;
        var requestsMax = 0;
        var underscores = UnderscoreAction.Allow;
        if (manager.Child("common_http_protocol_options") is { } common)
        {
            idle = (long)(common.DurationMs("idle_timeout") ?? idle);
            streamMax = (long)(common.DurationMs("max_stream_duration") ?? 0);
            connectionMax = (long)(common.DurationMs("max_connection_duration") ?? 0);
            fieldsMax = (int)(common.Integer("max_headers_count", 1, 100_000) ?? 100);
            requestsMax = (int)(common.Integer("max_requests_per_connection", 0, int.MaxValue) ?? 0);
            underscores = RequestRulesConverter.Underscores(common);
            common.Done();
        }
        var http1 = Http1Facts.Read(manager.Child("http_protocol_options"));
        var filters = Filters(manager, context);
        var set = manager.Child("set_current_client_cert_details");
        var (subject, uri, dns) = (set?.Bool("subject", false) ?? false, set?.Bool("uri", false) ?? false, set?.Bool("dns", false) ?? false);
        set?.Done();
        var upgrades = new List<string>();
        foreach (var upgrade in manager.Children("upgrade_configs"))
        {
            var type = upgrade.Required("upgrade_type").ToLowerInvariant();
            if (upgrade.Bool("enabled", true))
                upgrades.Add(type);
            upgrade.Done();
        }
        manager.Child("access_log_options")?.Done();
        if (manager.Child("request_id_extension") is { } requestId)
            ReadRequestId(requestId);
        if (manager.Choice("codec_type", "AUTO", "AUTO", "HTTP1", "HTTP2", "HTTP3") is "HTTP2" or "HTTP3")
            manager.Fail("codec_type", "HTTP/2 and HTTP/3 are not spoken by this proxy yet (issue: requests)");
        var result = new HttpManagerConfig
        {
            StatPrefix = statPrefix,
            InlineRoutes = inline,
            RouteName = routeName,
            AccessLogs = AccessLogConverter.Convert(manager, "access_log", context),
            Rules = RequestRulesConverter.Convert(manager, http1, underscores),
            UseRemoteAddress = manager.Bool("use_remote_address", false),
            TrustedHops = (int)manager.IntegerOr("xff_num_trusted_hops", 0, 0, 100),
            SkipForwardedForAppend = manager.Bool("skip_xff_append", false),
            ServerName = Encoding.ASCII.GetBytes(manager.Text("server_name") is { Length: > 0 } server ? server : "envoy"),
            ServerHeader = manager.Choice("server_header_transformation", "OVERWRITE", "OVERWRITE", "APPEND_IF_ABSENT", "PASS_THROUGH") switch
            {
                "APPEND_IF_ABSENT" => ServerHeaderMode.AppendIfAbsent,
                "PASS_THROUGH" => ServerHeaderMode.PassThrough,
                _ => ServerHeaderMode.Overwrite,
            },
            Via = Encoding.ASCII.GetBytes(manager.Text("via", "")),
            NormalizePath = manager.Bool("normalize_path", false),
            MergeSlashes = manager.Bool("merge_slashes", false),
            EscapedSlashes = manager.Choice("path_with_escaped_slashes_action", "KEEP_UNCHANGED", "IMPLEMENTATION_SPECIFIC_DEFAULT", "KEEP_UNCHANGED", "REJECT_REQUEST",
                "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD") switch
            {
                "REJECT_REQUEST" => EscapedSlashes.Reject,
                "UNESCAPE_AND_REDIRECT" => EscapedSlashes.UnescapeAndRedirect,
                "UNESCAPE_AND_FORWARD" => EscapedSlashes.UnescapeAndForward,
                _ => EscapedSlashes.Keep,
            },
            AcceptHttp10 = http1.AcceptHttp10,
            EnableTrailers = http1.EnableTrailers,
            HeadBytesMax = (int)(manager.Integer("max_request_headers_kb", 1, 8192) ?? 60) * 1024,
            HeadFieldsMax = fieldsMax,
            IdleTimeoutMs = idle,
            MaxStreamDurationMs = streamMax,
            MaxConnectionDurationMs = connectionMax,
            RequestTimeoutMs = (long)(manager.DurationMs("request_timeout") ?? 0),
            HeadTimeoutMs = (long)(manager.DurationMs("request_headers_timeout") ?? 0),
            StreamIdleTimeoutMs = (long)(manager.DurationMs("stream_idle_timeout") ?? 300_000),
            DrainTimeoutMs = (long)(manager.DurationMs("drain_timeout") ?? 5000),
            DelayedCloseMs = (long)(manager.DurationMs("delayed_close_timeout") ?? 1000),
            RequestsPerConnectionMax = requestsMax,
            GenerateRequestId = manager.Bool("generate_request_id", true),
            PreserveExternalRequestId = manager.Bool("preserve_external_request_id", false),
            AlwaysSetRequestIdInResponse = manager.Bool("always_set_request_id_in_response", false),
            Proxy100Continue = manager.Bool("proxy_100_continue", false),
            ForwardClientCertificate = manager.Choice("forward_client_cert_details", "SANITIZE", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY") switch
            {
                "FORWARD_ONLY" => ClientCertificateForwarding.ForwardOnly,
                "APPEND_FORWARD" => ClientCertificateForwarding.AppendForward,
                "SANITIZE_SET" => ClientCertificateForwarding.SanitizeSet,
                "ALWAYS_FORWARD_ONLY" => ClientCertificateForwarding.AlwaysForwardOnly,
                _ => ClientCertificateForwarding.Sanitize,
            },
            SetCertificateSubject = subject,
            SetCertificateUri = uri,
            SetCertificateDns = dns,
            Upgrades = upgrades,
            SuppressEnvoyHeaders = filters.SuppressEnvoyHeaders,
            RespectExpectedTimeout = filters.RespectExpectedTimeout,
            StrictFields = filters.StrictFields,
            UpstreamAlpn = filters.Alpn,
            PeerMetadata = filters.PeerMetadata,
            PeerPropagation = filters.PeerPropagation,
            IstioStats = filters.IstioStats,
            IsInbound = isInbound,
        };
        manager.Done("is not supported by this proxy");
        return result;
    }

    private sealed class FilterFacts
    {
        public bool SuppressEnvoyHeaders, RespectExpectedTimeout, PeerMetadata, IstioStats;
        public IReadOnlyList<byte[]> StrictFields = [];
        public PeerPropagation PeerPropagation;
        public IReadOnlyList<string> Alpn = [];
    }

    /// <summary>Which filters the chain has. One whose absence would change who may talk to whom is refused by name.</summary>
    private static FilterFacts Filters(FieldReader manager, ConversionContext context)
    {
        var facts = new FilterFacts();
        var hasRouter = false;
        foreach (var filter in manager.Children("http_filters"))
        {
            var name = filter.Text("name", "");
            var (type, config) = ConversionContext.Typed(filter);
            var optional = filter.Bool("is_optional", false);
            var disabled = filter.Bool("disabled", false);
            filter.Done();
            if (config.Fields is null)
            {
                // Optional is for what a proxy does not know. Envoy's and Istio's filters are known, and one of them may be there to deny; a disabled one may be enabled by a route.
                if (!optional || type.StartsWith("envoy.", StringComparison.Ordinal) || type.StartsWith("istio.", StringComparison.Ordinal) || type.StartsWith("io.istio.", StringComparison.Ordinal))
                    filter.Fail("typed_config", $"HTTP filter {(type.Length > 0 ? type : name)} is not supported by this proxy");
                continue;
            }
            if (disabled)
            {
                Filter(type, config, new FilterFacts());
                continue;
            }
            hasRouter |= Filter(type, config, facts);
        }
        if (!hasRouter)
            manager.Fail("http_filters", "the last filter must be envoy.filters.http.router");
        return facts;
    }

    /// <summary>Reads one filter; true for the router.</summary>
    private static bool Filter(string type, FieldReader config, FilterFacts facts)
    {
        switch (type)
        {
            case "envoy.extensions.filters.http.router.v3.Router":
                facts.SuppressEnvoyHeaders = config.Bool("suppress_envoy_headers", false);
                facts.RespectExpectedTimeout = config.Bool("respect_expected_rq_timeout", false);
                facts.StrictFields = StrictFields(config);
                break;
            case "io.istio.http.peer_metadata.Config":
                ReadPeerMetadata(config, facts);
                break;
            case "stats.PluginConfig":
                facts.IstioStats = true;
                break;
            case "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig":
                facts.Alpn = Alpn(config);
                break;
        }
        // A filter that is known only by its table does nothing here; the table says what may be written in it.
        config.Done();
        return type == "envoy.extensions.filters.http.router.v3.Router";
    }

    private static List<byte[]> StrictFields(FieldReader router)
    {
        var result = new List<byte[]>();
        foreach (var name in router.Texts("strict_check_headers"))
        {
            var lower = name.ToLowerInvariant();
            if (lower is "x-envoy-upstream-rq-timeout-ms" or "x-envoy-upstream-rq-per-try-timeout-ms" or "x-envoy-max-retries" or "x-envoy-retry-on" or "x-envoy-retry-grpc-on")
                result.Add(Encoding.ASCII.GetBytes(lower));
            else
                router.Fail("strict_check_headers", $"{name} is none of the fields that can be checked");
        }
        return result;
    }

    /// <summary>Both ways of learning (fields, and a look-up by address that only ambient mode feeds) are accepted; fields are what is done.</summary>
    private static void ReadPeerMetadata(FieldReader config, FilterFacts facts)
    {
        facts.PeerMetadata = true;
        foreach (var method in config.Children("upstream_propagation").Concat(config.Children("downstream_propagation")))
        {
            if (method.Child("istio_headers") is { } fields)
            {
                facts.PeerPropagation = fields.Bool("skip_external_clusters", false) ? PeerPropagation.Services : PeerPropagation.Everybody;
                fields.Done();
            }
            method.Done();
        }
        config.Done();
    }

    private static void ReadRequestId(FieldReader extension)
    {
        var (type, config) = ConversionContext.Typed(extension);
        extension.Done();
        if (config.Fields is null)
            extension.Fail("typed_config", $"request id extension {type} is not supported by this proxy");
        else
            config.Done();
    }

    /// <summary>What an HTTP/1.1 upstream connection offers: istio-http/1.1 tells the other sidecar that HTTP follows.</summary>
    private static List<string> Alpn(FieldReader config)
    {
        List<string> result = [];
        foreach (var choice in config.Children("alpn_override"))
        {
            var isHttp11 = choice.Text("upstream_protocol", "HTTP10") == "HTTP11";
            var offered = choice.Texts("alpn_override");
            choice.Done();
            if (isHttp11)
                result = offered;
        }
        config.Done();
        return result;
    }
}
