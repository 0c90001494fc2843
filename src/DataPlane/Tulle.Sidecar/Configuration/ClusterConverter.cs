using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Sidecar.Fields;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>A cluster with what it still needs: endpoints by name, or in place.</summary>
internal sealed record ConvertedCluster(ClusterConfig Config, LoadAssignmentConfig? Inline, ConfigSource? EndpointSource, string EndpointName)
{
    public ResourceKey EndpointKey => new(EndpointSource?.Key ?? "", EndpointName);
}

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
        ConfigSource? source = null;
        var endpointName = name;
        if (cluster.Child("eds_cluster_config") is { } eds)
        {
            endpointName = eds.Text("service_name") is { Length: > 0 } service ? service : name;
            source = ConversionContext.Source(eds.Child("eds_config"));
            eds.Done();
        }
        if (discovery == DiscoveryKind.Eds && source is null)
            cluster.Fail("eds_cluster_config", "an EDS cluster needs eds_config");
        var balance = BalanceConverter.Balance(cluster);
        var http = UpstreamConverter.HttpOptions(cluster);
        var thresholds = UpstreamConverter.Thresholds(cluster);
        var keepAlive = UpstreamConverter.KeepAlive(cluster);
        var matches = TransportMatches(cluster, context);
        var common = BalanceConverter.Common(cluster);
        var config = new ClusterConfig
        {
            Name = name,
            StatName = StatName(cluster.Text("alt_stat_name")),
            Discovery = discovery,
            Members = members,
            ConnectTimeoutMs = (long)(cluster.DurationMs("connect_timeout") ?? 5000),
            Balance = balance.Policy,
            LeastRequestChoices = balance.Choices,
            ActiveRequestBias = balance.Bias,
            Thresholds = thresholds.Default,
            HighThresholds = thresholds.High,
            HostConnectionsMax = thresholds.HostConnectionsMax,
            HighHostConnectionsMax = thresholds.HighHostConnectionsMax,
            KeepAlive = keepAlive,
            PoolPerDownstream = cluster.Bool("connection_pool_per_downstream_connection", false),
            ResponseHeadBytesMax = http.HeadBytesMax,
            ResponseFieldsMax = http.FieldsMax,
            Tls = cluster.Child("transport_socket") is { } socket ? TlsConverter.Client(socket, context) : null,
            ServerNames = http.ServerNames,
            TransportMatches = matches,
            IdleTimeoutMs = http.IdleTimeoutMs,
            MaxStreamDurationMs = http.StreamDurationMs,
            RequestsPerConnectionMax = (int)(cluster.Integer("max_requests_per_connection") ?? http.RequestsMax),
            EnableTrailers = http.EnableTrailers,
            PanicPercent = common.PanicPercent,
            IsLocalityWeighted = common.IsLocalityWeighted,
            IgnoreNewHostsUntilFirstCheck = common.IgnoreNewHosts,
            Subsets = BalanceConverter.Subsets(cluster),
            HealthCheck = HealthCheckConverter.Convert(cluster, name, context),
            CloseConnectionsOnHostFailure = cluster.Bool("close_connections_on_host_health_failure", false),
            Outlier = OutlierConverter.Convert(cluster),
            BindAddress = BindAddress(cluster),
            DnsTargets = names,
            DnsRefreshMs = (long)(cluster.DurationMs("dns_refresh_rate") ?? 5000),
            DnsJitterMs = (long)(cluster.DurationMs("dns_jitter") ?? 0),
            DnsFailureRefreshMs = DnsFailureRefresh(cluster),
            DnsFamily = cluster.Choice("dns_lookup_family", "AUTO", "AUTO", "V4_ONLY", "V6_ONLY", "V4_PREFERRED", "ALL") switch
            {
                "V4_ONLY" => DnsFamily.V4Only,
                "V6_ONLY" => DnsFamily.V6Only,
                "V4_PREFERRED" => DnsFamily.V4Preferred,
                "ALL" => DnsFamily.All,
                _ => DnsFamily.Auto,
            },
            OriginalPortOverride = OriginalPort(cluster),
            ExchangeProtocol = ExchangeProtocol(cluster),
            Service = Service(cluster.Child("metadata")),
            ContentHash = ConversionContext.Hash(discovery == DiscoveryKind.Eds ? resource : resource.Without("load_assignment")),
        };
        UpstreamNames.Judge(config, cluster, context);
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

    private static Address? BindAddress(FieldReader cluster)
    {
        if (cluster.Child("upstream_bind_config") is not { } bind)
            return null;
        var address = bind.Child("source_address") is { } socket ? ConversionContext.Socket(socket) : null;
        bind.Done();
        return address;
    }

    /// <summary>The base of the back-off; default the ordinary rate.</summary>
    private static long DnsFailureRefresh(FieldReader cluster)
    {
        var ordinary = (long)(cluster.DurationMs("dns_refresh_rate") ?? 5000);
        if (cluster.Child("dns_failure_refresh_rate") is not { } rate)
            return ordinary;
        var first = (long)(rate.DurationMs("base_interval") ?? ordinary);
        rate.Done();
        return Math.Max(1, first);
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
