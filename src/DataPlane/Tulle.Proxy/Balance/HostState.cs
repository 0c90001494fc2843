using Tulle.Base;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>One endpoint as one loop uses it: its pool, its load, its counters. Owned by the loop.</summary>
public sealed class HostState
{
    private readonly HostState? _main; // Set in the pool of HIGH requests: whose pool it is.
    private HostState? _high; // Made when the first such request comes.
    private UpstreamConnection?[] _idle = [];
    private int _idleCount;

    /// <summary>Idle connections kept to one endpoint by one loop. The circuit breaker bounds all of them; this bounds what may lie unused.</summary>
    private const int IdleMax = 1024;

    public HostState(ClusterState cluster, EndpointConfig config, EndpointHealthState health)
    {
        Cluster = cluster;
        Config = config;
        Health = health;
    }

    private HostState(HostState main)
        : this(main.Cluster, main.Config, main.Health) => _main = main;

    public ClusterState Cluster { get; }

    public EndpointConfig Config
    {
        get => _main is null ? field : _main.Config;
        set;
    }

    public EndpointHealthState Health { get; }

    /// <summary>The host itself, where its load and its counters are; the pool of HIGH requests has none of its own.</summary>
    internal HostState Main => _main ?? this;

    /// <summary>Connections of requests whose route has priority HIGH: a pool of its own, with the HIGH thresholds.</summary>
    internal HostState High => _high ??= new HostState(this);

    private bool IsHigh => _main is not null;

    internal CircuitBreaker Breaker => IsHigh ? Cluster.Shared.HighBreaker : Cluster.Shared.Breaker;

    internal ConnectionQueue Waiting => IsHigh ? Cluster.HighWaiting : Cluster.Waiting;

    /// <summary>The pool of this host for the same priority as <paramref name="other"/>; null when there is none.</summary>
    internal HostState? SamePool(HostState other) => other.IsHigh ? _high : this;

    public Address Address => Config.Address;

    /// <summary>Requests in flight from this loop.</summary>
    public int ActiveRequests;

    /// <summary>Connections of this loop, idle and busy.</summary>
    public int Connections;

    public long RequestTotal, RequestSuccess, RequestError, RequestTimeouts, ConnectionTotal, ConnectFails;

    public bool IsRemoved
    {
        get => _main is null ? field : _main.IsRemoved;
        set;
    }

    /// <summary>Permits for pooled connections that this host holds on this loop: open, connecting, or granted to a request that will connect.</summary>
    internal int Permits;

    /// <summary>Requests of this loop that wait for a connection because the cluster may open no more. See <see cref="ConnectionQueue"/>.</summary>
    internal ConnectionWait? FirstWait, LastWait;

    internal int WaitIndex;

    /// <summary>Grows when every connection that stands now shall end after its exchange: the host failed.</summary>
    public int PoolGeneration
    {
        get => _main is null ? field : _main.PoolGeneration;
        private set;
    }

    /// <summary>What it was when the lists were last rebuilt.</summary>
    public bool WasUsable = true;

    /// <summary>May get traffic: configured so, not failing its check, not ejected.</summary>
    public bool IsUsable => Config.Health is EndpointHealth.Unknown or EndpointHealth.Healthy or EndpointHealth.Degraded && !Health.FailsActiveCheck && !Health.IsEjected;

    public bool IsHealthy => IsUsable && Config.Health != EndpointHealth.Degraded && !Health.IsDegraded;

    /// <summary>Usable, but only for what healthy hosts cannot carry.</summary>
    public bool IsDegraded => IsUsable && (Config.Health == EndpointHealth.Degraded || Health.IsDegraded);

    public bool HasIdle => _idleCount > 0;

    /// <summary>The most recently used idle connection that fits, or null.</summary>
    /// <param name="alpn">What the manager asks for.</param>
    /// <param name="owner">The downstream connection whose own it must be; null: one that is everybody's.</param>
    public UpstreamConnection? TakeIdle(IReadOnlyList<string> alpn, object? owner = null)
    {
        for (var i = _idleCount - 1; i >= 0; i--)
        {
            var connection = _idle[i]!;
            if (!ReferenceEquals(connection.PoolOwner, owner) || !IsSame(connection.AlpnChoice, alpn))
                continue;
            _idle[i] = _idle[--_idleCount];
            _idle[_idleCount] = null;
            return connection;
        }
        return null;
    }

