using System.Text;
using Tulle.Base.Documents;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>envoy.config.route.v3.RetryPolicy.</summary>
internal static class RetryConverter
{
    public static RetryConfig Convert(FieldReader retry, ConversionContext context)
    {
        var words = retry.Text("retry_on", "");
        if (!RetryWords.TryParse(words, out var on))
            context.Diagnostics.Warn(retry.Node.Position, context.Subject, retry.PathOf("retry_on"), $"\"{words}\" has a word that is not known: it covers nothing, as in Envoy");
        long backOff = 25;
        long? backOffMax = null;
        if (retry.Child("retry_back_off") is { } back)
        {
            backOff = Math.Max(1, (long)(back.DurationMs("base_interval") ?? 25));
            backOffMax = (long?)back.DurationMs("max_interval");
            if (backOffMax < backOff)
                back.Fail("max_interval", "is shorter than base_interval");
            back.Done();
        }
        var limited = new List<ResetHeaderConfig>();
        long limitedMax = 300_000;
        if (retry.Child("rate_limited_retry_back_off") is { } asked)
        {
            foreach (var header in asked.Children("reset_headers"))
            {
                limited.Add(new ResetHeaderConfig(Encoding.ASCII.GetBytes(header.Required("name").ToLowerInvariant()), header.Choice("format", "SECONDS", "SECONDS", "UNIX_TIMESTAMP") == "UNIX_TIMESTAMP"));
                header.Done();
            }
            if (limited.Count == 0)
                asked.Fail("reset_headers", "at least one is needed");
            limitedMax = (long)(asked.DurationMs("max_interval") ?? 300_000);
            asked.Done();
        }
        var result = new RetryConfig
        {
            On = on,
            RetriesMax = (int)Math.Min(int.MaxValue, retry.Integer("num_retries", 0, uint.MaxValue) ?? 1),
            PerTryTimeoutMs = (long)(retry.DurationMs("per_try_timeout") ?? 0),
            PerTryIdleTimeoutMs = (long)(retry.DurationMs("per_try_idle_timeout") ?? 0),
            StatusCodes = [.. retry.List("retriable_status_codes").Select(n => (int)n.AsInteger)],
            ResponseHeaders = MatcherConverter.Headers(retry, "retriable_headers", context),
            RequestHeaders = MatcherConverter.Headers(retry, "retriable_request_headers", context),
            BackOffBaseMs = backOff,
            BackOffMaxMs = backOffMax ?? backOff * 10,
            ResetHeaders = limited,
            ResetMaxMs = limitedMax,
            PreviousPrioritiesFrequency = Priorities(retry),
            HostSelectionAttemptsMax = (int)(retry.Integer("host_selection_retry_max_attempts", 1, int.MaxValue) ?? 1),
        };
        result = Predicates(retry, result);
        retry.Done("is not supported by this proxy");
        return result;
    }

    /// <summary>Extensions are known by the type of their configuration; the name only where there is none.</summary>
    private static RetryConfig Predicates(FieldReader retry, RetryConfig result)
    {
        foreach (var predicate in retry.Children("retry_host_predicate"))
        {
            var name = predicate.Text("name", "");
            var (type, config) = ConversionContext.Typed(predicate);
            switch (type.Length > 0 ? type : name)
            {
                case "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate" or "envoy.retry_host_predicates.previous_hosts":
                    result = result with { AvoidPreviousHosts = true };
                    break;
                case "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate" or "envoy.retry_host_predicates.omit_canary_hosts":
                    result = result with { AvoidCanaries = true };
                    break;
                case "envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig":
                    result = result with { AvoidMetadata = BalanceConverter.MetadataMatch(config) };
                    break;
                default:
                    predicate.Fail("name", $"a retry host predicate {(type.Length > 0 ? type : name)} is not known");
                    break;
            }
            config.Done();
            predicate.Done();
        }
        return result;
    }

    private static int Priorities(FieldReader retry)
    {
        if (retry.Child("retry_priority") is not { } priority)
            return 0;
        var (type, config) = ConversionContext.Typed(priority);
        var frequency = 0;
        if (type == "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig")
            frequency = (int)config.IntegerOr("update_frequency", 1, 1, int.MaxValue);
        else
            priority.Fail("name", $"a retry priority {(type.Length > 0 ? type : priority.Text("name", ""))} is not known");
        config.Done();
        _ = priority.Text("name");
        priority.Done();
        return frequency;
    }
}
