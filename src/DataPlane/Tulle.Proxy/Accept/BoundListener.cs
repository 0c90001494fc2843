using Tulle.Base;
using Tulle.Loop;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>A listener on one loop: its socket, and the version of its configuration that new connections get.</summary>
internal sealed class BoundListener(ProxyWorker worker, string name)
{
    private ListenSocket? _socket;

    public string Name { get; } = name;

    public ActiveListener? Current { get; private set; }

    public void Update(ListenerConfig config, int fd)
    {
        if (Current is null || Current.Config.ContentHash != config.ContentHash)
        {
            Current?.StartDrain();
            Current = new ActiveListener(worker, config);
        }
        else
        {
            // The same resource with newer secrets: connections stay, new ones get the new certificate.
            Current.Config = config;
        }
        if (fd < 0)
            return;
        _socket?.Close();
        _socket = ListenSocket.Start(worker.Loop, fd, OnAccept);
    }

    private void OnAccept(int fd, Address remote)
    {
        var listener = Current!;
        var socket = new LoopSocket(worker.Loop, fd);
        if (socket.Start(assumeWritable: true) < 0 || (listener.Config.ConnectionsMax > 0 && listener.Count >= listener.Config.ConnectionsMax))
        {
            listener.Stats.ConnectionOverflow.Add(worker.Loop.Index);
            socket.Close();
            return;
        }
        try
        {
            new ConnectionStarter(worker, listener, socket, remote).Start();
        }
        catch (Exception error)
        {
            worker.Loop.Report("the start of an accepted connection", error);
            socket.Close();
        }
    }

    public void StopAccepting()
    {
        _socket?.Close();
        _socket = null;
    }

    public void Remove()
    {
        StopAccepting();
        Current?.StartDrain();
    }
}

/// <summary>One version of a listener's configuration with the connections that were accepted under it.</summary>
internal sealed class ActiveListener
{
    private readonly ProxyWorker _worker;
    private readonly Dictionary<string, ListenerHttpStats> _httpStats = new(StringComparer.Ordinal);
    private Connection? _first;

    public ActiveListener(ProxyWorker worker, ListenerConfig config)
    {
        _worker = worker;
        Config = config;
        StatName = config.StatPrefix.Length > 0 ? config.StatPrefix : config.Address.ToString().Replace(':', '_');
        Stats = new ListenerStats(worker.Shared.Stats, StatName);
    }

    public ListenerConfig Config { get; set; }

    public string StatName { get; }

    public ListenerStats Stats { get; }

    /// <summary>Open connections on this loop.</summary>
    public int Count { get; private set; }

    /// <summary>When this version of the listener was replaced or removed; −1: it is in force.</summary>
    public long LeavingSinceMs { get; private set; } = -1;

    public bool IsDraining => LeavingSinceMs >= 0;

    public bool IsInbound => Config.Direction == "INBOUND";

    public ListenerHttpStats HttpStatsOf(string prefix)
    {
        if (!_httpStats.TryGetValue(prefix, out var stats))
            _httpStats[prefix] = stats = new ListenerHttpStats(_worker.Shared.Stats, StatName, prefix);
        return stats;
    }

    /// <param name="connection">The connection.</param>
    /// <param name="isNew">False when it was counted before under another type.</param>
    public void Add(Connection connection, bool isNew)
    {
        connection.Next = _first;
        if (_first is not null)
            _first.Previous = connection;
        _first = connection;
        Count++;
        _worker.ActiveConnections++;
        if (!isNew)
            return;
        Stats.ConnectionTotal.Add(_worker.Loop.Index);
        Stats.ConnectionActive.Add(_worker.Loop.Index);
    }

    public void Remove(Connection connection, bool isEnd = true)
    {
        if (connection.Previous is not null)
            connection.Previous.Next = connection.Next;
        else
            _first = connection.Next;
        if (connection.Next is not null)
            connection.Next.Previous = connection.Previous;
        connection.Next = connection.Previous = null;
        Count--;
        _worker.ActiveConnections--;
        if (Count == 0 && IsDraining)
            _worker.Leaving.Remove(this);
        if (!isEnd)
            return;
        Stats.ConnectionActive.Add(_worker.Loop.Index, -1);
        Stats.ConnectionDestroy.Add(_worker.Loop.Index);
    }

    /// <summary>Lets connections end with their next answer; what is left at the end of the drain time is closed.</summary>
    public void StartDrain()
    {
        if (IsDraining)
            return;
        LeavingSinceMs = _worker.Loop.NowMs;
        if (_first is null)
            return;
        _worker.Leaving.Add(this);
        _worker.Loop.ArmAfter(new ActionTimer(CloseAll), _worker.Shared.DrainTimeMs);
    }

    /// <summary>Closes what is open; each connection writes its record.</summary>
    public void CloseAll()
    {
        while (_first is { } connection)
        {
            connection.End();
        }
    }
}
