using Tulle.Base;
using Tulle.Loop;
using Tulle.Native;

namespace Tulle.Testing;

/// <summary>
/// A kernel in memory: sockets with small windows, arrival in pieces, EINTR, hang-ups, resets and descriptors that are reused at once, all from one
/// seed. It keeps Linux's promises (a short read emptied the socket, an edge comes with every change) and breaks everything else.
/// </summary>
public sealed class SimulatedKernel(ulong seed, int windowBytes = 700, bool isCalm = false) : Kernel
{
    private const int FirstFd = 200_000; // Beyond every real descriptor: a system call that bypassed this class would fail.
    private readonly SeededRandom _random = new(seed);
    private readonly List<SimulatedSocket?> _sockets = [];
    private readonly List<(int Listener, SimulatedSocket Socket)> _accepting = [];
    private long _now = 1_000_000;
    private int _calls;
    private volatile bool _woken;

    /// <summary>Decides about a connection that the program under test opens: the far end, or a negated errno.</summary>
    public Func<Address, SimulatedSocket, int> OnConnect { get; set; } = (_, _) => -Errno.ECONNREFUSED;

    /// <summary>Called in the middle of each send: what happens meanwhile (time passes) happens within a turn.</summary>
    public Action? OnSend { get; set; }

    /// <summary>Errors that the next calls of accept answer with.</summary>
    public Queue<int> AcceptErrors { get; } = [];

    /// <summary>One of so many calls throws an exception that no kernel throws, as a fault in the program would; 0 for none.</summary>
    public int ThrowOneIn { get; set; }

    private void MayThrow(string call)
    {
        if (ThrowOneIn > 0 && _random.Next(ThrowOneIn) == 0)
            throw new InvalidOperationException($"a fault injected into {call}");
    }

    /// <summary>How long the program was ready to wait the last time; −1 for ever.</summary>
    public int LastWaitMs { get; private set; }

    public override long NowMs => _now;

    public override long WallMicros => _now * 1000;

    public int OpenSockets => _sockets.Count(s => s is not null);

    public void Advance(long ms) => _now += ms;

    /// <summary>A listening descriptor, to be handed to the program.</summary>
    public int Listen() => Add(new SimulatedSocket(windowBytes) { IsListener = true });

    /// <summary>A client connects; what it returns is the client's end.</summary>
    public SimulatedSocket ConnectTo(int listener)
    {
        var (near, far) = Pair();
        _accepting.Add((listener, near));
        _sockets[listener - FirstFd]!.Pending |= Libc.EPOLLIN;
        return far;
    }

    private (SimulatedSocket Near, SimulatedSocket Far) Pair()
    {
        var near = new SimulatedSocket(windowBytes);
        var far = new SimulatedSocket(windowBytes) { Peer = near };
        near.Peer = far;
        return (near, far);
    }

    /// <summary>Two ends of one connection as descriptors, for a test that runs both.</summary>
    public (int Near, int Far) OpenPair()
    {
        var (near, far) = Pair();
        return (Add(near), Add(far));
    }

    private int Add(SimulatedSocket socket)
    {
        var free = _sockets.IndexOf(null);
        if (free < 0)
        {
            free = _sockets.Count;
            _sockets.Add(null);
        }
        _sockets[free] = socket;
        return FirstFd + free;
    }

    private SimulatedSocket? Find(int fd) => fd >= FirstFd && fd - FirstFd < _sockets.Count ? _sockets[fd - FirstFd] : null;

    /// <summary>Bytes on their way arrive, in pieces.</summary>
    public void Deliver()
    {
        for (var i = 0; i < _sockets.Count; i++)
            _sockets[i]?.Arrive(isCalm ? int.MaxValue : 1 + _random.Next(windowBytes));
    }

    public override bool CanSplice => false;

    public override int PollerCreate() => 1;

    public override int PollerControl(int poller, int operation, int fd, int events, ulong key)
    {
        if (Find(fd) is not { } socket)
            return 0;
        socket.Key = operation == Libc.EPOLL_CTL_DEL ? 0 : key;
        // Adding to the set reports what is there already.
        socket.Pending |= socket.Readiness;
        return 0;
    }

    public override int PollerWait(int poller, Span<KernelEvent> events, int timeoutMs)
    {
        var count = 0;
        _calls = 0;
        LastWaitMs = timeoutMs;
        if (_woken)
        {
            _woken = false;
            events[count++] = new KernelEvent(ulong.MaxValue, Libc.EPOLLIN);
        }
        // A random place to begin and a random end: events come late, alone, or together with others.
        var start = isCalm || _sockets.Count == 0 ? 0 : _random.Next(_sockets.Count);
        for (var i = 0; i < _sockets.Count && count < events.Length; i++)
        {
            var socket = _sockets[(start + i) % _sockets.Count];
            if (socket is not { Pending: not 0, Key: not 0 } || (!isCalm && _random.Next(4) == 0))
                continue;
            events[count++] = new KernelEvent(socket.Key, socket.Pending);
            socket.Pending = 0;
        }
        return count;
    }

    public override int WakeCreate() => 2;

    public override void WakeRaise(int fd) => _woken = true;

    public override void WakeClear(int fd)
    {
    }

    private bool Interrupts
    {
        get
        {
            if (++_calls > 100_000)
                throw new InvalidOperationException("the program spins: 100,000 calls without waiting for events");
            return !isCalm && _random.Next(8) == 0;
        }
    }

    public override int Receive(int fd, Span<byte> buffer)
    {
        MayThrow("receive");
        return Interrupts ? -Errno.EINTR : Find(fd)?.Read(buffer) ?? -9;
    }

    public override int Send(int fd, ReadOnlySpan<byte> buffer)
    {
        MayThrow("send");
        OnSend?.Invoke();
        return Interrupts ? -Errno.EINTR : Find(fd)?.Write(buffer) ?? -9;
    }

    public override int Accept(int fd, out Address remote)
    {
        remote = Address.V4(0x0A000001, 4000);
        if (Interrupts)
            return -Errno.EINTR;
        if (AcceptErrors.TryDequeue(out var errno))
            return -errno;
        var index = _accepting.FindIndex(a => a.Listener == fd);
        if (index < 0)
            return -Errno.EAGAIN;
        var socket = _accepting[index].Socket;
        _accepting.RemoveAt(index);
        return Add(socket);
    }

    public override int Connect(in Address remote, in Address? source, int mark)
    {
        MayThrow("connect");
        var (near, far) = Pair();
        var result = OnConnect(remote, far);
        if (result < 0)
            near.Fail(-result);
        else
            near.Pending |= Libc.EPOLLOUT;
        return Add(near);
    }

    public override int SocketError(int fd) => Find(fd)?.Error ?? 0;

    public override int Shutdown(int fd, int how)
    {
        MayThrow("shutdown");
        if (how != Libc.SHUT_RD)
            Find(fd)?.ShutdownWrite();
        return 0;
    }

    public override int ResetOnClose(int fd)
    {
        if (Find(fd) is { } socket)
            socket.ResetsOnClose = true;
        return 0;
    }

    public override int Close(int fd)
    {
        if (Find(fd) is { } socket)
        {
            socket.Close();
            _sockets[fd - FirstFd] = null;
        }
        return 0;
    }

    public override Address LocalAddress(int fd)
    {
        MayThrow("getsockname");
        return Address.V4(0x0A000002, 8080);
    }
}
