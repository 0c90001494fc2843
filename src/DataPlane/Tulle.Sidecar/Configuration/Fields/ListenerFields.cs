using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class ListenerFields
{
    public static readonly MessageFields Listener = new ProtoFields("envoy.config.listener.v3.Listener")
    {
        ["name"] = Obeyed,
        ["address"] = Obeyed.Of(() => CoreFields.Address),
        ["additional_addresses"] = Refused(Later.Transports),
        ["stat_prefix"] = Obeyed,
        ["stats_matcher"] = Refused(Later.Requests),
        ["filter_chains"] = Obeyed.Of(() => FilterChain),
        ["fcds_config"] = Refused(Later.Never),
        ["filter_chain_matcher"] = Refused(Later.Transports),
        ["use_original_dst"] = Obeyed,
        ["default_filter_chain"] = Obeyed.Of(() => FilterChain),
        ["per_connection_buffer_limit_bytes"] = Harmless("buffers of a connection have a bound of their own here"),
        ["per_connection_buffer_high_watermark_timeout"] = Refused(Later.Never),
        ["metadata"] = Harmless("only describes"),
        ["deprecated_v1"] = Refused(Later.Transports),
        ["drain_type"] = Harmless("listeners drain when they are changed or removed and at the end of the process"),
        ["listener_filters"] = Obeyed.Of(() => ListenerFilter),
        ["listener_filters_timeout"] = Obeyed,
        ["continue_on_listener_filters_timeout"] = Obeyed,
        ["transparent"] = Obeyed,
        ["freebind"] = Refused(Later.Transports),
        ["socket_options"] = Refused(Later.Transports),
        ["tcp_fast_open_queue_length"] = Harmless("only saves a round trip"),
        ["traffic_direction"] = Obeyed,
        ["udp_listener_config"] = Refused(Later.Transports),
        ["api_listener"] = Refused(Later.Never),
        ["connection_balance_config"] = Harmless("connections are spread over the loops in any case"),
        ["reuse_port"] = Harmless("how connections come to the loops is the same for clients"),
        ["enable_reuse_port"] = Harmless("how connections come to the loops is the same for clients"),
        ["access_log"] = Obeyed.Of(() => AccessLogFields.AccessLog),
        ["tcp_backlog_size"] = Obeyed,
        ["max_connections_to_accept_per_socket_event"] = Harmless("a loop takes a bounded number of connections per turn in any case"),
        ["bind_to_port"] = Obeyed,
        ["internal_listener"] = Refused(Later.Transports),
        ["enable_mptcp"] = Harmless("plain TCP serves the same clients"),
        ["ignore_global_conn_limit"] = Harmless("there is no global limit of connections yet"),
        ["bypass_overload_manager"] = Harmless("there is no overload manager yet"),
        ["tcp_keepalive"] = Refused(Later.Transports),
    };

    public static readonly MessageFields ListenerFilter = new ProtoFields("envoy.config.listener.v3.ListenerFilter")
    {
        ["name"] = Obeyed,
        ["typed_config"] = Obeyed.Of(() =>
        [
            ListenerFilterFields.OriginalDst,
            ListenerFilterFields.TlsInspector,
            ListenerFilterFields.HttpInspector,
            ListenerFilterFields.ProxyProtocol,
        ]),
        ["config_discovery"] = Refused(Later.Transports),
        ["filter_disabled"] = Obeyed.Of(() => Predicate),
    };

    public static readonly MessageFields Predicate = new ProtoFields("envoy.config.listener.v3.ListenerFilterChainMatchPredicate")
    {
        ["or_match"] = Obeyed.Of(() => PredicateSet),
        ["and_match"] = Refused(Later.Transports),
        ["not_match"] = Refused(Later.Transports),
        ["any_match"] = Refused(Later.Transports),
        ["destination_port_range"] = Obeyed.Of(() => CoreFields.Int32Range),
    };

    public static readonly MessageFields PredicateSet = new ProtoFields("envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet")
    {
        ["rules"] = Obeyed.Of(() => Predicate),
    };

    public static readonly MessageFields FilterChain = new ProtoFields("envoy.config.listener.v3.FilterChain")
    {
        ["filter_chain_match"] = Obeyed.Of(() => FilterChainMatch),
        ["filters"] = Obeyed.Of(() => NetworkFilter),
        ["use_proxy_proto"] = Obeyed,
        ["metadata"] = Harmless("only describes"),
        ["transport_socket"] = Obeyed.Of(() => CoreFields.DownstreamSocket),
        ["transport_socket_connect_timeout"] = Obeyed,
        ["name"] = Obeyed,
    };

    public static readonly MessageFields NetworkFilter = new ProtoFields("envoy.config.listener.v3.Filter")
    {
        ["name"] = Obeyed,
        ["typed_config"] = Obeyed.Of(() =>
        [
            HttpManagerFields.HttpConnectionManager,
            NetworkFilterFields.TcpProxy,
            NetworkFilterFields.DirectResponse,
            NetworkFilterFields.MetadataExchange,
            NetworkFilterFields.IstioStats,
            NetworkFilterFields.ConnectionLimit,
            RbacFields.NetworkRbac,
        ]),
        ["config_discovery"] = Refused(Later.Policies),
    };

    public static readonly MessageFields FilterChainMatch = new ProtoFields("envoy.config.listener.v3.FilterChainMatch")
    {
        ["destination_port"] = Obeyed,
        ["prefix_ranges"] = Obeyed.Of(() => CoreFields.CidrRange),
        ["address_suffix"] = Refused(Later.Never),
        ["suffix_len"] = Refused(Later.Never),
        ["direct_source_prefix_ranges"] = Obeyed.Of(() => CoreFields.CidrRange),
        ["source_type"] = Obeyed,
        ["source_prefix_ranges"] = Obeyed.Of(() => CoreFields.CidrRange),
        ["source_ports"] = Obeyed,
        ["server_names"] = Obeyed,
        ["transport_protocol"] = Obeyed,
        ["application_protocols"] = Obeyed,
    };
}
