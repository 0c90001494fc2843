namespace Tulle.Proxy;

/// <summary>What the loops of one process share. Everything in it is safe to use from any loop.</summary>
public sealed class ProxyShared : IDisposable
{
    private readonly Dictionary<string, SharedCluster> _clusters = new(StringComparer.Ordinal); // Under its own lock; touched at configuration time only.
    private readonly List<ProxyWorker> _workers = []; // Filled before the loops run.

    public ProxyShared(int loops)
    {
        LoopCount = loops;
        Stats = new StatsStore(loops);
        Logs = new LogSinks(Stats);
        Tls = new TlsContexts(loops);
    }

    public int LoopCount { get; }

    public StatsStore Stats { get; }

    public LogSinks Logs { get; }

    private readonly System.Runtime.CompilerServices.ConditionalWeakTable<Snapshot.NetworkFilterConfig, ConnectionLimiter> _limiters = [];

    /// <summary>The count of a connection_limit filter; it lives as long as its configuration or a connection that was counted by it.</summary>
    public ConnectionLimiter Limiter(Snapshot.NetworkFilterConfig filter) => _limiters.GetValue(filter, f => new ConnectionLimiter(f.ConnectionsMax,
        Stats.Gauge(StatScope.Server, "", $"connection_limit.{f.StatPrefix}.active_connections"), Stats.Counter(StatScope.Server, "", $"connection_limit.{f.StatPrefix}.limited_connections")));

    public HeadRuleStats HeadRules => _headRules ?? Interlocked.CompareExchange(ref _headRules, new HeadRuleStats(Stats), null) ?? _headRules;

    private HeadRuleStats? _headRules;

    public TlsContexts Tls { get; }

    /// <summary>SO_MARK of upstream sockets, so that interception rules can let them pass; 0 sets none.</summary>
    public int UpstreamMark { get; init; }

    /// <summary>Milliseconds a log record may wait in a loop's buffer. Default 10,000. Source: Envoy --file-flush-interval-msec.</summary>
    public long LogFlushMs { get; init; } = 10_000;

    /// <summary>Milliseconds after which connections of a removed listener are closed. Default 600,000. Source: Envoy --drain-time-s.</summary>
    public long DrainTimeMs { get; init; } = 600_000;

    /// <summary>Every answer of a draining listener asks its client to leave, instead of a growing share. Default false. Source: Envoy --drain-strategy.</summary>
    public bool DrainAtOnce { get; init; }

    /// <summary>SO_ORIGINAL_DST; a test or a platform without netfilter leaves it as it is.</summary>
    public bool TryOriginalDestination(int fd, Base.AddressKind kind, out Base.Address destination) => Loop.Redirection.TryOriginalDestination(fd, kind, out destination);

    internal void Join(ProxyWorker worker)
    {
        lock (_workers)
            _workers.Add(worker);
    }

    /// <summary>Health of an endpoint changed: every loop looks at that cluster soon, also without traffic.</summary>
    internal void TellHealthChanged(string cluster)
    {
        foreach (var worker in _workers)
            worker.Loop.Post(() => worker.FindCluster(cluster)?.RefreshForReport());
    }

    /// <summary>The first worker: it checks health.</summary>
    internal ProxyWorker FirstWorker => _workers[0];

    /// <summary>A loop begins to use a cluster.</summary>
    internal SharedCluster AcquireCluster(string name, string statName)
    {
        lock (_clusters)
        {
            if (!_clusters.TryGetValue(name, out var cluster) || cluster.StatName != statName)
                _clusters[name] = cluster = new SharedCluster(this, name, statName);
            cluster.Users++;
            return cluster;
        }
    }

    /// <summary>A loop lets go of a cluster: with the last one its statistics go.</summary>
    internal void ReleaseCluster(SharedCluster cluster)
    {
        lock (_clusters)
        {
            if (--cluster.Users > 0)
                return;
            if (_clusters.TryGetValue(cluster.Name, out var current) && ReferenceEquals(current, cluster))
                _clusters.Remove(cluster.Name);
            foreach (var other in _clusters.Values)
            {
                if (other.StatName == cluster.StatName)
                    return;
            }
            Stats.RemoveCluster(cluster.StatName);
        }
    }

    public void Dispose() => Logs.Dispose();
}
