using Tulle.Base;
using Tulle.Native;

namespace Tulle.Loop;

/// <summary>Someone who is told that a socket became ready.</summary>
public interface ISocketOwner
{
    void OnReady(LoopSocket socket);

    /// <summary><see cref="OnReady"/> threw: the owner ends what this socket stands for. The loop has reported it already.</summary>
    void OnFault(LoopSocket socket) => socket.Close();
}

/// <summary>
/// A descriptor on a loop, edge-triggered: the flags say what the kernel last reported and reads and writes clear them. Whoever owns the socket at the
/// moment is told of changes; the owner changes when a pooled connection is taken or given back.
/// </summary>
public sealed class LoopSocket
{
    internal uint Generation;
    private Action? _raise;
    private bool _isRaising;

    public LoopSocket(EventLoop loop, int fd)
    {
        Loop = loop;
        Fd = fd;
    }

    public EventLoop Loop { get; }

    public int Fd { get; private set; }

    public bool IsReadable { get; private set; }

    public bool IsWritable { get; private set; }

    /// <summary>The peer sent FIN or RST; bytes before it may still be unread.</summary>
    public bool IsPeerClosed { get; private set; }

    public bool HasError { get; private set; }

    public bool IsOpen => Fd >= 0;

    /// <summary>Raised when flags change; exactly one of signal and owner is set while the socket is in use.</summary>
    public Signal? Signal { get; set; }

    public ISocketOwner? Owner { get; set; }

    /// <summary>Puts the socket into the loop's epoll set. A connected socket may start as writable, which saves an event.</summary>
    public int Start(bool assumeWritable)
    {
        IsWritable = assumeWritable;
        // Data often came with the connection already: reading once too often is cheaper than a wake-up.
        IsReadable = assumeWritable;
        return Loop.Register(this, Libc.EPOLLIN | Libc.EPOLLOUT | Libc.EPOLLRDHUP | Libc.EPOLLET);
    }

    internal void OnEvents(int events)
    {
        if ((events & (Libc.EPOLLIN | Libc.EPOLLRDHUP | Libc.EPOLLHUP | Libc.EPOLLERR)) != 0)
            IsReadable = true;
        if ((events & (Libc.EPOLLOUT | Libc.EPOLLHUP | Libc.EPOLLERR)) != 0)
            IsWritable = true;
        if ((events & (Libc.EPOLLRDHUP | Libc.EPOLLHUP)) != 0)
            IsPeerClosed = true;
        if ((events & Libc.EPOLLERR) != 0)
            HasError = true;
        Tell();
    }

    /// <summary>
    /// Tells whoever has this socket once more, after the other events of this turn: for work that was cut short so that others have their turn, when the
    /// kernel has no reason to report the socket again.
    /// </summary>
    public void RaiseLater()
    {
        if (_isRaising)
            return;
        _isRaising = true;
        Loop.Defer(_raise ??= RaiseNow);
    }

    private void RaiseNow()
    {
        _isRaising = false;
        if (!IsOpen)
            return;
        try
        {
            Tell();
        }
        catch (Exception error)
        {
            Loop.EndFaulty(this, error);
        }
    }

    private void Tell()
    {
        if (Signal is not null)
            Signal.Raise();
        else
            Owner?.OnReady(this);
    }

    /// <summary>&gt; 0 bytes, 0 at end of stream, or a negated errno (EAGAIN when there is nothing).</summary>
    public int Read(Span<byte> buffer)
    {
        if (!IsReadable)
            return -Errno.EAGAIN;
        while (true)
        {
            var count = Loop.Kernel.Receive(Fd, buffer);
            if (count > 0)
            {
                // A short read emptied the socket; the next byte makes a new edge. Not so when a FIN came along: its edge is past.
                if (count < buffer.Length && !IsPeerClosed)
                    IsReadable = false;
                return count;
            }
            if (count == -Errno.EINTR)
                continue;
            if (count == -Errno.EAGAIN)
                IsReadable = false;
            return count;
        }
    }

    /// <summary>Bytes taken by the kernel, or a negated errno.</summary>
    public int Write(ReadOnlySpan<byte> buffer)
    {
        if (!IsWritable)
            return -Errno.EAGAIN;
        while (true)
        {
            var count = Loop.Kernel.Send(Fd, buffer);
            if (count >= 0)
            {
                if (count < buffer.Length)
                    IsWritable = false;
                return count;
            }
            if (count == -Errno.EINTR)
                continue;
            if (count == -Errno.EAGAIN)
                IsWritable = false;
            return count;
        }
    }

    /// <summary>For splice(2): the caller moved bytes itself and found the socket empty or full.</summary>
    public void NoteReadEmpty() => IsReadable = IsPeerClosed;

    public void NoteWriteFull() => IsWritable = false;

    public void Close()
    {
        if (Fd < 0)
            return;
        Loop.Unregister(this);
        _ = Loop.Kernel.Close(Fd);
        Fd = -1;
        Signal = null;
        Owner = null;
    }
}
