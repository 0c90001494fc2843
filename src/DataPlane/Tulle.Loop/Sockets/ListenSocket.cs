using Tulle.Base;
using Tulle.Native;

namespace Tulle.Loop;

/// <summary>A listening socket of one loop (SO_REUSEPORT: the kernel spreads connections over the loops).</summary>
public sealed class ListenSocket : ISocketOwner
{
    /// <summary>Connections taken in one wake-up, so that a flood cannot starve those already open. Source: Kestrel's direct-TLS pump takes 64.</summary>
    private const int AcceptsPerWake = 64;

    /// <summary>Pause after "too many open files": the queue stays, other connections end meanwhile.</summary>
    private const int ExhaustedPauseMs = 100;

    private readonly EventLoop _loop;
    private readonly Action<int, Address> _onAccept;
    private readonly LoopSocket _socket;
    private readonly ActionTimer _retry;

    private ListenSocket(EventLoop loop, int fd, Action<int, Address> onAccept)
    {
        _loop = loop;
        _onAccept = onAccept;
        _socket = new LoopSocket(loop, fd) { Owner = this };
        _retry = new ActionTimer(() => OnReady(_socket));
    }

    public Address Local { get; private set; }

    /// <summary>Accepts that failed for lack of descriptors or memory; the listener looks again after 100 ms.</summary>
    public long ExhaustedCount { get; private set; }

    /// <summary>Opens a bound, listening descriptor; 0 or a negated errno. Done before any loop sees it, so that errors reach the configuration's author.</summary>
    public static int Open(in Address address, int backlog, bool transparent, out int fd)
    {
        var result = Bind(address, transparent, out fd);
        if (result >= 0)
            result = Libc.Listen(fd, backlog);
        if (result < 0 && fd >= 0)
        {
            _ = Libc.Close(fd);
            fd = -1;
        }
        return result;
    }

    /// <summary>Whether an address can be had: bound, never listened on, so that no connection gets lost there. 0 or a negated errno.</summary>
    public static int Probe(in Address address, bool transparent)
    {
        var result = Bind(address, transparent, out var fd);
        if (fd >= 0)
            _ = Libc.Close(fd);
        if (result >= 0)
            RemoveFile(address);
        return Math.Min(0, result);
    }

    private static int Bind(in Address address, bool transparent, out int fd)
    {
        fd = Libc.StreamSocket(address.Kind);
        if (fd < 0)
            return fd;
        if (!address.IsIp && IsLeftOver(address))
            RemoveFile(address);
        _ = Libc.SetReuseAddress(fd);
        if (address.IsIp)
            _ = Libc.SetReusePort(fd);
        if (address.Kind == AddressKind.V6)
            _ = Libc.SetDualStack(fd, address.IsAny);
        if (transparent)
            _ = Libc.SetTransparent(fd);
        return Libc.Bind(fd, address);
    }

    /// <summary>Another descriptor of the same queue, for another loop; 0 or a negated errno.</summary>
    public static int Share(int fd, out int other)
    {
        other = Libc.Duplicate(fd);
        return Math.Min(0, other);
    }

    /// <summary>Closes a descriptor that no loop was given.</summary>
    public static void CloseUnused(int fd) => _ = Libc.Close(fd);

    /// <summary>Removes the file of a Unix socket that nobody listens on any more: closing leaves it, and the next bind would fail.</summary>
    public static void RemoveFile(in Address address)
    {
        if (address.Kind == AddressKind.Pipe && address.Path is { Length: > 0 } path && path[0] != '@')
            _ = Libc.Unlink(path);
    }

    /// <summary>The file is there and its process is not: connecting is refused. A file that is no socket, or is served, is left alone.</summary>
    private static bool IsLeftOver(in Address address)
    {
        var probe = Libc.StreamSocket(address.Kind);
        if (probe < 0)
            return false;
        var result = Libc.Connect(probe, address);
        _ = Libc.Close(probe);
        return result == -Errno.ECONNREFUSED && Libc.IsSocketFile(address.Path ?? "");
    }

    /// <summary>Starts to accept on a loop (loop thread).</summary>
    /// <exception cref="InvalidOperationException">The kernel does not watch the descriptor; it is closed.</exception>
    public static ListenSocket Start(EventLoop loop, int fd, Action<int, Address> onAccept)
    {
        var listen = new ListenSocket(loop, fd, onAccept) { Local = loop.Kernel.LocalAddress(fd) };
        var result = listen._socket.Start(assumeWritable: false);
        if (result >= 0)
            return listen;
        listen.Close();
        throw new InvalidOperationException($"descriptor {fd} cannot be watched for connections: {Errno.Text(-result)}");
    }

    public void OnReady(LoopSocket socket)
    {
        for (var i = 0; i < AcceptsPerWake; i++)
        {
            if (!socket.IsOpen)
                return;
            var fd = _loop.Kernel.Accept(socket.Fd, out var remote);
            if (fd >= 0)
            {
                HandOver(fd, remote);
                continue;
            }
            if (fd == -Errno.EAGAIN)
                return;
            if (IsOfOneConnection(-fd))
                continue;
            // Out of descriptors or of memory, or something new: the queue stays and its edge is used up, so look again in a while.
            ExhaustedCount++;
            _loop.ArmAfter(_retry, ExhaustedPauseMs);
            return;
        }
        // More may be waiting: the edge is used up, so come back after the other events of this turn.
        socket.RaiseLater();
    }

    /// <summary>Errors of accept(2) that belong to the connection that was about to be taken (the manual page names them), not to the listener.</summary>
    private static bool IsOfOneConnection(int errno) => errno is Errno.EINTR or Errno.ECONNABORTED or Errno.EPERM or Errno.EPROTO or Errno.ENOPROTOOPT
        or Errno.EOPNOTSUPP or Errno.ENETDOWN or Errno.ENETUNREACH or Errno.EHOSTDOWN or Errno.EHOSTUNREACH or Errno.ETIMEDOUT or Errno.ECONNRESET;

    /// <summary>Whoever takes connections closes the one whose start throws; those behind it are taken all the same.</summary>
    private void HandOver(int fd, in Address remote)
    {
        try
        {
            _onAccept(fd, remote);
        }
        catch (Exception error)
        {
            _loop.Report("the start of an accepted connection", error);
        }
    }

    /// <summary>Whatever happened, the listener goes on.</summary>
    public void OnFault(LoopSocket socket) => _loop.ArmAfter(_retry, ExhaustedPauseMs);

    public void Close()
    {
        _loop.Cancel(_retry);
        _socket.Close();
    }
}
