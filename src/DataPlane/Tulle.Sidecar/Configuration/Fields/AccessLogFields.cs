using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class AccessLogFields
{
    public static readonly MessageFields AccessLog = new ProtoFields("envoy.config.accesslog.v3.AccessLog")
    {
        ["name"] = Obeyed,
        ["filter"] = Obeyed.Of(() => AccessLogFilter),
        ["typed_config"] = Obeyed.Of(() => [FileAccessLog, StdoutAccessLog, StderrAccessLog]),
    };

    public static readonly MessageFields AccessLogFilter = new ProtoFields("envoy.config.accesslog.v3.AccessLogFilter")
    {
        ["status_code_filter"] = Obeyed.Of(() => StatusCodeFilter),
        ["duration_filter"] = Obeyed.Of(() => DurationFilter),
        ["not_health_check_filter"] = Obeyed.Of(() => NotHealthCheckFilter),
        ["traceable_filter"] = Refused(Later.Requests),
        ["runtime_filter"] = Refused(Later.Requests),
        ["and_filter"] = Obeyed.Of(() => AndFilter),
        ["or_filter"] = Obeyed.Of(() => OrFilter),
        ["header_filter"] = Obeyed.Of(() => HeaderFilter),
        ["response_flag_filter"] = Obeyed.Of(() => ResponseFlagFilter),
        ["grpc_status_filter"] = Refused(Later.Requests),
        ["extension_filter"] = Refused(Later.Requests),
        ["metadata_filter"] = Refused(Later.Requests),
        ["log_type_filter"] = Refused(Later.Requests),
    };

    public static readonly MessageFields AndFilter = new ProtoFields("envoy.config.accesslog.v3.AndFilter")
    {
        ["filters"] = Obeyed.Of(() => AccessLogFilter),
    };

    public static readonly MessageFields OrFilter = new ProtoFields("envoy.config.accesslog.v3.OrFilter")
    {
        ["filters"] = Obeyed.Of(() => AccessLogFilter),
    };

    public static readonly MessageFields ComparisonFilter = new ProtoFields("envoy.config.accesslog.v3.ComparisonFilter")
    {
        ["op"] = Obeyed,
        ["value"] = Obeyed.Of(() => CoreFields.RuntimeUInt32),
    };

    public static readonly MessageFields DurationFilter = new ProtoFields("envoy.config.accesslog.v3.DurationFilter")
    {
        ["comparison"] = Obeyed.Of(() => ComparisonFilter),
    };

    public static readonly MessageFields StatusCodeFilter = new ProtoFields("envoy.config.accesslog.v3.StatusCodeFilter")
    {
        ["comparison"] = Obeyed.Of(() => ComparisonFilter),
    };

    public static readonly MessageFields HeaderFilter = new ProtoFields("envoy.config.accesslog.v3.HeaderFilter")
    {
        ["header"] = Obeyed.Of(() => RouteTableFields.HeaderMatcher),
    };

    public static readonly MessageFields NotHealthCheckFilter = new ProtoFields("envoy.config.accesslog.v3.NotHealthCheckFilter")
    {
    };

    public static readonly MessageFields ResponseFlagFilter = new ProtoFields("envoy.config.accesslog.v3.ResponseFlagFilter")
    {
        ["flags"] = Obeyed,
    };

    public static readonly MessageFields FileAccessLog = new ProtoFields("envoy.extensions.access_loggers.file.v3.FileAccessLog")
    {
        ["path"] = Obeyed,
        ["format"] = Obeyed,
        ["json_format"] = Obeyed,
        ["typed_json_format"] = Obeyed,
        ["log_format"] = Obeyed.Of(() => SubstitutionFormatString),
    };

    public static readonly MessageFields StdoutAccessLog = new ProtoFields("envoy.extensions.access_loggers.stream.v3.StdoutAccessLog")
    {
        ["log_format"] = Obeyed.Of(() => SubstitutionFormatString),
    };

    public static readonly MessageFields StderrAccessLog = new ProtoFields("envoy.extensions.access_loggers.stream.v3.StderrAccessLog")
    {
        ["log_format"] = Obeyed.Of(() => SubstitutionFormatString),
    };

    public static readonly MessageFields SubstitutionFormatString = new ProtoFields("envoy.config.core.v3.SubstitutionFormatString")
    {
        ["text_format"] = Obeyed,
        ["json_format"] = Obeyed,
        ["text_format_source"] = Obeyed.Of(() => CoreFields.DataSource),
        ["omit_empty_values"] = Warned("a value that is not there is written as -, or as null in JSON"),
        ["content_type"] = Harmless("a log line has no content type"),
        ["formatters"] = Refused(Later.Requests),
        ["json_format_options"] = Refused(Later.Requests),
    };
}
