using Tulle.Base;
using Tulle.Loop;
using Tulle.Wire.Istio;

namespace Tulle.Proxy;

/// <summary>How a relay ended.</summary>
internal enum RelayEnd : byte
{
    Done,
    IdleTimeout,
    DownstreamReset,
    UpstreamReset,
    Cancelled,
}

/// <summary>Who wants to know what a peer's sidecar said of itself before the stream began.</summary>
internal interface IPeerListener
{
    /// <param name="told">The whole exchange; empty when the peer sent none. Not to be kept.</param>
    void OnPeer(ReadOnlySpan<byte> told);
}

/// <summary>
/// Bytes both ways between two transports, with back-pressure, half-close and an idle timeout. Buffers are rented while bytes wait and grow with the
/// flow; a direction that proves bulk between plain sockets moves to splice(2).
/// </summary>
internal sealed class TcpRelay(EventLoop loop, Transport down, Transport up, Signal signal, long idleTimeoutMs)
{
    /// <summary>Full buffers in a row before a direction is spliced. Source: measured, splice loses on small messages and wins from about 256 KiB on.</summary>
    private const int FullReadsBeforeSplice = 4;

    /// <summary>Milliseconds without a byte after which a direction goes back to copying: a chatty phase would pay two system calls a message.</summary>
    private const int QuietMsBeforeCopy = 1000;

    private struct Direction
    {
        public byte[]? Buffer;
        public int Start, End;
        public bool SourceEnded, SinkEnded, Failed;

        // The source's first bytes may be its sidecar's exchange: what came is kept back until that is known.
        public bool Opening;
        public IPeerListener? PeerListener;

        // What this side says before everything else.
        public byte[]? Prefix;
        public int PrefixSent;
        public long Bytes;
        public int FullReads;
        public SplicePipe? Pipe;
    }

    private readonly SignalTimer _timer = new(signal);
    private Direction _toUp, _toDown;
    private long _lastActivityMs;

    public long BytesToUpstream => _toUp.Bytes;

    public long BytesToDownstream => _toDown.Bytes;

    /// <summary>
    /// istio.metadata_exchange: tells the sidecar on that side of this workload, and takes what it tells off the stream. Before <see cref="RunAsync"/>.
    /// </summary>
    public void Exchange(bool withUpstream, byte[] own, IPeerListener? listener)
    {
        ref var sending = ref withUpstream ? ref _toUp : ref _toDown;
        ref var receiving = ref withUpstream ? ref _toDown : ref _toUp;
        receiving.Opening = true;
        receiving.PeerListener = listener;
        sending.Prefix = own.Length > 0 ? own : null;
    }

    /// <summary>Looks whether a stream's first bytes are an exchange; once that is known it is told, and the stream goes on behind it.</summary>
    private void Open(ref Direction direction)
    {
        var start = direction.Buffer.AsSpan(direction.Start, direction.End - direction.Start);
        var length = WorkloadStruct.ExchangeLength(start);
        if (length < 0 && !direction.SourceEnded)
            return;
        direction.Opening = false;
        length = Math.Max(0, length);
        direction.PeerListener?.OnPeer(start[..length]);
        direction.Bytes += start.Length - length;
        if (length > 0)
            BufferQueue.Consume(loop.Buffers, ref direction.Buffer, ref direction.Start, ref direction.End, length);
    }

    public void PreloadToUpstream(ReadOnlySpan<byte> bytes) => BufferQueue.Append(loop.Buffers, ref _toUp.Buffer, ref _toUp.Start, ref _toUp.End, bytes);

    public void PreloadToDownstream(ReadOnlySpan<byte> bytes) => BufferQueue.Append(loop.Buffers, ref _toDown.Buffer, ref _toDown.Start, ref _toDown.End, bytes);

    public async ValueTask<RelayEnd> RunAsync(Func<bool> isCancelled)
    {
        _lastActivityMs = loop.NowMs;
        RelayEnd end;
        while (!Step(out end))
        {
            if (idleTimeoutMs > 0)
            {
                if (loop.NowMs >= _lastActivityMs + idleTimeoutMs)
                {
                    end = RelayEnd.IdleTimeout;
                    break;
                }
                if (!_timer.IsArmed)
                    loop.Arm(_timer, _lastActivityMs + idleTimeoutMs);
            }
            await signal;
            if (isCancelled())
            {
                end = RelayEnd.Cancelled;
                break;
            }
        }
        loop.Cancel(_timer);
        Release(ref _toUp);
        Release(ref _toDown);
        return end;
    }

    private void Release(ref Direction direction)
    {
        if (direction.Buffer is not null)
            loop.Buffers.Return(direction.Buffer);
        direction.Buffer = null;
        direction.Pipe?.Dispose();
        direction.Pipe = null;
    }

    /// <summary>Moves what can move; true when both directions ended or one failed.</summary>
    private bool Step(out RelayEnd end)
    {
        Pump(ref _toUp, down, up);
        Pump(ref _toDown, up, down);
        end = _toUp.Failed || _toDown.Failed ? _toUp.Failed ? RelayEnd.UpstreamReset : RelayEnd.DownstreamReset : RelayEnd.Done;
        return _toUp.Failed || _toDown.Failed || (_toUp.SinkEnded && _toDown.SinkEnded);
    }

