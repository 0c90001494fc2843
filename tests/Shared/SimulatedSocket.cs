using Tulle.Base;
using Tulle.Native;

namespace Tulle.Testing;

/// <summary>One end of a simulated connection: a window of bytes that arrived, bytes on their way, and what epoll would say.</summary>
public sealed class SimulatedSocket(int windowBytes)
{
    private readonly byte[] _way = new byte[windowBytes];
    private int _wayLength, _arrived, _error;
    private bool _finOnWay, _wasFull;

    internal bool ResetsOnClose { get; set; }

    internal bool IsListener { get; init; }

    internal ulong Key { get; set; }

    internal int Pending { get; set; }

    public SimulatedSocket? Peer { get; internal set; }

    /// <summary>The other end said it will send no more, and that arrived.</summary>
    public bool IsEnded { get; private set; }

    public bool IsClosed { get; private set; }

    public bool IsReset => _error != 0;

    internal int Readiness => (_arrived > 0 || IsEnded ? Libc.EPOLLIN : 0) | (Peer is { } p && p._wayLength < windowBytes ? Libc.EPOLLOUT : 0) | (IsEnded ? Libc.EPOLLRDHUP : 0) | (_error != 0 ? Libc.EPOLLERR | Libc.EPOLLHUP : 0);

    /// <summary>So many of the bytes on their way become readable.</summary>
    internal void Arrive(int bytesMax)
    {
        var count = Math.Min(bytesMax, _wayLength - _arrived);
        if (count > 0)
        {
            _arrived += count;
            Pending |= Libc.EPOLLIN;
        }
        if (_finOnWay && _arrived == _wayLength && !IsEnded)
        {
            IsEnded = true;
            Pending |= Libc.EPOLLIN | Libc.EPOLLRDHUP;
        }
    }

    /// <summary>Everything on its way arrives: for the ends that tests play.</summary>
    public int ReadAll(Span<byte> buffer)
    {
        Arrive(int.MaxValue);
        return Read(buffer);
    }

    internal int Read(Span<byte> buffer)
    {
        // Linux hands out what came before a reset first.
        if (_arrived == 0)
            return _error != 0 ? -_error : IsEnded ? 0 : -Errno.EAGAIN;
        var count = Math.Min(buffer.Length, _arrived);
        _way.AsSpan(0, count).CopyTo(buffer);
        _way.AsSpan(count, _wayLength - count).CopyTo(_way);
        _arrived -= count;
        _wayLength -= count;
        // Room again: the writer hears of it once.
        if (_wasFull && Peer is not null)
        {
            _wasFull = false;
            Peer.Pending |= Libc.EPOLLOUT;
        }
        return count;
    }

    /// <summary>Bytes that went on their way: what fits the window, like a kernel whose peer reads slowly.</summary>
    public int Write(ReadOnlySpan<byte> data)
    {
        if (_error != 0)
            return -_error;
        if (Peer is not { IsClosed: false } peer)
            return -Errno.EPIPE;
        var count = Math.Min(data.Length, windowBytes - peer._wayLength);
        data[..count].CopyTo(peer._way.AsSpan(peer._wayLength));
        peer._wayLength += count;
        if (count < data.Length)
            peer._wasFull = true;
        return count == 0 && data.Length > 0 ? -Errno.EAGAIN : count;
    }

    public void ShutdownWrite()
    {
        if (Peer is not null)
            Peer._finOnWay = true;
    }

    public void Close()
    {
        IsClosed = true;
        if (Peer is not { } peer)
            return;
        // Unread bytes make a close a reset, as in Linux.
        if (_wayLength > 0 || ResetsOnClose)
            peer.Fail(Errno.ECONNRESET);
        else
            peer._finOnWay = true;
        peer.Pending |= Libc.EPOLLHUP;
    }

    public void Reset()
    {
        IsClosed = true;
        Peer?.Fail(Errno.ECONNRESET);
    }

    internal void Fail(int errno)
    {
        Arrive(int.MaxValue);
        _error = errno;
        Pending |= Libc.EPOLLERR | Libc.EPOLLHUP | Libc.EPOLLIN;
    }

    internal int Error => _error;
}
