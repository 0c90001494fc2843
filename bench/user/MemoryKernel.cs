using Tulle.Base;
using Tulle.Loop;
using Tulle.Native;

namespace Tulle.Bench;

/// <summary>
/// A kernel in memory that costs next to nothing: clients that send the same request again as soon as they have their answer, upstreams that answer every
/// request. A message is whole when a write ends as whole messages do; every write is taken at once.
/// </summary>
internal sealed class MemoryKernel(int clients, byte[] request, byte[] requestEnd, byte[] answer, byte[] answerEnd) : Kernel
{
    private const int Listener = 10, FirstFd = 11;
    private readonly ulong[] _keys = new ulong[4096];
    private readonly bool[] _isClient = new bool[4096], _hasData = new bool[4096];
    private readonly int[] _ready = new int[4096];
    private long _turns;
    private int _readyCount, _accepted, _next = FirstFd;

    public static int ListenFd => Listener;

    public long Answered { get; private set; }

    /// <summary>Receive, Send and whatever else a request makes the proxy call.</summary>
    public long Calls { get; private set; }

    /// <summary>A turn serves up to 64 requests, which take about 80 µs.</summary>
    public override long NowMs => 1_000_000 + (_turns >> 4);

    public override long WallMicros => 1_700_000_000_000_000;

    public override int PollerCreate() => 1;

    public override int PollerControl(int poller, int operation, int fd, int events, ulong key)
    {
        Calls++;
        _keys[fd] = key;
        // A connection that opens is ready to be written; a client has its first request there.
        if (fd == Listener || fd >= FirstFd)
            _ready[_readyCount++] = fd;
        return 0;
    }

    public override int PollerWait(int poller, Span<KernelEvent> events, int timeoutMs)
    {
        _turns++;
        var count = Math.Min(_readyCount, events.Length);
        for (var i = 0; i < count; i++)
            events[i] = new KernelEvent(_keys[_ready[i]], Libc.EPOLLOUT | (_hasData[_ready[i]] || _ready[i] < FirstFd ? Libc.EPOLLIN : 0));
        _ready.AsSpan(count, _readyCount - count).CopyTo(_ready);
        _readyCount -= count;
        return count;
    }

    public override int WakeCreate() => 2;

    public override void WakeRaise(int fd)
    {
        _keys[fd] = ulong.MaxValue;
        _ready[_readyCount++] = fd;
    }

    public override void WakeClear(int fd)
    {
    }

    public override int Receive(int fd, Span<byte> buffer)
    {
        Calls++;
        if (!_hasData[fd])
            return -Errno.EAGAIN;
        _hasData[fd] = false;
        var message = _isClient[fd] ? request : answer;
        message.CopyTo(buffer);
        return message.Length;
    }

    public override int Send(int fd, ReadOnlySpan<byte> buffer)
    {
        Calls++;
        var isClient = _isClient[fd];
        if (buffer.EndsWith(isClient ? answerEnd : requestEnd))
        {
            Answered += isClient ? 1 : 0;
            _hasData[fd] = true;
            _ready[_readyCount++] = fd;
        }
        return buffer.Length;
    }

    public override int Accept(int fd, out Address remote)
    {
        remote = Address.V4(0x0A000001, 4000);
        if (_accepted == clients)
            return -Errno.EAGAIN;
        _accepted++;
        (_isClient[_next], _hasData[_next]) = (true, true);
        return _next++;
    }

    public override int Connect(in Address remote, in Address? source, int mark) => _next++;

    public override int SocketError(int fd) => 0;

    public override int Shutdown(int fd, int how) => 0;

    public override int ResetOnClose(int fd) => 0;

    public override int Close(int fd) => throw new InvalidOperationException($"the proxy closed descriptor {fd}: the case is not what it should be");

    public override Address LocalAddress(int fd) => Address.V4(0x0A000002, 8080);
}
