using Tulle.Base;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>A cluster as one loop uses it: its hosts, the order in which they are picked, its pools. Owned by the loop.</summary>
public sealed class ClusterState
{
    private readonly ProxyWorker _worker;
    private readonly Dictionary<Address, HostState> _byAddress = [];
    private readonly Dictionary<string, HostSet> _subsets = new(StringComparer.Ordinal);
    private HostSet _all;
    private int _seenHealth = -1;

    public ClusterState(ProxyWorker worker, ClusterConfig config, SharedCluster shared)
    {
        _worker = worker;
        Config = config;
        Shared = shared;
        Waiting = new ConnectionQueue(shared.Breaker);
        _all = new HostSet([], config);
    }

    public ClusterConfig Config { get; private set; }

    public SharedCluster Shared { get; }

    public ClusterStats Stats => Shared.Stats;

    public CircuitBreaker Breaker => Shared.Breaker;

    /// <summary>Requests of this loop that wait for a connection.</summary>
    internal ConnectionQueue Waiting { get; }

    internal int LoopIndex => _worker.Loop.Index;

    public IEnumerable<HostState> Hosts => _byAddress.Values;

    public LoadAssignmentConfig? Endpoints { get; private set; }

    /// <summary>Takes a changed configuration that keeps hosts and pools (same content, other object).</summary>
    public void Reconfigure(ClusterConfig config) => Config = config;

    public void SetEndpoints(LoadAssignmentConfig assignment)
    {
        if (ReferenceEquals(assignment, Endpoints))
            return;
        Endpoints = assignment;
        var kept = new HashSet<Address>();
        var ordered = new List<HostState>(assignment.Endpoints.Count);
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
                host = new HostState(this, endpoint, _worker.Shared.Health.Get(Config.Name, endpoint.Address));
                _byAddress[endpoint.Address] = host;
            }
            ordered.Add(host);
        }
        foreach (var (address, host) in _byAddress)
        {
            if (kept.Contains(address))
                continue;
            _byAddress.Remove(address);
            host.IsRemoved = true;
            host.CloseIdle();
        }
        Rebuild(ordered);
    }

    private void Rebuild(List<HostState> hosts)
    {
        _all = new HostSet(hosts, Config) { Overprovisioning = Endpoints?.Overprovisioning ?? 1.4, Cursor = _worker.Loop.Random.Next(1 << 20) };
        _subsets.Clear();
        foreach (var selector in Config.SubsetSelectors)
        {
            foreach (var group in hosts.Where(h => selector.All(k => h.Config.Facts.Subset.ContainsKey(k)))
                         .GroupBy(h => SubsetKey(selector, h.Config.Facts.Subset), StringComparer.Ordinal))
            {
                _subsets[group.Key] = new HostSet(group.ToList(), Config);
            }
        }
        _seenHealth = -1;
    }

    private static string SubsetKey(IReadOnlyList<string> keys, IReadOnlyDictionary<string, string> values) =>
        string.Join('\n', keys.Select(k => $"{k}={values[k]}"));

    private static string SubsetKey(IReadOnlyDictionary<string, string> match) =>
        string.Join('\n', match.OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => $"{p.Key}={p.Value}"));

    private void RefreshHealth()
    {
        var version = _worker.Shared.Health.Version;
        if (version == _seenHealth)
            return;
        _seenHealth = version;
        _all.Refresh();
        foreach (var subset in _subsets.Values)
            subset.Refresh();
        if (_worker.Loop.Index == 0)
        {
            Stats.MembershipTotal.Set(_all.Count);
            Stats.MembershipHealthy.Set(_all.HealthyCount);
        }
    }

    /// <summary>Brings the membership statistics up to date when nobody asked for a host lately.</summary>
    public void RefreshForReport() => RefreshHealth();

    public int HealthyCount
    {
        get
        {
            RefreshHealth();
            return _all.HealthyCount;
        }
    }

    /// <summary>Picks a host; null when there is none that may be used. Hosts in <paramref name="avoid"/> are passed over while others are found.</summary>
    public HostState? Pick(IReadOnlyDictionary<string, string> subset, List<HostState>? avoid, int attempts)
    {
        RefreshHealth();
        var set = _all;
        if (subset.Count > 0 && Config.SubsetSelectors.Count > 0 && !_subsets.TryGetValue(SubsetKey(subset), out set!))
        {
            if (Config.SubsetFallback != SubsetFallback.AnyEndpoint)
                return null;
            Stats.SubsetsFallback.Add(_worker.Loop.Index);
            set = _all;
        }
        var picked = set.Pick(_worker.Loop.Random, Stats, _worker.Loop.Index);
        if (avoid is null)
            return picked;
        for (var i = 1; i < attempts && picked is not null && avoid.Contains(picked); i++)
            picked = set.Pick(_worker.Loop.Random, Stats, _worker.Loop.Index);
        return picked;
    }

    /// <summary>Closes an idle connection that cannot serve this host under this ALPN list; false when there is none.</summary>
    internal bool CloseIdleElsewhere(HostState wanted, IReadOnlyList<string> alpn)
    {
        foreach (var host in _byAddress.Values)
        {
            if (host.HasIdle && host.CloseOneIdle(ReferenceEquals(host, wanted) ? alpn : null))
                return true;
        }
        return false;
    }

    /// <summary>ORIGINAL_DST: the host is where the client was going.</summary>
    public HostState? PickOriginal(in Address destination)
    {
        if (!destination.IsIp)
            return null;
        var address = Config.OriginalPortOverride > 0 ? destination.WithPort(Config.OriginalPortOverride) : destination;
        if (_byAddress.TryGetValue(address, out var host))
            return host;
        // Bounded: destinations without connections are dropped when the table grows.
        if (_byAddress.Count >= 4096)
        {
            foreach (var (unused, idle) in _byAddress)
            {
                if (idle.Connections > 0)
                    continue;
                idle.IsRemoved = true;
                _byAddress.Remove(unused);
            }
        }
        host = new HostState(this, new EndpointConfig { Address = address }, new EndpointHealthState());
        _byAddress[address] = host;
        return host;
    }

    public void Close()
    {
        foreach (var host in _byAddress.Values)
        {
            host.IsRemoved = true;
            host.CloseIdle();
        }
    }
}

/// <summary>What all loops share of one cluster.</summary>
public sealed class SharedCluster(StatsStore stats, string name)
{
    public ClusterStats Stats { get; } = new(stats, name);

    public CircuitBreaker Breaker { get; } = new();
}
