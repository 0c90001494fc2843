using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Tulle.Proxy;

public enum StatKind : byte
{
    Counter,
    Gauge,
}

/// <summary>What a statistic belongs to: the first part of its name and its Prometheus label.</summary>
public enum StatScope : byte
{
    Server,
    Cluster,
    Http,
    Tcp,
    Listener,
}

/// <summary>
/// One statistic: a cell per loop, a cache line apart, written by plain adds of its loop and summed when somebody looks.
/// </summary>
public sealed class Stat(string name, StatScope scope, string scopeName, string leaf, StatKind kind, int loops)
{
    private const int CellStride = 8;

    private readonly long[] _cells = new long[(loops + 1) * CellStride];

    public string Name { get; } = name;

    public StatScope Scope { get; } = scope;

    public string ScopeName { get; } = scopeName;

    /// <summary>Name behind the scope.</summary>
    public string Leaf { get; } = leaf;

    public StatKind Kind { get; } = kind;

    /// <summary>Something was counted at least once.</summary>
    public bool IsUsed { get; private set; }

    /// <summary>Adds on a loop.</summary>
    public void Add(int loop, long amount = 1)
    {
        ref var cell = ref MemoryMarshal.GetArrayDataReference(_cells);
        System.Runtime.CompilerServices.Unsafe.Add(ref cell, loop * CellStride) += amount;
        // Read first: loops that all write it would pull its line from each other at every add.
        if (!IsUsed)
            IsUsed = true;
    }

    /// <summary>Adds from a thread that is no loop.</summary>
    public void AddShared(long amount = 1)
    {
        Interlocked.Add(ref _cells[loops * CellStride], amount);
        IsUsed = true;
    }

    /// <summary>Sets a gauge that only the control thread owns.</summary>
    public void Set(long value)
    {
        Interlocked.Exchange(ref _cells[loops * CellStride], value);
        IsUsed = true;
    }

    public long Value
    {
        get
        {
            long sum = 0;
            for (var i = 0; i <= loops * CellStride; i += CellStride)
                sum += Volatile.Read(ref _cells[i]);
            return sum;
        }
    }

    /// <summary>Back to zero (reset_counters). A racing add may survive; that is what resetting a live counter means.</summary>
    public void Reset() => Array.Clear(_cells);
}

/// <summary>All statistics of a process by name. Created at configuration time, never on the request path.</summary>
public sealed class StatsStore(int loops)
{
    private readonly ConcurrentDictionary<string, Stat> _all = new(StringComparer.Ordinal);

    public ICollection<Stat> All => _all.Values;

    public Stat Counter(StatScope scope, string scopeName, string leaf) => Get(scope, scopeName, leaf, StatKind.Counter);

    public Stat Gauge(StatScope scope, string scopeName, string leaf) => Get(scope, scopeName, leaf, StatKind.Gauge);

    private Stat Get(StatScope scope, string scopeName, string leaf, StatKind kind)
    {
        var name = scope switch
        {
            StatScope.Cluster => $"cluster.{scopeName}.{leaf}",
            StatScope.Http => $"http.{scopeName}.{leaf}",
            StatScope.Tcp => $"tcp.{scopeName}.{leaf}",
            StatScope.Listener => $"listener.{scopeName}.{leaf}",
            _ => leaf,
        };
        return _all.GetOrAdd(name, static (key, made) => new Stat(key, made.scope, made.scopeName, made.leaf, made.kind, made.loops), (scope, scopeName, leaf, kind, loops));
    }

    /// <summary>Forgets the statistics of a cluster that is gone. Configuration time only: looks at every name.</summary>
    public void RemoveCluster(string cluster)
    {
        foreach (var (name, stat) in _all)
        {
            if (stat.Scope == StatScope.Cluster && stat.ScopeName == cluster)
                _all.TryRemove(name, out _);
        }
    }

    public Stat? Find(string name) => _all.GetValueOrDefault(name);
}
