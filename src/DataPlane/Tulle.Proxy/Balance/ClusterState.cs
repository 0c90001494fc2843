using Tulle.Base;
using Tulle.Loop;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>A cluster as one loop uses it: its hosts, the order in which they are picked, its pools. Owned by the loop.</summary>
public sealed class ClusterState
{
    /// <summary>Destinations of an ORIGINAL_DST cluster that are remembered. Beyond it those without connections are forgotten.</summary>
    private const int OriginalHostsMax = 4096;

    /// <summary>Server names that requests chose.</summary>
    internal ChosenServerNames ServerNames { get; } = new();

    private readonly ProxyWorker _worker;
    private readonly Dictionary<Address, HostState> _byAddress = [];
    private readonly ActionTimer _outlierTimer;
    private HostSet _all;
    private SubsetIndex? _subsets;
    private int _seenHealth = -1;
    private bool _closed;

    public ClusterState(ProxyWorker worker, ClusterConfig config, SharedCluster shared)
    {
        _worker = worker;
        Config = config;
        Shared = shared;
        _all = new HostSet([], config, 1.4, false, worker.Loop.Random);
        _outlierTimer = new ActionTimer(LookForOutliers);
        if (worker.Loop.Index == 0)
        {
            shared.Outlier.Configure(config.Outlier);
            if (config.Outlier is not null)
                worker.Loop.ArmAfter(_outlierTimer, Math.Max(1, config.Outlier.IntervalMs));
        }
    }

    public ClusterConfig Config { get; private set; }

    public SharedCluster Shared { get; }

    public ClusterStats Stats => Shared.Stats;

    public CircuitBreaker Breaker => Shared.Breaker;

    /// <summary>Requests of this loop that wait for a connection.</summary>
    internal ConnectionQueue Waiting { get; } = new();

    /// <summary>Those of routes with priority HIGH.</summary>
    internal ConnectionQueue HighWaiting => field ??= new ConnectionQueue();

    internal int LoopIndex => _worker.Loop.Index;

    public IEnumerable<HostState> Hosts => _byAddress.Values;

    public int HostCount => _byAddress.Count;

    public LoadAssignmentConfig? Endpoints { get; private set; }

    /// <summary>Takes a changed configuration that keeps hosts and pools (same content, other object).</summary>
    public void Reconfigure(ClusterConfig config) => Config = config;

    private void LookForOutliers()
    {
        if (_closed || Config.Outlier is not { } outlier)
            return;
        Shared.Outlier.Look(_worker);
        _worker.Loop.ArmAfter(_outlierTimer, Math.Max(1, outlier.IntervalMs));
    }

    public void SetEndpoints(LoadAssignmentConfig assignment)
    {
        if (ReferenceEquals(assignment, Endpoints))
            return;
        var isFirst = Endpoints is null;
        Endpoints = assignment;
        var kept = new HashSet<Address>();
        var ordered = new List<HostState>(assignment.Endpoints.Count);
        var changed = false;
        foreach (var endpoint in assignment.Endpoints)
        {
            if (!kept.Add(endpoint.Address))
                continue;
            if (_byAddress.TryGetValue(endpoint.Address, out var host))
            {
                host.Config = endpoint;
            }
            else
            {
                host = Add(endpoint);
                changed = true;
            }
            ordered.Add(host);
        }
        foreach (var (address, host) in _byAddress)
        {
            if (kept.Contains(address))
                continue;
            Remove(address, host);
            changed = true;
        }
        if (_worker.Loop.Index == 0 && changed && (!isFirst || assignment.Endpoints.Count > 0))
            Stats.MembershipChange.Add(0);
        Rebuild(ordered);
    }

    private HostState Add(EndpointConfig endpoint)
    {
        var health = Shared.Acquire(endpoint.Address);
        var host = new HostState(this, endpoint, health);
        health.ByLoop[_worker.Loop.Index] = host;
        _byAddress[endpoint.Address] = host;
        return host;
    }

    private void Remove(Address address, HostState host)
    {
        _byAddress.Remove(address);
        host.IsRemoved = true;
        host.CloseIdle();
        if (ReferenceEquals(host.Health.ByLoop[_worker.Loop.Index], host))
            host.Health.ByLoop[_worker.Loop.Index] = null;
        Shared.Release(address, host.Health);
    }

