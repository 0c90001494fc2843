using Tulle.Base;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>Hosts of one kind (healthy, degraded, all) of one priority or locality, and whose turn it is. Owns its order: no other pool disturbs it.</summary>
internal sealed class HostPool
{
    private readonly HostState[] _hosts;
    private readonly ClusterConfig _config;
    private readonly EdfSchedule? _weighted; // Null while all weights are equal.
    private uint _cursor;

    public HostPool(HostState[] hosts, ClusterConfig config, SeededRandom random)
    {
        _hosts = hosts;
        _config = config;
        if (hosts.Length > 1)
            _cursor = (uint)random.Next(hosts.Length);
        if (config.Balance is BalancePolicy.Random || !Array.Exists(hosts, h => h.Config.Weight != hosts[0].Config.Weight))
            return;
        _weighted = new EdfSchedule(hosts.Length);
        for (var i = 0; i < hosts.Length; i++)
            _weighted.Add(i, Weight(hosts[i]));
        // Loops and proxies that start together must not walk in step.
        for (var skip = random.Next(hosts.Length); skip > 0; skip--)
            PickWeighted(_weighted);
    }

    public int Count => _hosts.Length;

    public HostState? Pick(SeededRandom random)
    {
        if (_hosts.Length <= 1)
            return _hosts.Length == 0 ? null : _hosts[0];
        if (_weighted is { } weighted)
            return PickWeighted(weighted);
        return _config.Balance switch
        {
            BalancePolicy.Random => _hosts[random.Next(_hosts.Length)],
            BalancePolicy.LeastRequest => PickLeast(random),
            _ => _hosts[(int)(_cursor++ % (uint)_hosts.Length)],
        };
    }

    private HostState PickWeighted(EdfSchedule schedule)
    {
        var picked = schedule.Take();
        var host = _hosts[picked];
        schedule.Add(picked, Weight(host));
        return host;
    }

    /// <summary>LEAST_REQUEST with unequal weights: the weight shrinks with the requests in flight, by the configured bias.</summary>
    private double Weight(HostState host)
    {
        double weight = host.Config.Weight;
        if (_config.Balance != BalancePolicy.LeastRequest || _config.ActiveRequestBias == 0)
            return weight;
        var active = host.Health.ActiveRequests + 1;
        return active == 1 ? weight : _config.ActiveRequestBias == 1 ? weight / active : weight / Math.Pow(active, _config.ActiveRequestBias);
    }

    /// <summary>Power of n choices.</summary>
    private HostState PickLeast(SeededRandom random)
    {
        var best = _hosts[random.Next(_hosts.Length)];
        var active = best.Health.ActiveRequests;
        for (var i = 1; i < _config.LeastRequestChoices; i++)
        {
            var other = _hosts[random.Next(_hosts.Length)];
            if (other.Health.ActiveRequests is var others && others < active)
                (best, active) = (other, others);
        }
        return best;
    }
}
