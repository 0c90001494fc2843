using System.Collections.Concurrent;
using Tulle.Base;
using Tulle.Native;

namespace Tulle.Loop;

/// <summary>
/// One thread, one epoll set, one timer wheel, one buffer pool. Everything of a connection happens on the loop that accepted it; other threads reach
/// it only through <see cref="Post"/>.
/// </summary>
public sealed class EventLoop
{
    /// <summary>Events taken from the kernel in one go. Source: 256 keep one batch under a millisecond at 4 µs an event.</summary>
    private const int EventsPerWait = 256;

    private readonly ConcurrentQueue<Action> _mailbox = new(); // Any thread; read by the loop after Wake.
    private readonly KernelEvent[] _events = new KernelEvent[EventsPerWait];
    private readonly TimerWheel _timers;
    private readonly int _poller;
    private readonly int _wake;
    private readonly Queue<Action> _deferred = new(); // Loop thread only.
    private LoopSocket?[] _byFd = new LoopSocket?[1024]; // Loop thread only.
    private int _mailCount; // Any thread, by Interlocked.
    private uint _generation;
    private volatile bool _stop;

    public EventLoop(Kernel kernel, int index = 0, ulong seed = 1)
    {
        Kernel = kernel;
        Index = index;
        Random = new SeededRandom(seed + (ulong)index);
        NowMs = kernel.NowMs;
        Pipes = new PipePool(kernel.CanSplice);
        _timers = new TimerWheel(NowMs, Report);
        _poller = Check(kernel.PollerCreate(), "create an epoll set");
        _wake = Check(kernel.WakeCreate(), "create an eventfd");
        Check(kernel.PollerControl(_poller, Libc.EPOLL_CTL_ADD, _wake, Libc.EPOLLIN, ulong.MaxValue), "watch an eventfd");
    }

    public Kernel Kernel { get; }

    /// <summary>Position among the loops of the process, from 0; the slot of this loop in every counter.</summary>
    public int Index { get; }

    /// <summary>Loop time, read once a wake-up: whether a deadline is over is judged by it.</summary>
    public long NowMs { get; private set; }

    /// <summary>
    /// The clock itself. A deadline is counted from it: a turn may last (a first call is compiled, the machine has other work), and what begins at its
    /// end would lose that time if it were counted from <see cref="NowMs"/>.
    /// </summary>
    public long PresentMs => Kernel.NowMs;

    public SeededRandom Random { get; }

    public BufferPool Buffers { get; } = new();

    public PipePool Pipes { get; }

    /// <summary>Bytes for work that ends before the next await: ciphertext on its way to or from a socket.</summary>
    public byte[] Scratch { get; } = GC.AllocateUninitializedArray<byte>(80 * 1024, pinned: true);

    /// <summary>Bytes where a message is put together before it is written; never used by transports.</summary>
    public byte[] Staging { get; } = GC.AllocateUninitializedArray<byte>(160 * 1024, pinned: true);

    public int SocketCount { get; private set; }

    /// <summary>Called once per wake-up after all events, for work that is done in batches (log flush).</summary>
    public Action? AfterBatch { get; set; }

    /// <summary>Events so far. Other threads may read it: it tells a busy loop from an idle one.</summary>
    public long EventCount { get; private set; }

    /// <summary>Exceptions that callbacks let out so far (statistic: server.envoy_bug_failures). Zero in a program without faults.</summary>
    public long FaultCount { get; private set; }

    /// <summary>Called for each of them, to count it in a statistic; must not throw.</summary>
    public Action? OnFault { get; set; }

    private static int Check(int result, string what) =>
        result >= 0 ? result : throw new InvalidOperationException($"cannot {what}: {Errno.Text(-result)}");

    /// <summary>Runs an action on the loop; from any thread.</summary>
    public void Post(Action action)
    {
        _mailbox.Enqueue(action);
        if (Interlocked.Increment(ref _mailCount) == 1)
            Kernel.WakeRaise(_wake);
    }

    /// <summary>Runs an action on this loop after the current event, so that one connection never runs inside another's stack.</summary>
    public void Defer(Action action) => _deferred.Enqueue(action);

    public void Stop()
    {
        _stop = true;
        Kernel.WakeRaise(_wake);
    }

    public void Run()
    {
        // Nothing here depends on who called whom: without this every await captures a context and runs its continuation through it.
        using var flow = ExecutionContext.SuppressFlow();
        while (!_stop)
            Turn(-1);
    }

