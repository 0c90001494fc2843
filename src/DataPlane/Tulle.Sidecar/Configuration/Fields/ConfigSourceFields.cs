using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class ConfigSourceFields
{
    public static readonly MessageFields ConfigSource = new ProtoFields("envoy.config.core.v3.ConfigSource")
    {
        ["authorities"] = Harmless("names with an authority come by the same source"),
        ["path"] = Obeyed,
        ["path_config_source"] = Obeyed.Of(() => PathConfigSource),
        ["api_config_source"] = Obeyed.Of(() => ApiConfigSource),
        ["ads"] = Obeyed.Of(() => AggregatedConfigSource),
        ["self"] = Obeyed.Of(() => SelfConfigSource),
        ["initial_fetch_timeout"] = Obeyed,
        ["resource_api_version"] = Harmless("there is one version, v3"),
    };

    public static readonly MessageFields AggregatedConfigSource = new ProtoFields("envoy.config.core.v3.AggregatedConfigSource")
    {
    };

    public static readonly MessageFields SelfConfigSource = new ProtoFields("envoy.config.core.v3.SelfConfigSource")
    {
        ["transport_api_version"] = Harmless("there is one version, v3"),
    };

    public static readonly MessageFields PathConfigSource = new ProtoFields("envoy.config.core.v3.PathConfigSource")
    {
        ["path"] = Obeyed,
        ["watched_directory"] = Warned("the file itself is watched"),
        ["poll_interval"] = Warned("the file is watched, not polled"),
    };

    public static readonly MessageFields ApiConfigSource = new ProtoFields("envoy.config.core.v3.ApiConfigSource")
    {
        ["api_type"] = Obeyed,
        ["transport_api_version"] = Harmless("there is one version, v3"),
        ["cluster_names"] = Refused(Later.Never),
        ["grpc_services"] = Obeyed.Of(() => GrpcService),
        ["refresh_delay"] = Warned("a stream tells changes, nothing is polled"),
        ["request_timeout"] = Warned("a stream has no time-out per request"),
        ["rate_limit_settings"] = Warned("requests are not limited"),
        ["set_node_on_first_message_only"] = Harmless("the node is told with the first message of a stream, which the protocol allows always"),
        ["config_validators"] = Warned("are not run"),
    };

    public static readonly MessageFields GrpcService = new ProtoFields("envoy.config.core.v3.GrpcService")
    {
        ["envoy_grpc"] = Obeyed.Of(() => EnvoyGrpc),
        ["google_grpc"] = Refused(Later.Never),
        ["timeout"] = Warned("a stream has no time-out"),
        ["initial_metadata"] = Refused(Later.Never),
        ["retry_policy"] = Warned("a stream is opened again with a growing pause"),
    };

    public static readonly MessageFields EnvoyGrpc = new ProtoFields("envoy.config.core.v3.GrpcService.EnvoyGrpc")
    {
        ["cluster_name"] = Obeyed,
        ["authority"] = Refused(Later.Never),
        ["retry_policy"] = Warned("a stream is opened again with a growing pause"),
        ["max_receive_message_length"] = Harmless("messages have a bound of their own here"),
        ["skip_envoy_headers"] = Harmless("none are sent"),
    };
}
