using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Tulle.Base;

namespace Tulle.Native;

/// <summary>The system calls of the data plane. Each returns its result, or the negated errno.</summary>
public static partial class Libc
{
    public const int AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10;
    public const int EPOLLIN = 1, EPOLLOUT = 4, EPOLLERR = 8, EPOLLHUP = 16, EPOLLRDHUP = 0x2000, EPOLLET = 1 << 31;
    public const int EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2, EPOLL_CTL_MOD = 3;
    public const int SHUT_RD = 0, SHUT_WR = 1;
    private const int SOCK_STREAM = 1, SOCK_NONBLOCK = 0x800, SOCK_CLOEXEC = 0x80000;
    private const int SOL_SOCKET = 1, SO_REUSEADDR = 2, SO_ERROR = 4, SO_REUSEPORT = 15, SO_KEEPALIVE = 9, SO_LINGER = 13, SO_MARK = 36;
    private const int IPPROTO_TCP = 6, TCP_NODELAY = 1, TCP_KEEPIDLE = 4, TCP_KEEPINTVL = 5, TCP_KEEPCNT = 6, IPPROTO_IPV6 = 41, IPV6_V6ONLY = 26, SOL_IP = 0, SO_ORIGINAL_DST = 80, IP6T_SO_ORIGINAL_DST = 80;
    private const int IP_TRANSPARENT = 19, IP_BIND_ADDRESS_NO_PORT = 24, MSG_NOSIGNAL = 0x4000, MSG_DONTWAIT = 0x40;
    private const int SPLICE_F_MOVE = 1, SPLICE_F_NONBLOCK = 2, F_SETPIPE_SZ = 1031, F_GETPIPE_SZ = 1032, F_DUPFD_CLOEXEC = 1030, O_NONBLOCK = 0x800, O_CLOEXEC = 0x80000;

    /// <summary>One report of epoll.</summary>
    public readonly record struct EpollEvent(int Events, ulong Data);

    /// <summary>
    /// Bytes of the kernel's struct epoll_event and where its data begins: packed on x86-64 (include/uapi/linux/eventpoll.h), natural on everything else.
    /// </summary>
    public static (int Size, int DataAt) EpollLayout(Architecture architecture) => architecture == Architecture.X64 ? (12, 4) : (16, 8);

