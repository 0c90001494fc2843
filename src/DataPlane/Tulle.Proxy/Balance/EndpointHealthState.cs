namespace Tulle.Proxy;

/// <summary>What is known of one endpoint's health, shared by all loops. Flags are set on one loop and read on all; counts are interlocked.</summary>
public sealed class EndpointHealthState
{
    /// <summary>Failing answers in a row, by kind; any loop.</summary>
    internal int Consecutive5xx, ConsecutiveGateway, ConsecutiveLocal;

    /// <summary>Answers of this interval, for success rates: of the other side, and of connecting.</summary>
    internal long Answers, GoodAnswers, Connects, GoodConnects;

    /// <summary>The active check found it failing, or has not found it passing yet.</summary>
    public volatile bool FailsActiveCheck;

    /// <summary>The active check answered "degraded": it serves only what healthy hosts cannot carry.</summary>
    public volatile bool IsDegraded;

    /// <summary>An answer said that checks would fail: until the next good check the host does not even count among the hosts.</summary>
    public volatile bool IsExcluded;

    /// <summary>Ejected by outlier detection.</summary>
    public volatile bool IsEjected;

    /// <summary>How many base times the next ejection lasts; falls by one in every healthy interval.</summary>
    internal int Ejections;

    /// <summary>Loop time of the last ejection.</summary>
    internal long EjectedAtMs;

    /// <summary>What the other loops have in flight to it: each entry is written by its loop only.</summary>
    internal readonly HostState?[] ByLoop;

    /// <summary>Loops that use it; under the lock of the cluster.</summary>
    internal int Users;

    private int _connections, _highConnections; // Pooled ones of any loop, by priority; by Interlocked.

    public EndpointHealthState(int loops) => ByLoop = new HostState?[loops];

    /// <summary>Whether an active check watches it now.</summary>
    public bool IsChecked { get; set; }

    /// <summary>Requests in flight from all loops; the others' numbers may be some nanoseconds old.</summary>
    public int ActiveRequests
    {
        get
        {
            var sum = 0;
            foreach (var host in ByLoop)
                sum += host?.ActiveRequests ?? 0;
            return sum;
        }
    }

    /// <summary>Counts a pooled connection to it, if there may be one more.</summary>
    internal bool TryConnection(bool isHigh, uint max)
    {
        ref var count = ref isHigh ? ref _highConnections : ref _connections;
        if ((uint)Interlocked.Increment(ref count) <= max)
            return true;
        Interlocked.Decrement(ref count);
        return false;
    }

    internal void EndConnection(bool isHigh) => Interlocked.Decrement(ref isHigh ? ref _highConnections : ref _connections);
}
