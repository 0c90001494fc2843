using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Sidecar.Fields;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>A cluster with what it still needs: endpoints by name, or in place.</summary>
internal sealed record ConvertedCluster(ClusterConfig Config, LoadAssignmentConfig? Inline, string? EndpointSource, string EndpointName);

/// <summary>envoy.config.cluster.v3.Cluster.</summary>
internal static class ClusterConverter
{
    public static ConvertedCluster Convert(Node resource, ConversionContext context)
    {
        var cluster = context.Reader(resource, ClusterFields.Cluster);
        var name = cluster.Required("name");
        var discovery = Discovery(cluster, out var members);
        var names = new List<DnsTargetConfig>();
        var isDns = discovery is DiscoveryKind.StrictDns or DiscoveryKind.LogicalDns;
        var inline = cluster.Child("load_assignment") is { } assignment ? EndpointConverter.Convert(assignment, context, isDns ? names : null) : null;
        string? source = null;
        var endpointName = name;
        if (cluster.Child("eds_cluster_config") is { } eds)
        {
            endpointName = eds.Text("service_name") is { Length: > 0 } service ? service : name;
            source = ConversionContext.SourceKey(eds.Child("eds_config"));
            eds.Done();
        }
        if (discovery == DiscoveryKind.Eds && source is null)
            cluster.Fail("eds_cluster_config", "an EDS cluster needs eds_config");
        var balance = Balance(cluster, discovery);
        var http = HttpOptions(cluster);
        var matches = TransportMatches(cluster, context);
        var subset = Subsets(cluster);
        var config = new ClusterConfig
        {
            Name = name,
            StatName = StatName(cluster.Text("alt_stat_name")),
            Discovery = discovery,
            Members = members,
            ConnectTimeoutMs = (long)(cluster.DurationMs("connect_timeout") ?? 5000),
            Balance = balance.Policy,
            LeastRequestChoices = balance.Choices,
            Thresholds = Thresholds(cluster),
            Tls = cluster.Child("transport_socket") is { } socket ? TlsConverter.Client(socket, context) : null,
            TransportMatches = matches,
            IdleTimeoutMs = http.IdleTimeoutMs,
            RequestsPerConnectionMax = (int)(cluster.Integer("max_requests_per_connection") ?? http.RequestsMax),
            EnableTrailers = http.EnableTrailers,
            PanicPercent = CommonLb(cluster),
            SubsetSelectors = subset.Selectors,
            SubsetFallback = subset.Fallback,
            HealthChecks = HealthChecks(cluster, name),
            Outlier = Outlier(cluster),
            BindAddress = BindAddress(cluster),
            DnsTargets = names,
            DnsRefreshMs = (long)(cluster.DurationMs("dns_refresh_rate") ?? 5000),
            DnsV4Only = cluster.Choice("dns_lookup_family", "AUTO", "AUTO", "V4_ONLY", "V6_ONLY", "V4_PREFERRED", "ALL") == "V4_ONLY",
            OriginalPortOverride = OriginalPort(cluster),
            ExchangeProtocol = ExchangeProtocol(cluster),
            Service = Service(cluster.Child("metadata")),
            ContentHash = ConversionContext.Hash(discovery == DiscoveryKind.Eds ? resource : resource.Without("load_assignment")),
        };
        cluster.Done("is not supported by this proxy");
        return new ConvertedCluster(config, inline ?? (discovery is DiscoveryKind.Static ? LoadAssignmentConfig.Empty : null), source, endpointName);
    }

    /// <summary>istiod ends alt_stat_name with ";", which separates the name in statistics.</summary>
    private static string? StatName(string? text) => text?.TrimEnd(';') is { Length: > 0 } trimmed ? trimmed : null;

    private static DiscoveryKind Discovery(FieldReader cluster, out List<string> members)
    {
        members = [];
        if (cluster.Child("cluster_type") is { } custom)
        {
            var (type, aggregate) = ConversionContext.Typed(custom);
            var name = custom.Text("name", "");
            custom.Done();
            if (type == "envoy.extensions.clusters.aggregate.v3.ClusterConfig")
            {
                members = aggregate.Texts("clusters");
                aggregate.Done();
                return DiscoveryKind.Aggregate;
            }
            custom.Fail("name", $"cluster type {name} is not supported");
            return DiscoveryKind.Static;
        }
        return cluster.Choice("type", "STATIC", "STATIC", "STRICT_DNS", "LOGICAL_DNS", "EDS", "ORIGINAL_DST") switch
        {
            "STRICT_DNS" => DiscoveryKind.StrictDns,
            "LOGICAL_DNS" => DiscoveryKind.LogicalDns,
            "EDS" => DiscoveryKind.Eds,
            "ORIGINAL_DST" => DiscoveryKind.OriginalDestination,
            _ => DiscoveryKind.Static,
        };
    }

