using Tulle.Base;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>
/// Hosts among which one is picked: first the priority by what it can carry, then healthy before degraded, then the host. Rebuilt when health or
/// membership changes. The shares are Envoy's (whole percents; healthy hosts of all priorities first, then degraded ones).
/// </summary>
internal sealed class HostSet
{
    private readonly ClusterConfig _config;
    private readonly HostLevel[] _levels;

    public HostSet(List<HostState> hosts, ClusterConfig config, double overprovisioning, bool byLocality, SeededRandom random)
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
        _levels = new HostLevel[levels.Count];
        for (var i = 0; i < _levels.Length; i++)
            _levels[i] = new HostLevel(levels.Keys[i], [.. levels.Values[i]], config, overprovisioning, byLocality, random);
        Refresh(random);
    }

    public int Count { get; }

    public int HealthyCount { get; private set; }

    public int DegradedCount { get; private set; }

    public int ExcludedCount { get; private set; }

    public void Refresh(SeededRandom random)
    {
        HealthyCount = DegradedCount = ExcludedCount = 0;
        foreach (var level in _levels)
        {
            level.Refresh(random);
            HealthyCount += level.HealthyCount;
            DegradedCount += level.DegradedCount;
            ExcludedCount += level.ExcludedCount;
        }
        var total = Distribute(excluded: 0);
        if (total == 0)
        {
            TotalPanic();
            return;
        }
        // While the priorities together can carry everything, none panics: load spills down.
        foreach (var level in _levels)
            level.IsPanic = total < 100 && level.AvailablePercent < _config.PanicPercent;
    }

    /// <summary>Deals 100 percent out to healthy hosts by priority, the rest to degraded ones. Returns how much can be carried in all, at most 100.</summary>
    /// <param name="excluded">Bits of priorities (by index) that get nothing.</param>
    private int Distribute(ulong excluded)
    {
        var total = 0;
        for (var i = 0; i < _levels.Length; i++)
            total += IsExcluded(excluded, i) ? 0 : _levels[i].HealthyAvailability + _levels[i].DegradedAvailability;
        total = Math.Min(100, total);
        if (total == 0)
            return 0;
        var left = 100;
        for (var i = 0; i < _levels.Length; i++)
            left -= _levels[i].HealthyLoad = IsExcluded(excluded, i) ? 0 : Math.Min(left, _levels[i].HealthyAvailability * 100 / total);
        for (var i = 0; i < _levels.Length; i++)
            left -= _levels[i].DegradedLoad = IsExcluded(excluded, i) ? 0 : Math.Min(left, _levels[i].DegradedAvailability * 100 / total);
        for (var i = 0; i < _levels.Length && left > 0; i++)
        {
            // What rounding left over goes to the first that takes anything.
            if (_levels[i].HealthyLoad > 0)
                (_levels[i].HealthyLoad, left) = (_levels[i].HealthyLoad + left, 0);
            else if (_levels[i].DegradedLoad > 0)
                (_levels[i].DegradedLoad, left) = (_levels[i].DegradedLoad + left, 0);
        }
        return total;
    }

    private static bool IsExcluded(ulong excluded, int index) => index < 64 && (excluded >> index & 1) != 0;

    /// <summary>Nobody is available anywhere: every priority takes its share by size, and its hosts whatever their health, unless panic is off.</summary>
    private void TotalPanic()
    {
        var left = 100;
        foreach (var level in _levels)
        {
            level.DegradedLoad = 0;
            level.HealthyLoad = Count == 0 ? 0 : 100 * level.Count / Count;
            left -= level.HealthyLoad;
            level.IsPanic = _config.PanicPercent > 0;
        }
        if (_levels.Length > 0)
            _levels[0].HealthyLoad += left;
    }

    public HostState? Pick(SeededRandom random, ClusterStats stats, int loop)
    {
        if (_levels.Length == 0)
            return null;
        var level = _levels[0];
        var degraded = false;
        if (_levels.Length > 1 || level.DegradedLoad > 0)
            level = PickLevel(random, out degraded);
        if (!level.IsPanic)
            return level.Pick(degraded, random);
        stats.HealthyPanic.Add(loop);
        return level.PickAny(random);
    }

    private HostLevel PickLevel(SeededRandom random, out bool degraded)
    {
        var ticket = random.Next(100);
        degraded = false;
        foreach (var level in _levels)
        {
            if ((ticket -= level.HealthyLoad) < 0)
                return level;
        }
        degraded = true;
        foreach (var level in _levels)
        {
            if ((ticket -= level.DegradedLoad) < 0)
                return level;
        }
        degraded = false;
        return _levels[0];
    }

    /// <summary>A retry's pick: priorities in <paramref name="tried"/> (bits by index) get nothing while another one can carry anything.</summary>
    public HostState? PickElsewhere(ref ulong tried, SeededRandom random, ClusterStats stats, int loop)
    {
        if (tried == 0)
            return Pick(random, stats, loop);
        if (Distribute(tried) == 0)
            tried = 0;
        var picked = Pick(random, stats, loop);
        if (Distribute(excluded: 0) == 0)
            TotalPanic();
        return picked;
    }

    /// <summary>The bit of a host's priority.</summary>
    public ulong Bit(HostState host)
    {
        for (var i = 0; i < Math.Min(64, _levels.Length); i++)
        {
            if (_levels[i].Priority == host.Config.Priority)
                return 1ul << i;
        }
        return 0;
    }
}
