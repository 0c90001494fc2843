using System.Collections.Concurrent;
using Tulle.Base;

namespace Tulle.Proxy;

/// <summary>What is known of one endpoint's health, shared by all loops.</summary>
public sealed class EndpointHealthState
{
    private int _consecutive5xx; // Any loop, by Interlocked.
    private int _consecutiveGateway;

    /// <summary>The active check found it failing, or has not found it passing yet.</summary>
    public volatile bool FailsActiveCheck;

    public volatile bool IsEjected;

    /// <summary>How often it was ejected: the time out grows with it.</summary>
    public int Ejections;

    /// <summary>Loop time when the ejection ends.</summary>
    public long EjectedUntilMs;

    public int Count5xx(bool failed)
    {
        if (failed)
            return Interlocked.Increment(ref _consecutive5xx);
        if (Volatile.Read(ref _consecutive5xx) != 0)
            Volatile.Write(ref _consecutive5xx, 0);
        return 0;
    }

    public int CountGateway(bool failed)
    {
        if (failed)
            return Interlocked.Increment(ref _consecutiveGateway);
        if (Volatile.Read(ref _consecutiveGateway) != 0)
            Volatile.Write(ref _consecutiveGateway, 0);
        return 0;
    }

    public void ClearCounts()
    {
        Volatile.Write(ref _consecutive5xx, 0);
        Volatile.Write(ref _consecutiveGateway, 0);
    }
}

/// <summary>Health of every endpoint of every cluster. The version counts changes, so that loops rebuild their lists only then.</summary>
public sealed class EndpointHealthTable
{
    private readonly ConcurrentDictionary<(string Cluster, Address Address), EndpointHealthState> _all = new();
    private int _version;

    public int Version => Volatile.Read(ref _version);

    public EndpointHealthState Get(string cluster, in Address address) => _all.GetOrAdd((cluster, address), static _ => new EndpointHealthState());

    public EndpointHealthState? Find(string cluster, in Address address) => _all.GetValueOrDefault((cluster, address));

    public void Remove(string cluster, in Address address) => _all.TryRemove((cluster, address), out _);

    public void NoteChange() => Interlocked.Increment(ref _version);
}