    private void Rebuild(List<HostState> hosts)
    {
        var random = _worker.Loop.Random;
        var overprovisioning = Endpoints?.Overprovisioning ?? 1.4;
        _all = new HostSet(hosts, Config, overprovisioning, Config.IsLocalityWeighted, random);
        _subsets = Config.Subsets.Selectors.Count == 0 ? null
            : new SubsetIndex(Config.Subsets, hosts, _all, group => new HostSet(group, Config, overprovisioning, Config.IsLocalityWeighted && Config.Subsets.LocalityWeightAware, random));
        if (_subsets is not null && _worker.Loop.Index == 0)
            Stats.SubsetsActive.Set(_subsets.Count);
        _seenHealth = -1;
    }

    private void RefreshHealth()
    {
        var version = Shared.HealthVersion;
        if (version == _seenHealth)
            return;
        _seenHealth = version;
        foreach (var host in _byAddress.Values)
        {
            var isUsable = host.IsUsable;
            if (host.WasUsable && !isUsable)
                OnHostFailed(host);
            host.WasUsable = isUsable;
        }
        _all.Refresh(_worker.Loop.Random);
        _subsets?.Refresh(_worker.Loop.Random);
        if (_worker.Loop.Index == 0)
        {
            Stats.MembershipTotal.Set(_all.Count);
            Stats.MembershipHealthy.Set(_all.HealthyCount);
            Stats.MembershipDegraded.Set(_all.DegradedCount);
            Stats.MembershipExcluded.Set(_all.ExcludedCount);
        }
    }

    private void OnHostFailed(HostState host)
    {
        host.Drain();
        if (!Config.CloseConnectionsOnHostFailure)
            return;
        foreach (var connection in _worker.Relaying.ToArray())
            connection.OnHostFailed(host);
    }

    /// <summary>Looks at health now: it changed, or somebody wants the membership statistics.</summary>
    public void RefreshForReport() => RefreshHealth();

    public int HealthyCount
    {
        get
        {
            RefreshHealth();
            return _all.HealthyCount;
        }
    }

    /// <summary>Picks a host; null when there is none that may be used.</summary>
    /// <param name="subset">Metadata that the host must have.</param>
    /// <param name="policy">The retry policy, when earlier attempts matter.</param>
    /// <param name="earlier">The earlier attempts.</param>
    internal HostState? Pick(SubsetMatch subset, RetryConfig? policy = null, HostChoice? earlier = null)
    {
        RefreshHealth();
        var loop = _worker.Loop.Index;
        var isFallback = false;
        var set = _subsets is null ? _all : _subsets.Find(subset, Stats, loop, out isFallback);
        var picked = set is null ? null : PickOf(set, policy, earlier);
        // Only for what should have stood in and could not (an empty default subset).
        if (picked is null && isFallback && Config.Subsets.PanicModeAny)
        {
            Stats.SubsetsPanic.Add(loop);
            picked = PickOf(_all, policy, earlier);
        }
        return picked;
    }

    /// <summary>Closes an idle connection of the same priority that cannot serve this host under this ALPN list; false when there is none.</summary>
    internal bool CloseIdleElsewhere(HostState wanted, IReadOnlyList<string> alpn, object? owner)
    {
        foreach (var host in _byAddress.Values)
        {
            var pool = host.SamePool(wanted);
            if (pool is { HasIdle: true } && pool.CloseOneIdle(ReferenceEquals(pool, wanted) ? alpn : null, owner))
                return true;
        }
        return false;
    }

    private HostState? PickOf(HostSet set, RetryConfig? policy, HostChoice? earlier) => policy is not null && earlier is not null
        ? earlier.Pick(set, policy, _worker, Stats)
        : set.Pick(_worker.Loop.Random, Stats, _worker.Loop.Index);

    /// <summary>ORIGINAL_DST: the host is where the client was going before it was redirected here. Without a redirect there is none.</summary>
    /// <param name="destination">What the redirect or a PROXY header restored; none otherwise.</param>
    /// <param name="accepted">Where the connection was accepted: to dial it would be to dial ourselves.</param>
    public HostState? PickOriginal(in Address destination, in Address accepted)
    {
        if (!destination.IsIp)
            return null;
        var address = Config.OriginalPortOverride > 0 ? destination.WithPort(Config.OriginalPortOverride) : destination;
        if (_worker.IsOwnListener(address, accepted))
            return null;
        if (_byAddress.TryGetValue(address, out var host))
            return host;
        if (_byAddress.Count >= OriginalHostsMax)
        {
            foreach (var (unused, idle) in _byAddress)
            {
                if (idle.Connections == 0 && idle.ActiveRequests == 0)
                    Remove(unused, idle);
            }
        }
        return Add(new EndpointConfig { Address = address });
    }

    public void Close()
    {
        _closed = true;
        _worker.Loop.Cancel(_outlierTimer);
        foreach (var (address, host) in _byAddress)
            Remove(address, host);
    }
}
