using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class BootstrapFields
{
    public static readonly MessageFields Bootstrap = new ProtoFields("envoy.config.bootstrap.v3.Bootstrap")
    {
        ["node"] = Obeyed,
        ["admin"] = Obeyed.Of(() => Admin),
        ["dynamic_resources"] = Obeyed.Of(() => DynamicResources),
        ["static_resources"] = Obeyed.Of(() => StaticResources),
        ["layered_runtime"] = Warned("no runtime key is obeyed; that comes with the issue requests"),
        ["overload_manager"] = Warned("no limit holds for the whole process; that comes with the issue requests"),
        ["runtime"] = Warned("no runtime key is obeyed"),
        ["stats_config"] = Warned("names and tags of statistics are fixed; that comes with the issue requests"),
        ["stats_sinks"] = Warned("statistics are served, not sent"),
        ["stats_flush_interval"] = Warned("nothing is sent"),
        ["stats_flush_on_admin"] = Warned("nothing is sent"),
        ["stats_eviction_interval"] = Warned("statistics are kept as long as what they are about"),
        ["tracing"] = Warned("nothing is traced yet"),
        ["bootstrap_extensions"] = Warned("internal listeners come with the issue transports"),
        ["application_log_config"] = Warned("the format of the log is fixed"),
        ["deferred_stat_options"] = Warned("statistics are made when they are needed"),
        ["cluster_manager"] = Warned("it only tunes"),
        ["hds_config"] = Warned("health is not reported"),
        ["watchdog"] = Warned("no loop is watched"),
        ["watchdogs"] = Warned("no loop is watched"),
        ["fatal_actions"] = Warned("none is run"),
        ["typed_dns_resolver_config"] = Warned("the machine's resolver is asked"),
        ["dns_resolution_config"] = Warned("the machine's resolver is asked"),
        ["use_tcp_for_dns_lookups"] = Warned("the machine's resolver is asked"),
        ["perf_tracing_file_path"] = Warned("is not written"),
        ["flags_path"] = Warned("no flags are read"),
        ["node_context_params"] = Harmless("names are plain"),
        ["default_socket_interface"] = Harmless("there is one"),
        ["enable_dispatcher_stats"] = Harmless("this statistic is not kept"),
        ["listener_manager"] = Harmless("there is one"),
        ["grpc_async_client_manager_config"] = Harmless("only tunes"),
        ["memory_allocator_manager"] = Harmless("memory is managed by the runtime"),
        ["inline_headers"] = Harmless("only tunes"),
        ["default_regex_engine"] = Harmless("the syntax is that of RE2 in any case"),
        ["header_prefix"] = Refused(Later.Never),
        ["certificate_provider_instances"] = Refused(Later.Transports),
        ["default_config_source"] = Refused(Later.Never),
        ["config_sources"] = Refused(Later.Never),
        ["xds_delegate_extension"] = Refused(Later.Never),
        ["xds_config_tracker_extension"] = Refused(Later.Never),
    };

    public static readonly MessageFields Admin = new ProtoFields("envoy.config.bootstrap.v3.Admin")
    {
        ["address"] = Obeyed.Of(() => CoreFields.Address),
        ["access_log"] = Warned("requests to the admin port are not logged"),
        ["access_log_path"] = Warned("requests to the admin port are not logged"),
        ["profile_path"] = Warned("no profile is written"),
        ["ignore_global_conn_limit"] = Harmless("there is no global limit of connections yet"),
        ["socket_options"] = Refused(Later.Transports),
        ["allow_paths"] = Refused(Later.Never),
    };

    public static readonly MessageFields DynamicResources = new ProtoFields("envoy.config.bootstrap.v3.Bootstrap.DynamicResources")
    {
        ["lds_config"] = Obeyed.Of(() => ConfigSourceFields.ConfigSource),
        ["cds_config"] = Obeyed.Of(() => ConfigSourceFields.ConfigSource),
        ["ads_config"] = Obeyed.Of(() => ConfigSourceFields.ApiConfigSource),
        ["lds_resources_locator"] = Refused(Later.Never),
        ["cds_resources_locator"] = Refused(Later.Never),
    };

    public static readonly MessageFields StaticResources = new ProtoFields("envoy.config.bootstrap.v3.Bootstrap.StaticResources")
    {
        ["listeners"] = Obeyed,
        ["clusters"] = Obeyed,
        ["secrets"] = Obeyed,
    };
}
