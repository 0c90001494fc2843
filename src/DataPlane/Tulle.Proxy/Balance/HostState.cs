using Tulle.Base;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>One endpoint as one loop uses it: its pool, its load, its counters. Owned by the loop.</summary>
public sealed class HostState(ClusterState cluster, EndpointConfig config, EndpointHealthState health)
{
    private readonly UpstreamConnection?[] _idle = new UpstreamConnection?[IdleMax];
    private int _idleCount;

    /// <summary>Idle connections kept to one endpoint by one loop. The circuit breaker bounds all of them; this bounds what may lie unused.</summary>
    private const int IdleMax = 1024;

    public ClusterState Cluster { get; } = cluster;

    public EndpointConfig Config { get; set; } = config;

    public EndpointHealthState Health { get; } = health;

    public Address Address => Config.Address;

    /// <summary>Requests in flight from this loop.</summary>
    public int ActiveRequests;

    /// <summary>Connections of this loop, idle and busy.</summary>
    public int Connections;

    public long RequestTotal, RequestSuccess, RequestError, RequestTimeouts, ConnectionTotal, ConnectFails;

    /// <summary>Credit of weighted round robin.</summary>
    public long Credit;

    public bool IsRemoved;

    /// <summary>Permits for pooled connections that this host holds on this loop: open, connecting, or granted to a request that will connect.</summary>
    internal int Permits;

    /// <summary>Requests of this loop that wait for a connection because the cluster may open no more. See <see cref="ConnectionQueue"/>.</summary>
    internal ConnectionWait? FirstWait, LastWait;

    internal int WaitIndex;

    public bool IsHealthy => Config.Health is EndpointHealth.Unknown or EndpointHealth.Healthy or EndpointHealth.Degraded && !Health.FailsActiveCheck && !Health.IsEjected;

    public bool HasIdle => _idleCount > 0;

    /// <summary>The most recently used idle connection that fits, or null.</summary>
    public UpstreamConnection? TakeIdle(IReadOnlyList<string> alpn)
    {
        for (var i = _idleCount - 1; i >= 0; i--)
        {
            var connection = _idle[i]!;
            if (!ReferenceEquals(connection.AlpnChoice, alpn))
                continue;
            _idle[i] = _idle[--_idleCount];
            _idle[_idleCount] = null;
            return connection;
        }
        return null;
    }

    public bool PutIdle(UpstreamConnection connection)
    {
        if (_idleCount == _idle.Length || IsRemoved)
            return false;
        _idle[_idleCount++] = connection;
        return true;
    }

    /// <summary>Takes a permit for a pooled connection; false when the request has to wait for one.</summary>
    internal bool TryPermit(IReadOnlyList<string> alpn)
    {
        var breaker = Cluster.Breaker;
        if (!breaker.TryConnection())
        {
            Cluster.Stats.ConnectionOverflow.Add(Cluster.LoopIndex);
            // What lies idle and does not fit gives way to what is wanted.
            if (!(Cluster.CloseIdleElsewhere(this, alpn) && breaker.TryConnection()))
            {
                if (Permits > 0)
                    return false;
                breaker.ForceConnection();
            }
        }
        Permits++;
        return true;
    }

    /// <summary>Gives a permit of <see cref="TryPermit"/> or <see cref="IConnectionWaiter.OnPermit"/> back, and serves who waits for one.</summary>
    internal void GivePermit()
    {
        Permits--;
        Cluster.Breaker.EndConnection();
        Cluster.Waiting.Serve(this);
    }

    /// <summary>Closes one idle connection, one that was asked for under another ALPN list than <paramref name="except"/> if that is given.</summary>
    internal bool CloseOneIdle(IReadOnlyList<string>? except)
    {
        for (var i = 0; i < _idleCount; i++)
        {
            if (except is not null && ReferenceEquals(_idle[i]!.AlpnChoice, except))
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
        while (_idleCount > 0)
            _idle[_idleCount - 1]!.CloseIdle();
    }
}
