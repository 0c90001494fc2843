namespace Tulle.Proxy;

/// <summary>Counters of a cluster's outlier detection; made only for clusters that have it.</summary>
internal sealed class OutlierStats
{
    public OutlierStats(StatsStore store, string cluster)
    {
        Stat C(string leaf) => store.Counter(StatScope.Cluster, cluster, "outlier_detection." + leaf);
        Active = store.Gauge(StatScope.Cluster, cluster, "outlier_detection.ejections_active");
        Overflow = C("ejections_overflow");
        Enforced = C("ejections_enforced_total");
        string[] kinds = ["consecutive_5xx", "consecutive_gateway_failure", "consecutive_local_origin_failure", "success_rate", "local_origin_success_rate",
            "failure_percentage", "local_origin_failure_percentage"];
        DetectedByKind = [.. kinds.Select(k => C("ejections_detected_" + k))];
        EnforcedByKind = [.. kinds.Select(k => C("ejections_enforced_" + k))];
    }

    public Stat Active { get; }

    public Stat Overflow { get; }

    public Stat Enforced { get; }

    public Stat[] DetectedByKind { get; }

    public Stat[] EnforcedByKind { get; }
}

/// <summary>Counters of a cluster's active health checks; made only for clusters that have them.</summary>
internal sealed class HealthCheckStats
{
    public HealthCheckStats(StatsStore store, string cluster)
    {
        Stat C(string leaf) => store.Counter(StatScope.Cluster, cluster, "health_check." + leaf);
        Attempt = C("attempt");
        Success = C("success");
        Failure = C("failure");
        PassiveFailure = C("passive_failure");
        NetworkFailure = C("network_failure");
        VerifyCluster = C("verify_cluster");
        Healthy = store.Gauge(StatScope.Cluster, cluster, "health_check.healthy");
        Degraded = store.Gauge(StatScope.Cluster, cluster, "health_check.degraded");
    }

    public Stat Attempt { get; }

    public Stat Success { get; }

    public Stat Failure { get; }

    public Stat PassiveFailure { get; }

    public Stat NetworkFailure { get; }

    public Stat VerifyCluster { get; }

    public Stat Healthy { get; }

    public Stat Degraded { get; }
}
