using Tulle.Base.Documents;
using Tulle.Sidecar.Fields;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>Access logs to files and standard streams.</summary>
internal static class AccessLogConverter
{
    public static List<AccessLogConfig> Convert(FieldReader holder, string field, ConversionContext context)
    {
        var result = new List<AccessLogConfig>();
        foreach (var log in holder.Children(field))
        {
            var (type, config) = ConversionContext.Typed(log);
            var name = log.Text("name", "");
            var filter = log.Child("filter") is { } given ? Filter(given, context) : null;
            log.Done();
            string? path = type switch
            {
                "envoy.extensions.access_loggers.file.v3.FileAccessLog" => config.Required("path"),
                "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog" => "/dev/stdout",
                "envoy.extensions.access_loggers.stream.v3.StderrAccessLog" => "/dev/stderr",
                _ => null,
            };
            if (path is null)
            {
                log.Fail("typed_config", $"access log {(type.Length > 0 ? type : name)} is not supported");
                continue;
            }
            var format = Format(config);
            config.Done("is not supported by this proxy");
            if (format is not null)
                result.Add(new AccessLogConfig { Path = path, Format = format, Filter = filter });
        }
        return result;
    }

    private static LogFormat? Format(FieldReader config)
    {
        string? text = null;
        Node? json = null;
        // The older forms are the file logger's alone.
        if (config.Fields == AccessLogFields.FileAccessLog)
        {
            text = config.Text("format");
            json = config.Raw("json_format") ?? config.Raw("typed_json_format");
        }
        if (config.Child("log_format") is { } source)
        {
            text = source.Text("text_format") ?? text;
            if (source.Child("text_format_source") is { } data)
                text = ConversionContext.DataSource(data) is { } bytes ? System.Text.Encoding.UTF8.GetString(bytes) : text;
            json = source.Raw("json_format") ?? json;
            source.Done("is not supported by this proxy");
        }
        var error = "";
        if (json is not null)
        {
            var template = LogFormat.CompileJson(json, ref error);
            if (template is not null)
                return new LogFormat { Json = template };
            config.Fail("json_format", error);
            return null;
        }
        if (LogFormat.TryCompile(text is { Length: > 0 } ? text : LogFormat.DefaultText, out var parts, out error))
            return new LogFormat { Parts = parts };
        config.Fail("log_format", error);
        return null;
    }

    private static LogFilterConfig? Filter(FieldReader filter, ConversionContext context)
    {
        LogFilterConfig? result = null;
        if (filter.Child("status_code_filter") is { } status)
            result = Comparison(status, LogFilterKind.StatusCode);
        else if (filter.Child("duration_filter") is { } duration)
            result = Comparison(duration, LogFilterKind.Duration);
        else if (filter.Child("response_flag_filter") is { } flags)
        {
            result = new LogFilterConfig { Kind = LogFilterKind.ResponseFlag, Flags = flags.Texts("flags") };
            flags.Done();
        }
        else if (filter.Child("and_filter") is { } all)
            result = Group(all, LogFilterKind.And, context);
        else if (filter.Child("or_filter") is { } any)
            result = Group(any, LogFilterKind.Or, context);
        else if (filter.Child("header_filter") is { } header)
        {
            if (header.Child("header") is { } matcher)
                result = new LogFilterConfig { Kind = LogFilterKind.Header, Header = MatcherConverter.Header(matcher, context) };
            header.Done();
        }
        else if (filter.Child("not_health_check_filter") is { } check)
        {
            check.Done();
            result = new LogFilterConfig { Kind = LogFilterKind.NotHealthCheck };
        }
        filter.Done("is not supported by this proxy");
        return result;
    }

    private static LogFilterConfig Group(FieldReader group, LogFilterKind kind, ConversionContext context)
    {
        var children = group.Children("filters").Select(f => Filter(f, context)).OfType<LogFilterConfig>().ToList();
        group.Done();
        return new LogFilterConfig { Kind = kind, Children = children };
    }

    private static LogFilterConfig Comparison(FieldReader holder, LogFilterKind kind)
    {
        long value = 0;
        var op = "EQ";
        if (holder.Child("comparison") is { } comparison)
        {
            op = comparison.Choice("op", "EQ", "EQ", "GE", "LE");
            if (comparison.Child("value") is { } runtime)
            {
                value = runtime.IntegerOr("default_value", 0);
                runtime.Done();
            }
            comparison.Done();
        }
        holder.Done();
        return new LogFilterConfig { Kind = kind, Comparison = op, Value = value };
    }
}