    private static (BalancePolicy Policy, int Choices) Balance(FieldReader cluster, DiscoveryKind discovery)
    {
        var choices = 2;
        cluster.Child("round_robin_lb_config")?.Done();
        if (cluster.Child("least_request_lb_config") is { } least)
        {
            choices = (int)Math.Clamp(least.Integer("choice_count", 2, uint.MaxValue) ?? 2, 2, 1000);
            least.Done();
        }
        var policy = cluster.Choice("lb_policy", "ROUND_ROBIN", "ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "CLUSTER_PROVIDED");
        _ = discovery;
        return (policy switch
        {
            "LEAST_REQUEST" => BalancePolicy.LeastRequest,
            "RANDOM" => BalancePolicy.Random,
            "CLUSTER_PROVIDED" => BalancePolicy.ClusterProvided,
            _ => BalancePolicy.RoundRobin,
        }, choices);
    }

    private static ThresholdsConfig Thresholds(FieldReader cluster)
    {
        var result = ThresholdsConfig.Default;
        if (cluster.Child("circuit_breakers") is not { } breakers)
            return result;
        foreach (var threshold in breakers.Children("thresholds"))
        {
            var isDefault = threshold.Choice("priority", "DEFAULT", "DEFAULT", "HIGH") == "DEFAULT";
            var read = new ThresholdsConfig(
                (uint)threshold.IntegerOr("max_connections", 1024, 0, uint.MaxValue), (uint)threshold.IntegerOr("max_pending_requests", 1024, 0, uint.MaxValue),
                (uint)threshold.IntegerOr("max_requests", 1024, 0, uint.MaxValue), (uint)threshold.IntegerOr("max_retries", 3, 0, uint.MaxValue));
            threshold.Done();
            if (isDefault)
                result = read;
        }
        breakers.Done();
        return result;
    }

    private static (long IdleTimeoutMs, int RequestsMax, bool EnableTrailers) HttpOptions(FieldReader cluster)
    {
        long idle = 3_600_000;
        var requests = 0;
        var trailers = false;
        void Common(FieldReader? options)
        {
            if (options is null)
                return;
            idle = (long)(options.DurationMs("idle_timeout") ?? idle);
            requests = (int)(options.Integer("max_requests_per_connection", 0, uint.MaxValue) ?? requests);
            options.Done();
        }
        void Http1(FieldReader? options)
        {
            trailers |= options?.Bool("enable_trailers", false) ?? false;
            options?.Done();
        }
        Common(cluster.Child("common_http_protocol_options"));
        Http1(cluster.Child("http_protocol_options"));
        foreach (var (key, _, options) in ConversionContext.TypedMap(cluster, "typed_extension_protocol_options"))
        {
            if (options.Fields != UpstreamHttpFields.UpstreamOptions)
            {
                options.Fail("", $"{key} is not supported");
                continue;
            }
            Common(options.Child("common_http_protocol_options"));
            if (options.Child("explicit_http_config") is { } fixedTo)
            {
                Http1(fixedTo.Child("http_protocol_options"));
                fixedTo.Done();
            }
            if (options.Child("use_downstream_protocol_config") is { } same)
            {
                Http1(same.Child("http_protocol_options"));
                same.Done();
            }
            options.Done();
        }
        return (idle, requests, trailers);
    }

    private static List<TransportMatchConfig> TransportMatches(FieldReader cluster, ConversionContext context)
    {
        var result = new List<TransportMatchConfig>();
        foreach (var match in cluster.Children("transport_socket_matches"))
        {
            var values = match.TextMap("match");
            var socket = match.Child("transport_socket");
            result.Add(new TransportMatchConfig(match.Text("name", ""), values, socket is null ? null : TlsConverter.Client(socket, context)));
            match.Done();
        }
        return result;
    }

    private static (List<IReadOnlyList<string>> Selectors, SubsetFallback Fallback) Subsets(FieldReader cluster)
    {
        var selectors = new List<IReadOnlyList<string>>();
        if (cluster.Child("lb_subset_config") is not { } subset)
            return (selectors, SubsetFallback.NoFallback);
        var fallback = subset.Choice("fallback_policy", "NO_FALLBACK", "NO_FALLBACK", "ANY_ENDPOINT") == "ANY_ENDPOINT" ? SubsetFallback.AnyEndpoint : SubsetFallback.NoFallback;
        foreach (var selector in subset.Children("subset_selectors"))
        {
            selectors.Add(selector.Texts("keys").Order(StringComparer.Ordinal).ToList());
            selector.Done();
        }
        subset.Done();
        return (selectors, fallback);
    }

    private static double CommonLb(FieldReader cluster)
    {
        if (cluster.Child("common_lb_config") is not { } common)
            return 50;
        var threshold = common.Child("healthy_panic_threshold");
        var panic = threshold?.Number("value") ?? (threshold is null ? 50 : 0);
        threshold?.Done();
        common.Done();
        return panic;
    }

    private static List<HealthCheckConfig> HealthChecks(FieldReader cluster, string name)
    {
        var result = new List<HealthCheckConfig>();
        foreach (var check in cluster.Children("health_checks"))
        {
            string? path = null;
            var host = "";
            if (check.Child("http_health_check") is { } http)
            {
                path = http.Required("path");
                host = http.Text("host") is { Length: > 0 } text ? text : name;
                http.Done("is not supported by this proxy");
            }
            else if (check.Child("tcp_health_check") is { } tcp)
            {
                tcp.Done();
            }
            else
            {
                check.Fail("", "only http_health_check and tcp_health_check are supported");
            }
            var interval = (long)(check.DurationMs("interval") ?? 5000);
            result.Add(new HealthCheckConfig
            {
                Path = path,
                Host = host,
                TimeoutMs = (long)(check.DurationMs("timeout") ?? 1000),
                IntervalMs = interval,
                UnhealthyIntervalMs = (long)(check.DurationMs("unhealthy_interval") ?? interval),
                HealthyThreshold = (int)check.IntegerOr("healthy_threshold", 1, 1),
                UnhealthyThreshold = (int)check.IntegerOr("unhealthy_threshold", 1, 1),
            });
            check.Done("is not supported by this proxy");
        }
        return result;
    }

    private static OutlierConfig? Outlier(FieldReader cluster)
    {
        if (cluster.Child("outlier_detection") is not { } outlier)
            return null;
        var result = new OutlierConfig
        {
            Consecutive5xx = (int)outlier.IntegerOr("consecutive_5xx", 5, 0, int.MaxValue),
            Enforcing5xx = (int)outlier.IntegerOr("enforcing_consecutive_5xx", 100, 0, 100),
            ConsecutiveGateway = (int)outlier.IntegerOr("consecutive_gateway_failure", 5, 0, int.MaxValue),
            EnforcingGateway = (int)outlier.IntegerOr("enforcing_consecutive_gateway_failure", 0, 0, 100),
            IntervalMs = (long)(outlier.DurationMs("interval") ?? 10_000),
            BaseEjectionMs = (long)(outlier.DurationMs("base_ejection_time") ?? 30_000),
            MaxEjectionMs = (long)(outlier.DurationMs("max_ejection_time") ?? 300_000),
            EjectionPercentMax = (int)outlier.IntegerOr("max_ejection_percent", 10, 0, 100),
        };
        outlier.Done();
        return result;
    }

    private static Address? BindAddress(FieldReader cluster)
    {
        cluster.Child("upstream_connection_options")?.Done();
        if (cluster.Child("upstream_bind_config") is not { } bind)
            return null;
        var address = bind.Child("source_address") is { } socket ? ConversionContext.Socket(socket) : null;
        bind.Done();
        return address;
    }

    private static int OriginalPort(FieldReader cluster)
    {
        if (cluster.Child("original_dst_lb_config") is not { } original)
            return 0;
        var port = (int)original.IntegerOr("upstream_port_override", 0, 0, 65535);
        original.Done("is not supported by this proxy");
        return port;
    }

    private static ServiceFacts Service(FieldReader? metadata)
    {
        if (metadata is null)
            return ServiceFacts.Unknown;
        var first = metadata.Raw("filter_metadata")?["istio"]?["services"]?.Items is { Count: > 0 } list ? list[0] : null;
        metadata.Done();
        return first is null ? ServiceFacts.Unknown
            : new ServiceFacts(first["host"]?.AsText ?? "unknown", first["name"]?.AsText ?? "unknown", first["namespace"]?.AsText ?? "unknown");
    }

    /// <summary>Upstream network filters: metadata exchange and nothing else. Its protocol.</summary>
    private static string ExchangeProtocol(FieldReader cluster)
    {
        var protocol = "";
        foreach (var filter in cluster.Children("filters"))
        {
            var name = filter.Text("name", "");
            var (_, config) = ConversionContext.Typed(filter);
            filter.Done();
            if (config.Fields is null)
            {
                filter.Fail("typed_config", $"upstream filter {name} is not supported");
                continue;
            }
            protocol = config.Text("protocol", "");
            config.Done("is not supported by this proxy");
        }
        return protocol;
    }
}