    /// <summary>Rounds in one go, so that one busy connection cannot hold the loop.</summary>
    private const int RoundsPerWake = 16;

    private void Pump(ref Direction direction, Transport source, Transport sink)
    {
        for (var round = 0; round < RoundsPerWake; round++)
        {
            if (direction.SinkEnded || direction.Failed)
                return;
            if (sink.HasUnsent)
            {
                var flushed = sink.Flush();
                if (flushed == -Errno.EAGAIN)
                    return;
                if (flushed < 0)
                {
                    direction.Failed = true;
                    return;
                }
            }
            if (direction.Prefix is not null)
            {
                if (!SendPrefix(ref direction, sink))
                    return;
                continue;
            }
            if (direction.Pipe is { } pipe)
            {
                if (!PumpPipe(ref direction, pipe, source, sink))
                    return;
                continue;
            }
            if (direction.Opening && direction.SourceEnded)
                Open(ref direction);
            if (direction.End > direction.Start && !direction.Opening)
            {
                if (!Drain(ref direction, sink))
                    return;
                continue;
            }
            if (direction.SourceEnded)
            {
                if (sink.ShutdownWrite() == 0 && sink.HasUnsent)
                    return;
                direction.SinkEnded = true;
                return;
            }
            if (!Fill(ref direction, source, sink))
                return;
        }
        // More may be ready: the edge is used up, so raise it again behind the others.
        loop.Defer(signal.Raise);
    }

    private static bool SendPrefix(ref Direction direction, Transport sink)
    {
        var sent = sink.Write(direction.Prefix.AsSpan(direction.PrefixSent));
        if (sent == -Errno.EAGAIN || sent == 0)
            return false;
        if (sent < 0)
        {
            direction.Failed = true;
            return false;
        }
        direction.PrefixSent += sent;
        if (direction.PrefixSent == direction.Prefix!.Length)
            direction.Prefix = null;
        return true;
    }

    private bool Fill(ref Direction direction, Transport source, Transport sink)
    {
        if (!source.CanRead)
        {
            Idle(ref direction);
            return false;
        }
        // The staging area serves first: a buffer is rented only when the sink does not take all at once.
        var wanted = direction.Bytes < 128 * 1024 ? BufferPool.Medium : BufferPool.Large;
        var staging = loop.Staging.AsSpan(0, wanted);
        var count = source.Read(staging);
        if (count == -Errno.EAGAIN)
        {
            Idle(ref direction);
            return false;
        }
        if (count <= 0)
        {
            direction.SourceEnded = true;
            if (count < 0)
                direction.Failed = true;
            return count == 0;
        }
        _lastActivityMs = loop.NowMs;
        direction.FullReads = count == wanted ? direction.FullReads + 1 : 0;
        if (direction.Opening)
        {
            BufferQueue.Append(loop.Buffers, ref direction.Buffer, ref direction.Start, ref direction.End, staging[..count]);
            Open(ref direction);
            return true;
        }
        direction.Bytes += count;
        var sent = sink.Write(staging[..count]);
        if (sent < 0 && sent != -Errno.EAGAIN)
        {
            direction.Failed = true;
            return false;
        }
        if (sent < count)
            BufferQueue.Append(loop.Buffers, ref direction.Buffer, ref direction.Start, ref direction.End, staging[Math.Max(0, sent)..count]);
        else if (direction.FullReads >= FullReadsBeforeSplice && source is PlainTransport && sink is PlainTransport)
            direction.Pipe = SplicePipe.TryCreate();
        return true;
    }

    private void Idle(ref Direction direction)
    {
        if (direction.Buffer is not null && direction.Start == direction.End)
            Release(ref direction);
    }

    private bool Drain(ref Direction direction, Transport sink)
    {
        var sent = sink.Write(direction.Buffer.AsSpan(direction.Start, direction.End - direction.Start));
        if (sent == -Errno.EAGAIN || sent == 0)
            return false;
        if (sent < 0)
        {
            direction.Failed = true;
            return false;
        }
        _lastActivityMs = loop.NowMs;
        BufferQueue.Consume(loop.Buffers, ref direction.Buffer, ref direction.Start, ref direction.End, sent);
        return true;
    }

    private bool PumpPipe(ref Direction direction, SplicePipe pipe, Transport source, Transport sink)
    {
        var moved = pipe.Pump(source.Socket, sink.Socket, out var result);
        if (moved > 0)
        {
            direction.Bytes += moved;
            _lastActivityMs = loop.NowMs;
        }
        switch (result)
        {
            case SpliceResult.SourceEnded:
                pipe.Dispose();
                direction.Pipe = null;
                direction.SourceEnded = true;
                return true;
            case SpliceResult.Failed:
                direction.Failed = true;
                return false;
            case SpliceResult.More:
                loop.Defer(signal.Raise);
                return false;
            case SpliceResult.Quiet when loop.NowMs - _lastActivityMs >= QuietMsBeforeCopy:
                // The flow paused: give the pipe's memory back and begin with small copies again.
                pipe.Dispose();
                direction.Pipe = null;
                direction.FullReads = 0;
                return false;
            default:
                return false;
        }
    }
}
