namespace Tulle.Proxy;

/// <summary>A request that can wait for a connection of a host. It is only told; what it does with it is for its own step, never inside another's stack.</summary>
internal interface IConnectionWaiter
{
    /// <summary>A connection that fits became free: it is the waiter's from now on.</summary>
    void OnConnection(UpstreamConnection connection);

    /// <summary>A permit for a connection of the wanted host became free: it is the waiter's, to be used or given back (<see cref="HostState.GivePermit"/>).</summary>
    void OnPermit();
}

/// <summary>The place of one request in the queue of a host. Plain links, so that a request that ends leaves the queue at once.</summary>
internal sealed class ConnectionWait(IConnectionWaiter waiter)
{
    public ConnectionWait? Next, Previous;
    public HostState? Host;
    public IReadOnlyList<string> Alpn = [];
    public object? Owner;

    public IConnectionWaiter Waiter { get; } = waiter;
}

/// <summary>
/// The requests of one loop that wait because their cluster may open no more connections. Only a request whose host has a connection on this loop ever
/// waits (a host without one may always open one), so each is served by an event of its own host at the latest; a permit that becomes free goes to
/// the waiting hosts in turn. While somebody waits no connection goes idle.
/// </summary>
internal sealed class ConnectionQueue
{
    private readonly List<HostState> _hosts = []; // Those with waiters.
    private int _next;

    public bool IsEmpty => _hosts.Count == 0;

    public void Add(ConnectionWait wait, HostState host, IReadOnlyList<string> alpn, object? owner)
    {
        wait.Host = host;
        wait.Alpn = alpn;
        wait.Owner = owner;
        wait.Next = null;
        wait.Previous = host.LastWait;
        if (host.LastWait is null)
        {
            host.FirstWait = wait;
            host.WaitIndex = _hosts.Count;
            _hosts.Add(host);
        }
        else
        {
            host.LastWait.Next = wait;
        }
        host.LastWait = wait;
    }

    public void Remove(ConnectionWait wait)
    {
        if (wait.Host is not { } host)
            return;
        if (wait.Previous is null)
            host.FirstWait = wait.Next;
        else
            wait.Previous.Next = wait.Next;
        if (wait.Next is null)
            host.LastWait = wait.Previous;
        else
            wait.Next.Previous = wait.Previous;
        wait.Next = wait.Previous = null;
        wait.Host = null;
        if (host.FirstWait is not null)
            return;
        var last = _hosts[^1];
        _hosts[host.WaitIndex] = last;
        last.WaitIndex = host.WaitIndex;
        _hosts.RemoveAt(_hosts.Count - 1);
    }

    /// <summary>Gives a connection that became free to the first request that it fits; false when there is none.</summary>
    public bool Hand(UpstreamConnection connection)
    {
        for (var wait = connection.Host.FirstWait; wait is not null; wait = wait.Next)
        {
            if (!ReferenceEquals(wait.Owner, connection.PoolOwner) || !HostState.IsSame(wait.Alpn, connection.AlpnChoice))
                continue;
            Remove(wait);
            wait.Waiter.OnConnection(connection);
            return true;
        }
        return false;
    }

    /// <summary>A permit of this host was given back: the host's own waiters if it has no connection left, then whoever may open one.</summary>
    public void Serve(HostState host)
    {
        if (host.FirstWait is { } first && host.Permits == 0)
        {
            host.ForceOne();
            Grant(first);
        }
        for (var tries = _hosts.Count; tries > 0 && _hosts.Count > 0;)
        {
            var next = _hosts[_next++ % _hosts.Count];
            if (next.TryOne(out var isHostFull))
            {
                Grant(next.FirstWait!);
                tries = _hosts.Count;
            }
            else if (isHostFull)
            {
                tries--;
            }
            else
            {
                // It stays the turn of this one.
                _next--;
                break;
            }
        }
        if (_next > 1 << 20)
            _next = 0;
    }

    private void Grant(ConnectionWait wait)
    {
        wait.Host!.Permits++;
        Remove(wait);
        wait.Waiter.OnPermit();
    }
}