    /// <summary>One turn: wait, dispatch, timers, mailbox. Tests step the loop with it.</summary>
    public void Turn(int waitMsMax)
    {
        // The clock is read again: a turn may have lasted longer than the next deadline is away.
        var sleep = _deferred.Count > 0 ? 0 : _timers.SleepMs(Kernel.NowMs);
        if (waitMsMax >= 0 && (sleep < 0 || sleep > waitMsMax))
            sleep = waitMsMax;
        var count = Math.Max(0, Kernel.PollerWait(_poller, _events, sleep));
        NowMs = Kernel.NowMs;
        EventCount += count;
        for (var i = 0; i < count; i++)
            Dispatch(_events[i]);
        _timers.Advance(NowMs);
        RunDeferred();
        if (AfterBatch is { } batch)
            RunGuarded(batch, "the work after a batch");
    }

    private void Dispatch(in KernelEvent happened)
    {
        if (happened.Key == ulong.MaxValue)
        {
            Kernel.WakeClear(_wake);
            TakeMail();
            return;
        }
        var fd = (int)(uint)happened.Key;
        var socket = (uint)fd < (uint)_byFd.Length ? _byFd[fd] : null;
        // An event of a descriptor that was closed and reused within this batch belongs to nobody.
        if (socket is null || socket.Generation != (uint)(happened.Key >> 32))
            return;
        try
        {
            socket.OnEvents(happened.Events);
        }
        catch (Exception error)
        {
            EndFaulty(socket, error);
        }
    }

    /// <summary>The owner of a socket whose event failed ends what the socket stands for; without an owner the socket itself is closed.</summary>
    internal void EndFaulty(LoopSocket socket, Exception why)
    {
        Report("a socket's event", why);
        try
        {
            if (socket.Owner is { } owner)
                owner.OnFault(socket);
            else
                socket.Close();
        }
        catch (Exception error)
        {
            Report("the end of a socket whose event failed", error);
            socket.Close();
        }
    }

    /// <summary>
    /// The one guard of the loop: whatever a callback throws is counted, told once per kind (and at powers of two) and survived. Whoever runs callbacks
    /// of others, such as the accept loop, reports here too.
    /// </summary>
    public void Report(string kind, Exception error)
    {
        FaultCount++;
        OnFault?.Invoke();
        Invariant.Report($"{kind} threw, and the loop went on", error);
    }

    private void RunGuarded(Action action, string kind)
    {
        try
        {
            action();
        }
        catch (Exception error)
        {
            Report(kind, error);
        }
    }

    /// <summary>Takes what was posted so far. What is posted meanwhile has its turn after the other events; its wake-up is raised here, because the poster saw a count above one.</summary>
    private void TakeMail()
    {
        for (var left = Volatile.Read(ref _mailCount); left > 0 && _mailbox.TryDequeue(out var action); left--)
        {
            Interlocked.Decrement(ref _mailCount);
            RunGuarded(action, "a posted action");
        }
        if (Volatile.Read(ref _mailCount) > 0)
            Kernel.WakeRaise(_wake);
    }

    private void RunDeferred()
    {
        for (var left = _deferred.Count; left > 0; left--)
            RunGuarded(_deferred.Dequeue(), "a deferred action");
    }

    internal int Register(LoopSocket socket, int events)
    {
        if (socket.Fd < 0)
            return -Errno.EBADF;
        if (socket.Fd >= _byFd.Length)
            Array.Resize(ref _byFd, Math.Max(socket.Fd + 1, _byFd.Length * 2));
        socket.Generation = ++_generation;
        var result = Kernel.PollerControl(_poller, Libc.EPOLL_CTL_ADD, socket.Fd, events, ((ulong)socket.Generation << 32) | (uint)socket.Fd);
        if (result >= 0)
        {
            _byFd[socket.Fd] = socket;
            SocketCount++;
        }
        return result;
    }

    internal void Unregister(LoopSocket socket)
    {
        if ((uint)socket.Fd < (uint)_byFd.Length && ReferenceEquals(_byFd[socket.Fd], socket))
        {
            _byFd[socket.Fd] = null;
            SocketCount--;
        }
    }

    /// <summary>Takes a socket out of the epoll set without closing it.</summary>
    internal void Forget(LoopSocket socket)
    {
        _ = Kernel.PollerControl(_poller, Libc.EPOLL_CTL_DEL, socket.Fd, 0, 0);
        Unregister(socket);
    }

    public void Arm(LoopTimer timer, long deadlineMs) => _timers.Arm(timer, deadlineMs);

    public void ArmAfter(LoopTimer timer, long afterMs) => _timers.Arm(timer, PresentMs + afterMs);

    public void Cancel(LoopTimer timer) => _timers.Cancel(timer);
}
