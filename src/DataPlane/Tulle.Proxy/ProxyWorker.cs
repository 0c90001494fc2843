using Tulle.Base;
using Tulle.Loop;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>The data plane on one loop: its listeners, clusters and connections. Everything here is loop-thread only but <see cref="Publish"/>.</summary>
public sealed class ProxyWorker
{
    private readonly Dictionary<string, ClusterState> _clusters = new(StringComparer.Ordinal);
    private readonly Dictionary<string, BoundListener> _listeners = new(StringComparer.Ordinal);
    private readonly Dictionary<Address, BoundListener> _byAddress = [];
    private readonly ActionTimer _logTimer;
    private readonly Dictionary<string, HttpStats> _httpStats = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TcpStats> _tcpStats = new(StringComparer.Ordinal);
    private readonly HealthCheckers _checkers;
    private readonly byte[] _date = new byte[29];
    private long _dateSecond = -1;

    public ProxyWorker(EventLoop loop, ProxyShared shared)
    {
        Loop = loop;
        Shared = shared;
        Log = new AccessLogger(shared.Logs, shared.LogFlushMs);
        Drain = new DrainState(shared.DrainTimeMs, shared.DrainAtOnce);
        Metrics = new IstioMetrics(shared.Stats, loop.Index);
        _logTimer = new ActionTimer(FlushLogs);
        var faults = shared.Stats.Counter(StatScope.Server, "", "server.envoy_bug_failures");
        var refusedPipes = shared.Stats.Counter(StatScope.Server, "", "server.splice_pipe_failures");
        loop.Pipes.OnFailure = () => refusedPipes.Add(loop.Index);
        loop.OnFault = () => faults.Add(loop.Index);
        _checkers = new HealthCheckers(this);
        shared.Join(this);
    }

    public EventLoop Loop { get; }

    public ProxyShared Shared { get; }

    public ProxySnapshot Snapshot { get; private set; } = ProxySnapshot.Empty;

    public AccessLogger Log { get; }

    internal IstioMetrics Metrics { get; }

    /// <summary>TCP connections that relay now.</summary>
    internal HashSet<TcpConnection> Relaying { get; } = [];

    /// <summary>Copies Istio's metrics of this loop, with what open TCP connections have moved so far. Loop thread; numbers only.</summary>
    public MetricRows CopyMetrics()
    {
        foreach (var connection in Relaying)
            connection.CountBytes();
        return Metrics.Copy();
    }

    /// <summary>Earlier versions of listeners, and removed ones, that still have connections.</summary>
    internal HashSet<ActiveListener> Leaving { get; } = [];

    internal PeerFactsCache Peers { get; } = new(isTcp: false);

    internal PeerFactsCache TcpPeers { get; } = new(isTcp: true);

    internal ExchangePool Exchanges { get; } = new();

    /// <summary>Bytes that requests of this loop hold for another try.</summary>
    internal long ReplayBytes { get; set; }

    /// <summary>When and how answers ask clients to leave.</summary>
    internal DrainState Drain { get; }

    public long ActiveConnections { get; set; }

    public ulong NextConnectionId { get; set; } = 1;

    public IReadOnlyDictionary<string, ClusterState> Clusters => _clusters;

    /// <summary>Hands a snapshot to the loop, with the listening descriptors that were opened for it (name → descriptor of this loop). Any thread.</summary>
    public void Publish(ProxySnapshot snapshot, IReadOnlyDictionary<string, int> descriptors, Action? applied = null) => Loop.Post(() =>
    {
        try
        {
            Apply(snapshot, descriptors);
        }
        finally
        {
            applied?.Invoke();
        }
    });

    private void Apply(ProxySnapshot snapshot, IReadOnlyDictionary<string, int> descriptors)
    {
        Snapshot = snapshot;
        ApplyClusters(snapshot);
        ApplyListeners(snapshot, descriptors);
    }

    private void ApplyClusters(ProxySnapshot snapshot)
    {
        foreach (var (name, gone) in _clusters)
        {
            if (snapshot.Clusters.ContainsKey(name))
                continue;
            _clusters.Remove(name);
            _checkers.Remove(name);
            gone.Close();
            Shared.ReleaseCluster(gone.Shared);
        }
        foreach (var (name, config) in snapshot.Clusters)
        {
            var endpoints = snapshot.Endpoints.GetValueOrDefault(name) ?? LoadAssignmentConfig.Empty;
            _clusters.TryGetValue(name, out var state);
            var old = state is not null && state.Config.ContentHash != config.ContentHash ? state : null;
            if (state is null || old is not null)
            {
                state = new ClusterState(this, config, Shared.AcquireCluster(name, config.StatName ?? name));
                state.Breaker.Configure(config.Thresholds);
                state.Shared.HighBreaker.Configure(config.HighThresholds);
                _clusters[name] = state;
            }
            else
            {
                state.Reconfigure(config);
            }
            state.SetEndpoints(endpoints);
            // The new one uses the endpoints already: what is known of their health stays.
            if (old is not null)
            {
                old.Close();
                Shared.ReleaseCluster(old.Shared);
            }
            if (Loop.Index == 0)
                _checkers.Apply(state);
            state.RefreshForReport();
        }
    }

