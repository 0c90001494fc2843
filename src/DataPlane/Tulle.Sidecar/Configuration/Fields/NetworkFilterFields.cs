using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class NetworkFilterFields
{
    public static readonly MessageFields TcpProxy = new ProtoFields("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy")
    {
        ["stat_prefix"] = Obeyed,
        ["cluster"] = Obeyed,
        ["weighted_clusters"] = Obeyed.Of(() => TcpWeightedCluster),
        ["on_demand"] = Refused(Later.Transports),
        ["metadata_match"] = Obeyed.Of(() => CoreFields.Metadata),
        ["idle_timeout"] = Obeyed,
        ["downstream_idle_timeout"] = Refused(Later.Transports),
        ["upstream_idle_timeout"] = Refused(Later.Transports),
        ["access_log"] = Obeyed.Of(() => AccessLogFields.AccessLog),
        ["max_connect_attempts"] = Obeyed,
        ["backoff_options"] = Harmless("attempts follow each other at once"),
        ["hash_policy"] = Refused(Later.Transports),
        ["tunneling_config"] = Refused(Later.Transports),
        ["max_downstream_connection_duration"] = Obeyed,
        ["max_downstream_connection_duration_jitter_percentage"] = Refused(Later.Transports),
        ["access_log_flush_interval"] = Warned("a line is written when the connection ends"),
        ["flush_access_log_on_connected"] = Warned("a line is written when the connection ends"),
        ["access_log_options"] = Warned("a line is written when the connection ends"),
        ["proxy_protocol_tlvs"] = Refused(Later.Transports),
        ["proxy_protocol_tlv_merge_policy"] = Refused(Later.Transports),
        ["upstream_connect_mode"] = Refused(Later.Transports),
        ["max_early_data_bytes"] = Refused(Later.Transports),
        ["check_drain_close"] = Harmless("a drained connection is closed when the drain time is over"),
    };

    public static readonly MessageFields TcpWeightedCluster = new ProtoFields("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster")
    {
        ["clusters"] = Obeyed.Of(() => TcpClusterWeight),
    };

    public static readonly MessageFields TcpClusterWeight = new ProtoFields("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight")
    {
        ["name"] = Obeyed,
        ["weight"] = Obeyed,
        ["metadata_match"] = Obeyed.Of(() => CoreFields.Metadata),
    };

    public static readonly MessageFields DirectResponse = new ProtoFields("envoy.extensions.filters.network.direct_response.v3.Config")
    {
        ["response"] = Obeyed.Of(() => CoreFields.DataSource),
    };

    public static readonly MessageFields ConnectionLimit = new ProtoFields("envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit")
    {
        ["stat_prefix"] = Obeyed,
        ["max_connections"] = Obeyed,
        ["delay"] = Obeyed,
        ["runtime_enabled"] = Obeyed.Of(() => CoreFields.RuntimeFeatureFlag),
    };

    public static readonly MessageFields MetadataExchange = new ProtoFields("envoy.tcp.metadataexchange.config.MetadataExchange")
    {
        ["protocol"] = Obeyed,
        ["enable_discovery"] = Harmless("peers that tell nothing of themselves are known by nothing else here"),
        ["additional_labels"] = Harmless("only add labels to metrics"),
    };

    public static readonly MessageFields IstioStats = new ProtoFields("stats.PluginConfig")
    {
        ["debug"] = Warned("the standard metrics of Istio are kept as they are; changes of them come with the issue requests"),
        ["max_peer_cache_size"] = Warned("the standard metrics of Istio are kept as they are; changes of them come with the issue requests"),
        ["stat_prefix"] = Warned("the standard metrics of Istio are kept as they are; changes of them come with the issue requests"),
        ["field_separator"] = Warned("the standard metrics of Istio are kept as they are; changes of them come with the issue requests"),
        ["value_separator"] = Warned("the standard metrics of Istio are kept as they are; changes of them come with the issue requests"),
        ["disable_host_header_fallback"] = Warned("the destination service is told by the cluster alone"),
        ["tcp_reporting_duration"] = Warned("the standard metrics of Istio are kept as they are; changes of them come with the issue requests"),
        ["metrics"] = Warned("the standard metrics of Istio are kept as they are; changes of them come with the issue requests"),
        ["definitions"] = Warned("the standard metrics of Istio are kept as they are; changes of them come with the issue requests"),
        ["reporter"] = Warned("the standard metrics of Istio are kept as they are; changes of them come with the issue requests"),
        ["rotation_interval"] = Warned("the standard metrics of Istio are kept as they are; changes of them come with the issue requests"),
        ["graceful_deletion_interval"] = Warned("the standard metrics of Istio are kept as they are; changes of them come with the issue requests"),
    };
}
