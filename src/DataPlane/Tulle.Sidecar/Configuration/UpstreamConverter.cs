using Tulle.Base.Documents;
using Tulle.Sidecar.Fields;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>What a cluster says of its connections: HTTP options, circuit breakers, keep-alive.</summary>
internal static class UpstreamConverter
{
    internal sealed class Http
    {
        public long IdleTimeoutMs = 3_600_000;
        public long StreamDurationMs;
        public int RequestsMax;
        public bool EnableTrailers;
        public int HeadBytesMax = 60 * 1024;
        public int FieldsMax = 100;
        public ServerNameRule? ServerNames;
    }

    internal sealed record Breakers
    {
        public ThresholdsConfig Default { get; init; } = ThresholdsConfig.Default;

        public ThresholdsConfig High { get; init; } = ThresholdsConfig.Default;

        public uint HostConnectionsMax { get; init; } = uint.MaxValue;

        public uint HighHostConnectionsMax { get; init; } = uint.MaxValue;
    }

    public static Breakers Thresholds(FieldReader cluster)
    {
        var result = new Breakers();
        if (cluster.Child("circuit_breakers") is not { } breakers)
            return result;
        var (hasDefault, hasHigh) = (false, false);
        foreach (var threshold in breakers.Children("thresholds"))
        {
            var isHigh = IsHigh(threshold);
            var read = new ThresholdsConfig(
                (uint)threshold.IntegerOr("max_connections", 1024, 0, uint.MaxValue), (uint)threshold.IntegerOr("max_pending_requests", 1024, 0, uint.MaxValue),
                (uint)threshold.IntegerOr("max_requests", 1024, 0, uint.MaxValue), (uint)threshold.IntegerOr("max_retries", 3, 0, uint.MaxValue));
            if (threshold.Child("retry_budget") is { } budget)
            {
                var percent = budget.Child("budget_percent");
                read = read with
                {
                    RetryBudgetPercent = percent is null ? 20 : percent.Number("value") ?? 0,
                    RetryBudgetMin = (uint)budget.IntegerOr("min_retry_concurrency", 3, 0, uint.MaxValue),
                };
                percent?.Done();
                budget.Done();
            }
            threshold.Done();
            // The first entry of a priority counts (Envoy).
            if (isHigh && !hasHigh)
                result = result with { High = read };
            else if (!isHigh && !hasDefault)
                result = result with { Default = read };
            hasHigh |= isHigh;
            hasDefault |= !isHigh;
        }
        (hasDefault, hasHigh) = (false, false);
        foreach (var threshold in breakers.Children("per_host_thresholds"))
        {
            var isHigh = IsHigh(threshold);
            var connections = (uint)threshold.IntegerOr("max_connections", uint.MaxValue, 0, uint.MaxValue);
            foreach (var other in new[] { "max_pending_requests", "max_requests", "max_retries" })
            {
                if (threshold.Integer(other, 0, uint.MaxValue) is not null)
                    threshold.Fail(other, "may not be set here: of one host only max_connections is limited");
            }
            if (threshold.Child("retry_budget") is { } budget)
                budget.Fail("", "may not be set here: of one host only max_connections is limited");
            threshold.Done();
            if (isHigh && !hasHigh)
                result = result with { HighHostConnectionsMax = connections };
            else if (!isHigh && !hasDefault)
                result = result with { HostConnectionsMax = connections };
            hasHigh |= isHigh;
            hasDefault |= !isHigh;
        }
        breakers.Done();
        return result;
    }

    private static bool IsHigh(FieldReader threshold) => threshold.Choice("priority", "DEFAULT", "DEFAULT", "HIGH") == "HIGH";

    public static KeepAliveConfig? KeepAlive(FieldReader cluster)
    {
        if (cluster.Child("upstream_connection_options") is not { } options)
            return null;
        KeepAliveConfig? result = null;
        if (options.Child("tcp_keepalive") is { } keepAlive)
        {
            // The kernel takes 1 to 127 probes and 1 to 32,767 seconds (tcp(7)).
            result = new KeepAliveConfig(
                (int)keepAlive.IntegerOr("keepalive_probes", 0, 1, 127), (int)keepAlive.IntegerOr("keepalive_time", 0, 1, 32_767),
                (int)keepAlive.IntegerOr("keepalive_interval", 0, 1, 32_767));
            keepAlive.Done();
        }
        options.Done();
        return result;
    }

    public static Http HttpOptions(FieldReader cluster)
    {
        var result = new Http();
        Common(result, cluster.Child("common_http_protocol_options"));
        Http1(result, cluster.Child("http_protocol_options"));
        result.ServerNames = UpstreamNames.Read(cluster.Child("upstream_http_protocol_options"));
        foreach (var (key, _, options) in ConversionContext.TypedMap(cluster, "typed_extension_protocol_options"))
        {
            if (options.Fields != UpstreamHttpFields.UpstreamOptions)
            {
                options.Fail("", $"{key} is not supported");
                continue;
            }
            Common(result, options.Child("common_http_protocol_options"));
            result.ServerNames = UpstreamNames.Read(options.Child("upstream_http_protocol_options"));
            if (options.Child("explicit_http_config") is { } fixedTo)
            {
                Http1(result, fixedTo.Child("http_protocol_options"));
                fixedTo.Done();
            }
            if (options.Child("use_downstream_protocol_config") is { } same)
            {
                Http1(result, same.Child("http_protocol_options"));
                same.Done();
            }
            options.Done();
        }
        return result;
    }

    private static void Common(Http result, FieldReader? options)
    {
        if (options is null)
            return;
        result.IdleTimeoutMs = (long)(options.DurationMs("idle_timeout") ?? result.IdleTimeoutMs);
        result.StreamDurationMs = (long)(options.DurationMs("max_stream_duration") ?? result.StreamDurationMs);
        result.RequestsMax = (int)(options.Integer("max_requests_per_connection", 0, uint.MaxValue) ?? result.RequestsMax);
        if (options.Integer("max_response_headers_kb", 1, 8192) is { } kilobytes)
            result.HeadBytesMax = (int)kilobytes * 1024;
        result.FieldsMax = (int)(options.Integer("max_headers_count", 1, 100_000) ?? result.FieldsMax);
        options.Done();
    }

    private static void Http1(Http result, FieldReader? options)
    {
        result.EnableTrailers |= options?.Bool("enable_trailers", false) ?? false;
        options?.Done();
    }
}
