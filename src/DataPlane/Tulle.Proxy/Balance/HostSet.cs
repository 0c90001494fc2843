using Tulle.Base;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>Hosts among which one is picked, by priority, with the healthy ones apart. Rebuilt when health or membership changes.</summary>
internal sealed class HostSet
{
    private sealed class Level
    {
        public HostState[] All = [];
        public HostState[] Healthy = [];
        public bool IsPanic;

        /// <summary>Share of the load in percent.</summary>
        public double Load;

        public bool HasWeights;
    }

    private readonly ClusterConfig _config;
    private readonly Level[] _levels;

    public HostSet(List<HostState> hosts, ClusterConfig config)
    {
        _config = config;
        Count = hosts.Count;
        // Plain loops: grouping and ordering would be compiled just in time before the first request.
        var levels = new SortedList<int, List<HostState>>();
        foreach (var host in hosts)
        {
            if (!levels.TryGetValue(host.Config.Priority, out var level))
                levels[host.Config.Priority] = level = [];
            level.Add(host);
        }
        _levels = new Level[levels.Count];
        for (var i = 0; i < _levels.Length; i++)
        {
            var all = levels.Values[i].ToArray();
            _levels[i] = new Level { All = all, HasWeights = Array.Exists(all, h => h.Config.Weight != all[0].Config.Weight) };
        }
        Refresh();
    }

    public int Count { get; }

    public int HealthyCount { get; private set; }

    public double Overprovisioning { get; init; } = 1.4;

    public int Cursor { get; set; }

    public void Refresh()
    {
        double left = 100;
        double total = 0;
        HealthyCount = 0;
        foreach (var level in _levels)
        {
            level.Healthy = Array.FindAll(level.All, h => h.IsHealthy);
            HealthyCount += level.Healthy.Length;
            total += Math.Min(100, 100 * Overprovisioning * level.Healthy.Length / level.All.Length);
        }
        total = Math.Min(100, total);
        foreach (var level in _levels)
        {
            var available = Math.Min(100, 100 * Overprovisioning * level.Healthy.Length / level.All.Length);
            // Envoy: while the levels together can carry everything, no level panics and load spills down.
            level.Load = total > 0 ? Math.Min(left, available * 100 / total) : 0;
            left -= level.Load;
            level.IsPanic = total < 100 && 100.0 * level.Healthy.Length / level.All.Length < _config.PanicPercent;
        }
        if (total == 0 && _levels.Length > 0)
            _levels[0].Load = 100;
        else if (left > 0.001 && _levels.Length > 0)
            _levels[0].Load += left;
    }

    public HostState? Pick(SeededRandom random, ClusterStats stats, int loop)
    {
        if (_levels.Length == 0)
            return null;
        var level = _levels[0];
        if (_levels.Length > 1)
        {
            var ticket = random.NextDouble() * 100;
            foreach (var candidate in _levels)
            {
                level = candidate;
                ticket -= candidate.Load;
                if (ticket < 0)
                    break;
            }
        }
        var hosts = level.Healthy;
        if (level.IsPanic)
        {
            stats.HealthyPanic.Add(loop);
            hosts = level.All;
        }
        if (hosts.Length == 0)
            return null;
        if (hosts.Length == 1)
            return hosts[0];
        return _config.Balance switch
        {
            BalancePolicy.Random => hosts[random.Next(hosts.Length)],
            BalancePolicy.LeastRequest => PickLeast(hosts, random),
            _ => level.HasWeights ? PickWeighted(hosts) : hosts[(int)((uint)Cursor++ % (uint)hosts.Length)],
        };
    }

    /// <summary>Power of n choices; the load is divided by the weight.</summary>
    private HostState PickLeast(HostState[] hosts, SeededRandom random)
    {
        var best = hosts[random.Next(hosts.Length)];
        for (var i = 1; i < _config.LeastRequestChoices; i++)
        {
            var other = hosts[random.Next(hosts.Length)];
            if ((long)(other.ActiveRequests + 1) * best.Config.Weight < (long)(best.ActiveRequests + 1) * other.Config.Weight)
                best = other;
        }
        return best;
    }

    /// <summary>Smooth weighted round robin: every host earns its weight, the richest is picked and pays the sum.</summary>
    private static HostState PickWeighted(HostState[] hosts)
    {
        HostState? best = null;
        long sum = 0;
        foreach (var host in hosts)
        {
            host.Credit += host.Config.Weight;
            sum += host.Config.Weight;
            if (best is null || host.Credit > best.Credit)
                best = host;
        }
        best!.Credit -= sum;
        return best;
    }
}
