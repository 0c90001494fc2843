using Tulle.Base.Documents;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>envoy.config.cluster.v3.OutlierDetection.</summary>
internal static class OutlierConverter
{
    public static OutlierConfig? Convert(FieldReader cluster)
    {
        if (cluster.Child("outlier_detection") is not { } outlier)
            return null;
        int Percent(string name, int otherwise) => (int)outlier.IntegerOr(name, otherwise, 0, 100);
        int Count(string name, int otherwise) => (int)outlier.IntegerOr(name, otherwise, 0, int.MaxValue);
        long Duration(string name, long otherwise) => (long)(outlier.DurationMs(name) ?? otherwise);
        var baseMs = Duration("base_ejection_time", 30_000);
        var result = new OutlierConfig
        {
            Consecutive5xx = Count("consecutive_5xx", 5),
            Enforcing5xx = Percent("enforcing_consecutive_5xx", 100),
            ConsecutiveGateway = Count("consecutive_gateway_failure", 5),
            EnforcingGateway = Percent("enforcing_consecutive_gateway_failure", 0),
            SplitLocal = outlier.Bool("split_external_local_origin_errors", false),
            ConsecutiveLocal = Count("consecutive_local_origin_failure", 5),
            EnforcingLocal = Percent("enforcing_consecutive_local_origin_failure", 100),
            IntervalMs = Duration("interval", 10_000),
            BaseEjectionMs = baseMs,
            MaxEjectionMs = Duration("max_ejection_time", Math.Max(300_000, baseMs)),
            EjectionJitterMs = Duration("max_ejection_time_jitter", 0),
            EjectionPercentMax = Percent("max_ejection_percent", 10),
            AlwaysEjectOne = outlier.Bool("always_eject_one_host", false),
            CheckUnejects = outlier.Bool("successful_active_health_check_uneject_host", true),
            SuccessRateHosts = Count("success_rate_minimum_hosts", 5),
            SuccessRateRequests = Count("success_rate_request_volume", 100),
            SuccessRateFactor = Count("success_rate_stdev_factor", 1900),
            EnforcingSuccessRate = Percent("enforcing_success_rate", 100),
            EnforcingLocalSuccessRate = Percent("enforcing_local_origin_success_rate", 100),
            FailurePercentageThreshold = Percent("failure_percentage_threshold", 85),
            EnforcingFailurePercentage = Percent("enforcing_failure_percentage", 0),
            EnforcingLocalFailurePercentage = Percent("enforcing_failure_percentage_local_origin", 0),
            FailurePercentageHosts = Count("failure_percentage_minimum_hosts", 5),
            FailurePercentageRequests = Count("failure_percentage_request_volume", 50),
        };
        if (result.MaxEjectionMs < result.BaseEjectionMs)
            outlier.Fail("max_ejection_time", "is shorter than base_ejection_time");
        outlier.Done();
        return result;
    }
}
