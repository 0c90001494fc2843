using System.Diagnostics;
using Tulle.Base;
using Tulle.Native;

namespace Tulle.Loop;

/// <summary>One readiness report: which descriptor and what happened.</summary>
public readonly record struct KernelEvent(ulong Key, int Events);

/// <summary>
/// The system calls that a loop makes, and its clock. Production uses <see cref="LinuxKernel"/>; tests use a simulated one that answers with short
/// writes, EINTR, hang-ups and reused descriptors. Results are counts or negated errno. A virtual call costs a hundredth of the call behind it.
/// </summary>
public abstract class Kernel
{
    /// <summary>Monotonic milliseconds.</summary>
    public abstract long NowMs { get; }

    /// <summary>Microseconds since 1970, for logs.</summary>
    public abstract long WallMicros { get; }

    public abstract int PollerCreate();

    public abstract int PollerControl(int poller, int operation, int fd, int events, ulong key);

    /// <summary>Waits for events, at most so long; returns how many were stored.</summary>
    public abstract int PollerWait(int poller, Span<KernelEvent> events, int timeoutMs);

    public abstract int WakeCreate();

    public abstract void WakeRaise(int fd);

    public abstract void WakeClear(int fd);

    public abstract int Receive(int fd, Span<byte> buffer);

    public abstract int Send(int fd, ReadOnlySpan<byte> buffer);

    public abstract int Accept(int fd, out Address remote);

    /// <summary>A non-blocking stream socket that began to connect; −EINPROGRESS never shows, it counts as success.</summary>
    public abstract int Connect(in Address remote, in Address? source, int mark);

    /// <summary>Sends keep-alive probes on an IP socket; 0 leaves the kernel's number.</summary>
    public virtual int KeepAlive(int fd, int probes, int seconds, int intervalSeconds) => 0;

    public abstract int SocketError(int fd);

    public abstract int Shutdown(int fd, int how);

    public abstract int Close(int fd);

    /// <summary>Makes the next close send a reset.</summary>
    public abstract int ResetOnClose(int fd);

    public abstract Address LocalAddress(int fd);

    /// <summary>Descriptors are the operating system's, so that it can move bytes between them itself.</summary>
    public virtual bool CanSplice => true;
}

/// <summary>Linux through Tulle.Native.</summary>
public sealed class LinuxKernel : Kernel
{
    private static readonly CorrectedClock s_wall = new(
        static () => Stopwatch.GetTimestamp() / (Stopwatch.Frequency / 1_000_000), static () => (TimeProvider.System.GetUtcNow().Ticks - DateTime.UnixEpoch.Ticks) / 10);

    private readonly byte[] _raw = GC.AllocateArray<byte>(256 * 16, pinned: true); // 16 bytes an event at the most, 12 on x86-64.

    public override long NowMs => Environment.TickCount64;

    public override long WallMicros => s_wall.Micros;

    public override int PollerCreate() => Libc.EpollCreate();

    public override int PollerControl(int poller, int operation, int fd, int events, ulong key) => Libc.EpollControl(poller, operation, fd, events, key);

    public override int PollerWait(int poller, Span<KernelEvent> events, int timeoutMs)
    {
        var count = Libc.EpollWait(poller, _raw, Math.Min(256, events.Length), timeoutMs);
        for (var i = 0; i < count; i++)
        {
            var happened = Libc.EpollEventAt(_raw, i);
            events[i] = new KernelEvent(happened.Data, happened.Events);
        }
        return count;
    }

    public override int WakeCreate() => Libc.EventFd();

    public override void WakeRaise(int fd)
    {
        ReadOnlySpan<byte> one = [1, 0, 0, 0, 0, 0, 0, 0];
        _ = Libc.Write(fd, one);
    }

    public override void WakeClear(int fd)
    {
        Span<byte> counter = stackalloc byte[8];
        _ = Libc.Read(fd, counter);
    }

    public override int Receive(int fd, Span<byte> buffer) => Libc.Receive(fd, buffer);

    public override int Send(int fd, ReadOnlySpan<byte> buffer) => Libc.Send(fd, buffer);

    public override int Accept(int fd, out Address remote)
    {
        var accepted = Libc.Accept(fd, out remote);
        if (accepted >= Descriptors.ClientCeiling)
        {
            _ = Libc.Close(accepted);
            accepted = -Errno.EMFILE;
        }
        if (accepted is -Errno.EMFILE or -Errno.ENFILE)
            Descriptors.CountRefused();
        if (accepted >= 0 && remote.IsIp)
            _ = Libc.SetNoDelay(accepted);
        return accepted;
    }

    public override int Connect(in Address remote, in Address? source, int mark)
    {
        var fd = Libc.StreamSocket(remote.Kind);
        if (fd >= Descriptors.Ceiling)
        {
            _ = Libc.Close(fd);
            fd = -Errno.EMFILE;
        }
        if (fd < 0)
        {
            if (fd is -Errno.EMFILE or -Errno.ENFILE)
                Descriptors.CountRefused();
            return fd;
        }
        if (remote.IsIp)
            _ = Libc.SetNoDelay(fd);
        // Without its mark an intercepted connection would come back to this proxy for ever.
        if (mark != 0 && Libc.SetMark(fd, mark) is < 0 and var refused)
        {
            _ = Libc.Close(fd);
            return refused;
        }
        if (source is { } from)
        {
            if (from.Port == 0)
                _ = Libc.SetBindAddressNoPort(fd);
            var bound = Libc.Bind(fd, from);
            if (bound < 0)
            {
                _ = Libc.Close(fd);
                return bound;
            }
        }
        var result = Libc.Connect(fd, remote);
        // EAGAIN is what a Unix socket with a full backlog says: nothing is under way then (connect(2)). EINTR goes on like EINPROGRESS.
        if (result >= 0 || result is -Errno.EINPROGRESS or -Errno.EINTR)
            return fd;
        _ = Libc.Close(fd);
        return result;
    }

    public override int KeepAlive(int fd, int probes, int seconds, int intervalSeconds) => Libc.SetKeepAlive(fd, probes, seconds, intervalSeconds);

    public override int SocketError(int fd) => Libc.SocketError(fd);

    public override int Shutdown(int fd, int how) => Libc.Shutdown(fd, how);

    public override int Close(int fd) => Libc.Close(fd);

    public override int ResetOnClose(int fd) => Libc.SetResetOnClose(fd);

    public override Address LocalAddress(int fd) => Libc.LocalAddress(fd);
}