    /// <summary>By content: every manager, and every version of a listener, has a list of its own.</summary>
    internal static bool IsSame(IReadOnlyList<string> a, IReadOnlyList<string> b)
    {
        if (ReferenceEquals(a, b))
            return true;
        // A pool of its own stands behind each name that requests chose.
        if (a is NamedProtocols || b is NamedProtocols)
            return false;
        if (a.Count != b.Count)
            return false;
        for (var i = 0; i < a.Count; i++)
        {
            if (!string.Equals(a[i], b[i], StringComparison.Ordinal))
                return false;
        }
        return true;
    }

    public bool PutIdle(UpstreamConnection connection)
    {
        if (_idleCount == IdleMax || IsRemoved || connection.PoolGeneration != PoolGeneration)
            return false;
        if (_idleCount == _idle.Length)
            Array.Resize(ref _idle, Math.Max(4, _idle.Length * 2));
        _idle[_idleCount++] = connection;
        return true;
    }

    /// <summary>Takes a permit for a pooled connection; false when the request has to wait for one.</summary>
    internal bool TryPermit(IReadOnlyList<string> alpn, object? owner = null)
    {
        if (!TryOne(out var isHostFull))
        {
            Cluster.Stats.ConnectionOverflow.Add(Cluster.LoopIndex);
            // What lies idle and does not fit gives way to what is wanted.
            var closed = isHostFull ? CloseOneIdle(alpn, owner) : Cluster.CloseIdleElsewhere(this, alpn, owner);
            if (!(closed && TryOne(out _)))
            {
                if (Permits > 0)
                    return false;
                ForceOne();
            }
        }
        Permits++;
        return true;
    }

    /// <summary>Counts a connection, if the cluster and the host may have one more.</summary>
    internal bool TryOne(out bool isHostFull)
    {
        var max = IsHigh ? Cluster.Config.HighHostConnectionsMax : Cluster.Config.HostConnectionsMax;
        isHostFull = !Health.TryConnection(IsHigh, max);
        if (isHostFull)
            return false;
        if (Breaker.TryConnection())
            return true;
        Health.EndConnection(IsHigh);
        return false;
    }

    /// <summary>Counts a connection beyond the limits: see <see cref="CircuitBreaker.ForceConnection"/>.</summary>
    internal void ForceOne()
    {
        Breaker.ForceConnection();
        Health.TryConnection(IsHigh, uint.MaxValue);
    }

    /// <summary>Gives a permit of <see cref="TryPermit"/> or <see cref="IConnectionWaiter.OnPermit"/> back, and serves who waits for one.</summary>
    internal void GivePermit()
    {
        Permits--;
        Health.EndConnection(IsHigh);
        Breaker.EndConnection();
        Waiting.Serve(this);
    }

    /// <summary>Closes one idle connection, one that does not fit <paramref name="except"/> and the owner if that is given.</summary>
    internal bool CloseOneIdle(IReadOnlyList<string>? except, object? owner)
    {
        for (var i = 0; i < _idleCount; i++)
        {
            if (except is not null && ReferenceEquals(_idle[i]!.PoolOwner, owner) && IsSame(_idle[i]!.AlpnChoice, except))
                continue;
            _idle[i]!.CloseIdle();
            return true;
        }
        return false;
    }

    public void RemoveIdle(UpstreamConnection connection)
    {
        for (var i = 0; i < _idleCount; i++)
        {
            if (ReferenceEquals(_idle[i], connection))
            {
                _idle[i] = _idle[--_idleCount];
                _idle[_idleCount] = null;
                return;
            }
        }
    }

    public void CloseIdle()
    {
        _high?.CloseIdle();
        while (_idleCount > 0)
            _idle[_idleCount - 1]!.CloseIdle();
    }

    /// <summary>The host failed: what is idle ends now, what is busy after its exchange.</summary>
    public void Drain()
    {
        PoolGeneration++;
        CloseIdle();
    }
}
