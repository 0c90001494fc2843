using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>The statistical half of outlier detection: success rates of one interval against each other and against a fixed percentage.</summary>
internal static class SuccessRates
{
    /// <summary>Takes (and so resets) every host's counts; reports who stands out.</summary>
    public static void Compare(EndpointHealthState[] hosts, OutlierConfig config, bool isLocal, Action<EndpointHealthState, EjectionKind> report)
    {
        var rates = new List<(EndpointHealthState Host, double Rate)>();
        var percentages = new List<(EndpointHealthState Host, double Rate)>();
        foreach (var health in hosts)
        {
            var all = Interlocked.Exchange(ref isLocal ? ref health.Connects : ref health.Answers, 0);
            var good = Interlocked.Exchange(ref isLocal ? ref health.GoodConnects : ref health.GoodAnswers, 0);
            if (health.IsEjected || all == 0)
                continue;
            var rate = 100.0 * Math.Min(good, all) / all;
            if (all >= config.SuccessRateRequests)
                rates.Add((health, rate));
            if (all >= config.FailurePercentageRequests)
                percentages.Add((health, rate));
        }
        // Hosts must be many enough in all, and again those that had enough requests (a mean of one says nothing).
        if (rates.Count > 0 && rates.Count >= config.SuccessRateHosts)
        {
            var mean = rates.Average(r => r.Rate);
            var deviation = Math.Sqrt(rates.Sum(r => (r.Rate - mean) * (r.Rate - mean)) / rates.Count);
            var threshold = mean - deviation * config.SuccessRateFactor / 1000.0;
            foreach (var (host, rate) in rates)
            {
                if (rate < threshold)
                    report(host, isLocal ? EjectionKind.LocalSuccessRate : EjectionKind.SuccessRate);
            }
        }
        if (percentages.Count == 0 || percentages.Count < config.FailurePercentageHosts)
            return;
        foreach (var (host, rate) in percentages)
        {
            if (100 - rate >= config.FailurePercentageThreshold)
                report(host, isLocal ? EjectionKind.LocalFailurePercentage : EjectionKind.FailurePercentage);
        }
    }
}
