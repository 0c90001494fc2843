using Tulle.Base;
using Tulle.Native;

namespace Tulle.Loop;

/// <summary>A byte stream over a socket, plain or encrypted. All calls return at once: a count, 0 at the end, or a negated errno.</summary>
public abstract class Transport(LoopSocket socket)
{
    private byte[]? _early;
    private int _earlyStart, _earlyEnd;

    public LoopSocket Socket { get; } = socket;

    public EventLoop Loop => Socket.Loop;

    /// <summary>Facts of the TLS session; null on a plain connection.</summary>
    public TlsPeer? Peer { get; protected set; }

    /// <summary>Whether more may come from the peer, and if not, whether what came is complete. Set by <see cref="Read"/>.</summary>
    public StreamEnd End { get; protected set; }

    /// <summary>Something may be read without waiting.</summary>
    public virtual bool CanRead => _earlyEnd > _earlyStart || Socket.IsReadable;

    /// <summary>Bytes were accepted by <see cref="Write"/> and not yet by the kernel.</summary>
    public virtual bool HasUnsent => false;

    /// <summary>Bytes that were read while the protocol was recognised; they come first. The transport owns the rented array from now on.</summary>
    public void Preload(byte[] buffer, int start, int end)
    {
        _early = buffer;
        _earlyStart = start;
        _earlyEnd = end;
    }

    /// <summary>Reads from the early bytes, then from the socket.</summary>
    protected int ReadRaw(Span<byte> target)
    {
        if (_early is null)
            return Socket.Read(target);
        var count = Math.Min(target.Length, _earlyEnd - _earlyStart);
        _early.AsSpan(_earlyStart, count).CopyTo(target);
        _earlyStart += count;
        if (_earlyStart == _earlyEnd)
            DropEarly();
        return count;
    }

    private void DropEarly()
    {
        if (_early is not null)
            Loop.Buffers.Return(_early);
        _early = null;
        _earlyStart = _earlyEnd = 0;
    }

    public abstract int Read(Span<byte> target);

    public abstract int Write(ReadOnlySpan<byte> source);

    /// <summary>Sends what is unsent; 0 when all is with the kernel.</summary>
    public virtual int Flush() => 0;

    /// <summary>Ends the sending direction; the other one stays open. Called again while <see cref="HasUnsent"/> it goes on where it was.</summary>
    /// <param name="isComplete">False when what was sent ends because its source was cut off: an encrypted stream then ends without close_notify.</param>
    public virtual int ShutdownWrite(bool isComplete = true) => Loop.Kernel.Shutdown(Socket.Fd, Libc.SHUT_WR);

    /// <summary>Ends both directions and gives every buffer back.</summary>
    public virtual void Close()
    {
        DropEarly();
        Socket.Close();
    }

    /// <summary>Closes with RST: the peer must not take what came so far for complete.</summary>
    public virtual void Abort()
    {
        if (Socket.IsOpen)
            _ = Loop.Kernel.ResetOnClose(Socket.Fd);
        Close();
    }
}

/// <summary>A plain TCP or Unix stream.</summary>
public sealed class PlainTransport(LoopSocket socket) : Transport(socket)
{
    public override int Read(Span<byte> target)
    {
        var count = ReadRaw(target);
        if (count <= 0 && count != -Errno.EAGAIN && End == StreamEnd.Open)
            End = count == 0 ? StreamEnd.Ended : StreamEnd.Failed;
        return count;
    }

    public override int Write(ReadOnlySpan<byte> source) => Socket.Write(source);
}
