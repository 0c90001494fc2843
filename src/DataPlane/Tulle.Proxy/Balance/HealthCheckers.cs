using Tulle.Base;

namespace Tulle.Proxy;

/// <summary>The active health checks of all clusters; on the first loop only, their results are shared.</summary>
internal sealed class HealthCheckers(ProxyWorker worker)
{
    private readonly Dictionary<string, Dictionary<Address, HealthChecker>> _byCluster = new(StringComparer.Ordinal);

    /// <summary>Makes the checks of a cluster be what it and its endpoints want now.</summary>
    public void Apply(ClusterState cluster)
    {
        var name = cluster.Config.Name;
        if (cluster.Config.HealthCheck is null)
        {
            Remove(name);
            return;
        }
        if (!_byCluster.TryGetValue(name, out var checkers))
            _byCluster[name] = checkers = [];
        var wanted = new HashSet<Address>();
        foreach (var host in cluster.Hosts)
        {
            if (host.Config.Check is { IsDisabled: true } || !wanted.Add(host.Address))
                continue;
            if (checkers.TryGetValue(host.Address, out var old))
            {
                if (old.Fits(cluster, host))
                    continue;
                old.Stop(keepVerdict: ReferenceEquals(old.Health, host.Health));
            }
            var checker = new HealthChecker(worker, cluster, host);
            checkers[host.Address] = checker;
            checker.Start();
        }
        foreach (var (address, gone) in checkers)
        {
            if (wanted.Contains(address))
                continue;
            gone.Stop(keepVerdict: false);
            checkers.Remove(address);
        }
    }

    public void Remove(string cluster)
    {
        if (!_byCluster.Remove(cluster, out var checkers))
            return;
        foreach (var checker in checkers.Values)
            checker.Stop(keepVerdict: false);
    }

    /// <summary>An answer carried x-envoy-immediate-health-check-fail. Any loop.</summary>
    public static void Announced(ProxyWorker worker, HostState host)
    {
        var first = worker.Shared.FirstWorker;
        var cluster = host.Cluster.Config.Name;
        var address = host.Address;
        first.Loop.Post(() => first.FailHost(cluster, address));
    }

    public void FailNow(string cluster, in Address address)
    {
        if (_byCluster.TryGetValue(cluster, out var checkers) && checkers.TryGetValue(address, out var checker))
            checker.FailNow();
    }
}