    private void ApplyListeners(ProxySnapshot snapshot, IReadOnlyDictionary<string, int> descriptors)
    {
        var wanted = new HashSet<string>(StringComparer.Ordinal);
        foreach (var config in snapshot.Listeners)
            wanted.Add(config.Name);
        foreach (var (name, gone) in _listeners)
        {
            if (wanted.Contains(name))
                continue;
            _listeners.Remove(name);
            gone.Remove();
        }
        foreach (var config in snapshot.Listeners)
        {
            var fd = descriptors.GetValueOrDefault(config.Name, -1);
            try
            {
                if (!_listeners.TryGetValue(config.Name, out var listener))
                    _listeners[config.Name] = listener = new BoundListener(this, config.Name);
                listener.Update(config, fd);
            }
            catch (Exception error)
            {
                Loop.Report("the update of a listener", error);
            }
        }
        _byAddress.Clear();
        foreach (var listener in _listeners.Values)
        {
            if (listener.Current is { } current)
                _byAddress[current.Config.Address] = listener;
        }
    }

    /// <summary>The listener whose chains serve a destination (use_original_dst): exact address, then any address with that port.</summary>
    internal BoundListener? FindListener(in Address destination)
    {
        if (_byAddress.TryGetValue(destination, out var exact))
            return exact;
        var any = destination.Kind == AddressKind.V6 ? Address.V6(0, 0, destination.Port) : Address.V4(0, destination.Port);
        return _byAddress.TryGetValue(any, out var wildcard) ? wildcard
            : destination.Kind == AddressKind.V4 && _byAddress.TryGetValue(Address.V6(0, 0, destination.Port), out var dual) ? dual : null;
    }

    public ClusterState? FindCluster(string name) => _clusters.GetValueOrDefault(name);

    /// <summary>The cluster that carries traffic for a name: of an aggregate the first member with a healthy host, else its first one.</summary>
    public ClusterState? FindMember(string name)
    {
        var cluster = FindCluster(name);
        // An aggregate may be made of aggregates; one that contains itself ends here.
        for (var depth = 0; cluster is { Config.Discovery: DiscoveryKind.Aggregate } aggregate; depth++)
        {
            ClusterState? first = null, healthy = null;
            foreach (var member in aggregate.Config.Members)
            {
                var candidate = FindCluster(member);
                first ??= candidate;
                if (candidate is { Config.Discovery: DiscoveryKind.Aggregate } or { HealthyCount: > 0 })
                {
                    healthy = candidate;
                    break;
                }
            }
            cluster = depth < 8 ? healthy ?? first : null;
        }
        return cluster;
    }

    /// <summary>A connection to here would come back to this process: it is what was accepted on, or a socket of ours.</summary>
    internal bool IsOwnListener(in Address destination, in Address accepted) =>
        destination == accepted || (_byAddress.TryGetValue(destination, out var listener) && listener.Current!.Config.BindToPort);

    /// <summary>An answer to a request said that health checks of its host would fail. First loop.</summary>
    internal void FailHost(string cluster, in Address address) => _checkers.FailNow(cluster, address);

    public HttpStats HttpStatsOf(string prefix)
    {
        if (!_httpStats.TryGetValue(prefix, out var stats))
            _httpStats[prefix] = stats = new HttpStats(Shared.Stats, prefix);
        return stats;
    }

    public TcpStats TcpStatsOf(string prefix)
    {
        if (!_tcpStats.TryGetValue(prefix, out var stats))
            _tcpStats[prefix] = stats = new TcpStats(Shared.Stats, prefix);
        return stats;
    }

    public void WriteLog(IReadOnlyList<AccessLogConfig> logs, RequestRecord record)
    {
        if (logs.Count == 0)
            return;
        Log.Write(logs, record, Loop.NowMs);
        if (!_logTimer.IsArmed)
            Loop.ArmAfter(_logTimer, Math.Max(1, Shared.LogFlushMs));
    }

    private void FlushLogs()
    {
        var next = Log.Flush(Loop.NowMs);
        if (next >= 0)
            Loop.ArmAfter(_logTimer, next);
    }

    /// <summary>The Date field, made once a second (RFC 9110 section 5.6.7).</summary>
    public ReadOnlySpan<byte> Date()
    {
        var second = Loop.Kernel.WallMicros / 1_000_000;
        if (second != _dateSecond)
        {
            _dateSecond = second;
            DateTime.UnixEpoch.AddSeconds(second).TryFormat(_date, out _, "R", System.Globalization.CultureInfo.InvariantCulture);
        }
        return _date;
    }

    /// <summary>Answers ask clients to leave from now on; listeners go on accepting. Loop thread.</summary>
    public void StartDrain(bool inboundOnly) => Drain.Start(inboundOnly, Loop.NowMs);

    /// <summary>Every answer asks its client to leave, until it is taken back (/healthcheck/fail, /healthcheck/ok). Loop thread.</summary>
    public void FailHealth(bool fails) => Drain.HealthFails = fails;

    /// <summary>Ends accepting (inbound listeners only, if asked); open connections go on. Loop thread.</summary>
    public void StopAccepting(bool inboundOnly)
    {
        foreach (var listener in _listeners.Values)
        {
            if (!inboundOnly || listener.Current!.Config.Direction == "INBOUND")
                listener.StopAccepting();
        }
    }

    /// <summary>Closes everything and hands over the last log records. Loop thread.</summary>
    public void Shutdown()
    {
        foreach (var listener in _listeners.Values)
        {
            listener.Remove();
            listener.Current?.CloseAll();
        }
        foreach (var leaving in Leaving.ToList())
            leaving.CloseAll();
        foreach (var cluster in _clusters.Values)
            cluster.Close();
        Log.Flush(Loop.NowMs, all: true);
    }
}
