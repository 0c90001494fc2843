using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>Passive health: counts answers and ejects a host after too many failures in a row.</summary>
internal static class OutlierDetector
{
    public static void Note(ProxyWorker worker, HostState host, int status, bool isLocalFailure)
    {
        if (host.Cluster.Config.Outlier is not { } config)
            return;
        var is5xx = isLocalFailure || status >= 500;
        var isGateway = isLocalFailure || status is 502 or 503 or 504;
        var server = host.Health.Count5xx(is5xx);
        var gateway = host.Health.CountGateway(isGateway);
        if (config.Consecutive5xx > 0 && server >= config.Consecutive5xx && server % config.Consecutive5xx == 0)
        {
            host.Cluster.Stats.EjectionsDetected5xx.Add(worker.Loop.Index);
            TryEject(worker, host, config, config.Enforcing5xx, is5xx: true);
        }
        else if (config.ConsecutiveGateway > 0 && gateway >= config.ConsecutiveGateway && gateway % config.ConsecutiveGateway == 0)
        {
            TryEject(worker, host, config, config.EnforcingGateway, is5xx: false);
        }
    }

    private static void TryEject(ProxyWorker worker, HostState host, OutlierConfig config, int enforcingPercent, bool is5xx)
    {
        if (host.Health.IsEjected || enforcingPercent == 0 || (enforcingPercent < 100 && worker.Loop.Random.Next(100) >= enforcingPercent))
            return;
        var all = 0;
        var ejected = 0;
        foreach (var other in host.Cluster.Hosts)
        {
            all++;
            if (other.Health.IsEjected)
                ejected++;
        }
        // One host may always be ejected; beyond that the percentage decides.
        if (ejected > 0 && (ejected + 1) * 100 > all * config.EjectionPercentMax)
            return;
        host.Health.IsEjected = true;
        host.Health.Ejections++;
        host.Health.EjectedUntilMs = worker.Loop.NowMs + Math.Min(config.MaxEjectionMs, config.BaseEjectionMs * host.Health.Ejections);
        host.Health.ClearCounts();
        var loop = worker.Loop.Index;
        host.Cluster.Stats.EjectionsActive.Add(loop);
        host.Cluster.Stats.EjectionsEnforcedTotal.Add(loop);
        if (is5xx)
            host.Cluster.Stats.EjectionsEnforced5xx.Add(loop);
        worker.Shared.Health.NoteChange();
        var health = host.Health;
        var stats = host.Cluster.Stats;
        var shared = worker.Shared;
        worker.Loop.Arm(new Loop.ActionTimer(() =>
        {
            health.IsEjected = false;
            stats.EjectionsActive.Add(loop, -1);
            shared.Health.NoteChange();
        }), Math.Max(health.EjectedUntilMs, worker.Loop.NowMs + 1));
    }
}