    private static readonly int s_epollSize = EpollLayout(RuntimeInformation.ProcessArchitecture).Size;
    private static readonly int s_epollDataAt = EpollLayout(RuntimeInformation.ProcessArchitecture).DataAt;

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_ctl(int epoll, int op, int fd, Span<byte> ev);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_wait(int epoll, Span<byte> events, int max, int timeoutMs);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int eventfd(uint initial, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint read(int fd, Span<byte> buffer, nint count);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint write(int fd, ReadOnlySpan<byte> buffer, nint count);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint recv(int fd, Span<byte> buffer, nint count, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint send(int fd, ReadOnlySpan<byte> buffer, nint count, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int close(int fd);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int domain, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int bind(int fd, ReadOnlySpan<byte> address, int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int listen(int fd, int backlog);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int accept4(int fd, Span<byte> address, ref int length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int connect(int fd, ReadOnlySpan<byte> address, int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int shutdown(int fd, int how);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setsockopt(int fd, int level, int name, ReadOnlySpan<byte> value, int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getsockopt(int fd, int level, int name, Span<byte> value, ref int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getsockname(int fd, Span<byte> address, ref int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getpeername(int fd, Span<byte> address, ref int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int pipe2(Span<int> fds, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(int fd, int command, nint argument);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint splice(int fdIn, nint offsetIn, int fdOut, nint offsetOut, nint length, int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, int mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int pid, int signal);

    [LibraryImport("libc")]
    private static partial uint geteuid();

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int chown(string path, uint owner, uint group);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setrlimit(int resource, ReadOnlySpan<ulong> limits);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getrlimit(int resource, Span<ulong> limits);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int prctl(int option, nint a, nint b, nint c, nint d);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setns(int fd, int type);

    /// <summary>Moves the calling thread into a network namespace. The thread should be one that does nothing else.</summary>
    public static int EnterNetworkNamespace(string path)
    {
        var fd = Result(open(path, O_CLOEXEC, 0));
        if (fd < 0)
            return fd;
        var result = Result(setns(fd, 0x40000000));
        _ = close(fd);
        return result;
    }

    private static int Result(nint result) => result >= 0 ? (int)result : -Marshal.GetLastPInvokeError();

    public static int EpollCreate() => Result(epoll_create1(O_CLOEXEC));

    public static int EpollControl(int epoll, int operation, int fd, int events, ulong data)
    {
        Span<byte> raw = stackalloc byte[16];
        BitConverter.TryWriteBytes(raw, events);
        BitConverter.TryWriteBytes(raw[s_epollDataAt..], data);
        return Result(epoll_ctl(epoll, operation, fd, raw));
    }

    /// <summary>Waits for events and leaves them in the buffer as the kernel has them; <see cref="EpollEventAt"/> reads one.</summary>
    public static int EpollWait(int epoll, Span<byte> buffer, int eventsMax, int timeoutMs) =>
        Result(epoll_wait(epoll, buffer, Math.Min(eventsMax, buffer.Length / s_epollSize), timeoutMs));

    public static EpollEvent EpollEventAt(ReadOnlySpan<byte> buffer, int index)
    {
        var at = buffer.Slice(index * s_epollSize, s_epollSize);
        return new EpollEvent(MemoryMarshal.Read<int>(at), MemoryMarshal.Read<ulong>(at[s_epollDataAt..]));
    }

    public static int EventFd() => Result(eventfd(0, O_NONBLOCK | O_CLOEXEC));

    public static int Read(int fd, Span<byte> buffer) => Result(read(fd, buffer, buffer.Length));

    public static int Write(int fd, ReadOnlySpan<byte> buffer) => Result(write(fd, buffer, buffer.Length));

    public static int Receive(int fd, Span<byte> buffer) => Result(recv(fd, buffer, buffer.Length, MSG_DONTWAIT));

    public static int Send(int fd, ReadOnlySpan<byte> buffer) => Result(send(fd, buffer, buffer.Length, MSG_NOSIGNAL | MSG_DONTWAIT));

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int unlink(string path);

    public static int Unlink(string path) => Result(unlink(path));

    /// <summary>Another descriptor of the same open file, closed on exec.</summary>
    public static int Duplicate(int fd) => Result(fcntl(fd, F_DUPFD_CLOEXEC, 0));

    /// <summary>The path is a Unix socket: of all files only those answer ENXIO to open(2).</summary>
    public static bool IsSocketFile(string path)
    {
        var fd = Result(open(path, O_NONBLOCK | O_CLOEXEC, 0));
        if (fd >= 0)
            _ = close(fd);
        return fd == -6;
    }

    public static int Close(int fd) => Result(close(fd));

    public static int Shutdown(int fd, int how) => Result(shutdown(fd, how));

    public static int Listen(int fd, int backlog) => Result(listen(fd, backlog));

    public static int OpenAppend(string path) => Result(open(path, 0x441 | O_CLOEXEC, 0x1B4));

    public static int Kill(int pid, int signal) => Result(kill(pid, signal));

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int execvp(string file, string?[] arguments);

    /// <summary>Replaces this process by another program with the same environment; returns a negated errno when that fails.</summary>
    public static int Execute(string file, IReadOnlyList<string> arguments) => execvp(file, [.. arguments, null]) < 0 ? -Marshal.GetLastPInvokeError() : 0;

    public static bool IsRoot => geteuid() == 0;

    public static int ChangeOwner(string path, int user, int group) => Result(chown(path, (uint)user, (uint)group));

    /// <summary>Ends this process with the given signal when its parent ends (PR_SET_PDEATHSIG).</summary>
    public static int DieWithParent(int signal) => Result(prctl(1, signal, 0, 0, 0));

    /// <summary>Raises the limit of open files to the hard limit: a proxy is bounded by its own limits, not by a shell's default of 1,024.</summary>
    public static void RaiseFileLimit()
    {
        Span<ulong> limits = stackalloc ulong[2];
        if (getrlimit(7, limits) == 0 && limits[0] < limits[1])
        {
            limits[0] = limits[1];
            setrlimit(7, limits);
        }
    }

    /// <summary>RLIMIT_NOFILE: numbers of descriptors are below it.</summary>
    public static ulong FileLimit()
    {
        Span<ulong> limits = stackalloc ulong[2];
        return getrlimit(7, limits) == 0 ? limits[0] : 1024;
    }

    public static int StreamSocket(AddressKind kind) =>
        Result(socket(kind switch { AddressKind.V4 => AF_INET, AddressKind.V6 => AF_INET6, _ => AF_UNIX }, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));

    public static int Bind(int fd, in Address address)
    {
        Span<byte> raw = stackalloc byte[112];
        return Result(bind(fd, raw, Encode(address, raw)));
    }

    public static int Connect(int fd, in Address address)
    {
        Span<byte> raw = stackalloc byte[112];
        return Result(connect(fd, raw, Encode(address, raw)));
    }

    public static int Accept(int fd, out Address remote)
    {
        Span<byte> raw = stackalloc byte[112];
        var length = raw.Length;
        var result = Result(accept4(fd, raw, ref length, SOCK_NONBLOCK | SOCK_CLOEXEC));
        remote = result >= 0 ? Decode(raw[..Math.Min(length, raw.Length)]) : default;
        return result;
    }

    public static Address LocalAddress(int fd)
    {
        Span<byte> raw = stackalloc byte[112];
        var length = raw.Length;
        return getsockname(fd, raw, ref length) == 0 ? Decode(raw[..Math.Min(length, raw.Length)]) : default;
    }

    public static Address RemoteAddress(int fd)
    {
        Span<byte> raw = stackalloc byte[112];
        var length = raw.Length;
        return getpeername(fd, raw, ref length) == 0 ? Decode(raw[..Math.Min(length, raw.Length)]) : default;
    }

    /// <summary>Where a redirected connection was going (netfilter REDIRECT). False when it was not redirected.</summary>
    public static bool TryOriginalDestination(int fd, AddressKind kind, out Address address)
    {
        Span<byte> raw = stackalloc byte[28];
        var length = raw.Length;
        var ok = kind == AddressKind.V6
            ? getsockopt(fd, IPPROTO_IPV6, IP6T_SO_ORIGINAL_DST, raw, ref length) == 0
            : getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, raw, ref length) == 0;
        // A dual-stack socket carries IPv4 peers too; ask the other table then.
        if (!ok && kind == AddressKind.V6)
        {
            length = raw.Length;
            ok = getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, raw, ref length) == 0;
        }
        address = ok ? Decode(raw[..length]) : default;
        return ok && address.IsIp;
    }

    public static int SocketError(int fd)
    {
        Span<byte> raw = stackalloc byte[4];
        var length = 4;
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, raw, ref length) == 0 ? MemoryMarshal.Read<int>(raw) : Marshal.GetLastPInvokeError();
    }

    public static int SetNoDelay(int fd) => SetInt(fd, IPPROTO_TCP, TCP_NODELAY, 1);

    public static int SetReuseAddress(int fd) => SetInt(fd, SOL_SOCKET, SO_REUSEADDR, 1);

    public static int SetReusePort(int fd) => SetInt(fd, SOL_SOCKET, SO_REUSEPORT, 1);

    public static int SetKeepAlive(int fd) => SetInt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);

    /// <summary>Keep-alive with these numbers; 0 leaves the kernel's (tcp(7)). The first error, or 0.</summary>
    public static int SetKeepAlive(int fd, int probes, int seconds, int intervalSeconds)
    {
        var result = SetKeepAlive(fd);
        if (result >= 0 && probes > 0)
            result = SetInt(fd, IPPROTO_TCP, TCP_KEEPCNT, probes);
        if (result >= 0 && seconds > 0)
            result = SetInt(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
        if (result >= 0 && intervalSeconds > 0)
            result = SetInt(fd, IPPROTO_TCP, TCP_KEEPINTVL, intervalSeconds);
        return result;
    }

    /// <summary>Whether keep-alive is on, its probes, seconds and seconds between probes.</summary>
    public static (bool IsOn, int Probes, int Seconds, int IntervalSeconds) KeepAliveOf(int fd) =>
        (GetInt(fd, SOL_SOCKET, SO_KEEPALIVE) > 0, GetInt(fd, IPPROTO_TCP, TCP_KEEPCNT), GetInt(fd, IPPROTO_TCP, TCP_KEEPIDLE), GetInt(fd, IPPROTO_TCP, TCP_KEEPINTVL));

    private static int GetInt(int fd, int level, int name)
    {
        Span<byte> raw = stackalloc byte[4];
        var length = raw.Length;
        return getsockopt(fd, level, name, raw, ref length) == 0 ? MemoryMarshal.Read<int>(raw) : -1;
    }

    public static int SetDualStack(int fd, bool dual) => SetInt(fd, IPPROTO_IPV6, IPV6_V6ONLY, dual ? 0 : 1);

    public static int SetMark(int fd, int mark) => SetInt(fd, SOL_SOCKET, SO_MARK, mark);

    public static int SetTransparent(int fd) => SetInt(fd, SOL_IP, IP_TRANSPARENT, 1);

    public static int SetBindAddressNoPort(int fd) => SetInt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);

    /// <summary>Makes the next close send a reset instead of a FIN.</summary>
    public static int SetResetOnClose(int fd)
    {
        ReadOnlySpan<int> linger = [1, 0];
        return Result(setsockopt(fd, SOL_SOCKET, SO_LINGER, MemoryMarshal.AsBytes(linger), 8));
    }

    private static int SetInt(int fd, int level, int name, int value) =>
        Result(setsockopt(fd, level, name, MemoryMarshal.AsBytes(new ReadOnlySpan<int>(in value)), 4));

    /// <summary>A non-blocking pipe for splice(2); its capacity, which is less than asked for once the user's pipes have used up their pages, or a negated errno.</summary>
    public static int Pipe(int bytes, out int readEnd, out int writeEnd)
    {
        Span<int> fds = stackalloc int[2];
        var result = Result(pipe2(fds, O_NONBLOCK | O_CLOEXEC));
        readEnd = fds[0];
        writeEnd = fds[1];
        if (result < 0)
            return result;
        var capacity = Result(fcntl(readEnd, F_SETPIPE_SZ, bytes));
        return capacity > 0 ? capacity : Math.Max(0, Result(fcntl(readEnd, F_GETPIPE_SZ, 0)));
    }

    public static int Splice(int from, int to, int count) => Result(splice(from, 0, to, 0, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK));

    private static int Encode(in Address address, Span<byte> raw)
    {
        switch (address.Kind)
        {
            case AddressKind.V4:
                BitConverter.TryWriteBytes(raw, (short)AF_INET);
                BinaryPrimitives.WriteUInt16BigEndian(raw[2..], address.Port);
                address.CopyBytes(raw[4..]);
                raw.Slice(8, 8).Clear();
                return 16;
            case AddressKind.V6:
                raw[..28].Clear();
                BitConverter.TryWriteBytes(raw, (short)AF_INET6);
                BinaryPrimitives.WriteUInt16BigEndian(raw[2..], address.Port);
                address.CopyBytes(raw[8..]);
                return 28;
            default:
                raw.Clear();
                BitConverter.TryWriteBytes(raw, (short)AF_UNIX);
                // sockaddr_un has 108 bytes for the path with its final zero (unix(7)); a longer one gets length 0, which bind and connect refuse (EINVAL).
                if (Encoding.UTF8.GetByteCount(address.Path ?? "") > 107)
                    return 0;
                var length = Encoding.UTF8.GetBytes(address.Path, raw[2..]);
                if (raw[2] == (byte)'@')
                {
                    raw[2] = 0;
                    return 2 + length;
                }
                return 3 + length;
        }
    }

    private static Address Decode(ReadOnlySpan<byte> raw)
    {
        if (raw.Length < 2)
            return default;
        var family = BitConverter.ToInt16(raw);
        if (family == AF_INET && raw.Length >= 8)
            return Address.FromBytes(raw.Slice(4, 4), BinaryPrimitives.ReadUInt16BigEndian(raw[2..]));
        if (family == AF_INET6 && raw.Length >= 24)
            return Address.FromBytes(raw.Slice(8, 16), BinaryPrimitives.ReadUInt16BigEndian(raw[2..]));
        return family == AF_UNIX ? Address.Pipe("") : default;
    }
}
