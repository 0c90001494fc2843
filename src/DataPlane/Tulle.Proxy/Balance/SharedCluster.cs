using Tulle.Base;

namespace Tulle.Proxy;

/// <summary>What all loops share of one cluster. Goes away with the last loop that uses it, and its statistics with it.</summary>
public sealed class SharedCluster
{
    private readonly ProxyShared _shared;
    private readonly Dictionary<Address, EndpointHealthState> _endpoints = []; // Under its own lock; touched at configuration time only.
    private int _healthVersion;

    public SharedCluster(ProxyShared shared, string name, string statName)
    {
        _shared = shared;
        Name = name;
        StatName = statName;
        Stats = new ClusterStats(shared.Stats, statName);
        Outlier = new OutlierDetector(this, shared.Stats);
    }

    public string Name { get; }

    public string StatName { get; }

    public ClusterStats Stats { get; }

    public CircuitBreaker Breaker { get; } = new();

    /// <summary>Permits of requests whose route has priority HIGH.</summary>
    public CircuitBreaker HighBreaker { get; } = new();

    internal OutlierDetector Outlier { get; }

    internal HealthCheckStats HealthCheckStats => field ??= new HealthCheckStats(_shared.Stats, StatName);

    /// <summary>Loops that use the cluster; under the lock of <see cref="ProxyShared"/>.</summary>
    internal int Users;

    /// <summary>Counts changes of any endpoint's health: loops rebuild their lists only then.</summary>
    public int HealthVersion => Volatile.Read(ref _healthVersion);

    /// <summary>Endpoints known to any loop.</summary>
    public int EndpointCount
    {
        get
        {
            lock (_endpoints)
                return _endpoints.Count;
        }
    }

    /// <summary>A loop begins to use an endpoint.</summary>
    internal EndpointHealthState Acquire(in Address address)
    {
        lock (_endpoints)
        {
            if (!_endpoints.TryGetValue(address, out var health))
                _endpoints[address] = health = new EndpointHealthState(_shared.LoopCount);
            health.Users++;
            return health;
        }
    }

    /// <summary>A loop lets go of an endpoint; the last one forgets its health.</summary>
    internal void Release(in Address address, EndpointHealthState health)
    {
        lock (_endpoints)
        {
            if (--health.Users > 0)
                return;
            _endpoints.Remove(address);
        }
        Outlier.Forget(health);
    }

    internal EndpointHealthState[] AllHealth()
    {
        lock (_endpoints)
            return [.. _endpoints.Values];
    }

    /// <summary>Health of an endpoint changed: every loop looks at its hosts again soon.</summary>
    public void NoteHealthChange()
    {
        Interlocked.Increment(ref _healthVersion);
        _shared.TellHealthChanged(Name);
    }
}
