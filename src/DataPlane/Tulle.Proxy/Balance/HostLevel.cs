using Tulle.Base;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>The hosts of one priority, by health and, with locality weights, by locality.</summary>
internal sealed class HostLevel
{
    private readonly HostState[] _hosts;
    private readonly ClusterConfig _config;
    private readonly double _overprovisioning;
    private readonly bool _byLocality;
    private HostPool _all, _healthy, _degraded;
    private Localities? _healthyLocalities, _degradedLocalities;

    public HostLevel(int priority, HostState[] hosts, ClusterConfig config, double overprovisioning, bool byLocality, SeededRandom random)
    {
        Priority = priority;
        _hosts = hosts;
        _config = config;
        _overprovisioning = overprovisioning;
        _byLocality = byLocality;
        _all = new HostPool(hosts, config, random);
        _healthy = _degraded = new HostPool([], config, random);
    }

    public int Priority { get; }

    public int Count => _hosts.Length;

    public int HealthyCount => _healthy.Count;

    public int DegradedCount => _degraded.Count;

    public int ExcludedCount { get; private set; }

    /// <summary>Share that healthy (degraded) hosts of this priority could carry, 0 to 100.</summary>
    public int HealthyAvailability { get; private set; }

    public int DegradedAvailability { get; private set; }

    /// <summary>Share of the load that goes to healthy (degraded) hosts here, in percent.</summary>
    public int HealthyLoad, DegradedLoad;

    /// <summary>Too few are healthy: all are used.</summary>
    public bool IsPanic;

    public double AvailablePercent => Counted == 0 ? 0 : 100.0 * (HealthyCount + DegradedCount) / Counted;

    private int Counted => _hosts.Length - ExcludedCount;

    public void Refresh(SeededRandom random)
    {
        var excluded = 0;
        foreach (var host in _hosts)
            excluded += host.Health.IsExcluded ? 1 : 0;
        ExcludedCount = excluded;
        _healthy = new HostPool(Array.FindAll(_hosts, h => h.IsHealthy), _config, random);
        _degraded = new HostPool(Array.FindAll(_hosts, h => h.IsDegraded), _config, random);
        HealthyAvailability = Availability(_healthy.Count);
        DegradedAvailability = Availability(_degraded.Count);
        if (!_byLocality)
            return;
        _healthyLocalities = Localities.Make(_hosts, h => h.IsHealthy, _config, _overprovisioning, random);
        _degradedLocalities = Localities.Make(_hosts, h => h.IsDegraded, _config, _overprovisioning, random);
    }

    private int Availability(int count) => Counted <= 0 ? 0 : (int)Math.Min(100, _overprovisioning * 100 * count / Counted);

    public HostState? PickAny(SeededRandom random) => _all.Pick(random);

    public HostState? Pick(bool degraded, SeededRandom random)
    {
        if ((degraded ? _degradedLocalities : _healthyLocalities) is { } localities)
            return localities.Pick(random);
        return (degraded ? _degraded : _healthy).Pick(random);
    }

    /// <summary>First a locality, by its weight and how much of it is available; then a host of it. A locality without a weight gets nothing.</summary>
    private sealed class Localities(HostPool[] pools, double[] weights, EdfSchedule schedule)
    {
        /// <summary>Null when no locality has a weight and a host: the priority is then used as one.</summary>
        public static Localities? Make(HostState[] hosts, Predicate<HostState> isWanted, ClusterConfig config, double overprovisioning, SeededRandom random)
        {
            var pools = new List<HostPool>();
            var weights = new List<double>();
            foreach (var place in hosts.GroupBy(h => h.Config.LocalityIndex))
            {
                var all = place.ToArray();
                var wanted = Array.FindAll(all, isWanted);
                var counted = all.Length - all.Count(h => h.Health.IsExcluded);
                if (wanted.Length == 0 || counted == 0 || all[0].Config.LocalityWeight == 0)
                    continue;
                pools.Add(new HostPool(wanted, config, random));
                weights.Add(all[0].Config.LocalityWeight * Math.Min(1, overprovisioning * wanted.Length / counted));
            }
            if (pools.Count == 0)
                return null;
            var schedule = new EdfSchedule(pools.Count);
            for (var i = 0; i < pools.Count; i++)
                schedule.Add(i, weights[i]);
            var result = new Localities([.. pools], [.. weights], schedule);
            for (var skip = random.Next(pools.Count); skip > 0; skip--)
                result.Next();
            return result;
        }

        private HostPool Next()
        {
            var place = schedule.Take();
            schedule.Add(place, weights[place]);
            return pools[place];
        }

        public HostState? Pick(SeededRandom random) => Next().Pick(random);
    }
}
