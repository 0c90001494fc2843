using Tulle.Base;
using Tulle.Loop;
using Tulle.Wire.Istio;

namespace Tulle.Proxy;

/// <summary>How a relay ended.</summary>
internal enum RelayEnd : byte
{
    /// <summary>Both sides said that they are done.</summary>
    Done,
    IdleTimeout,

    /// <summary>The connection is older than it may become.</summary>
    DurationTimeout,

    /// <summary>The client reset its connection, or sent what its protocol forbids: the upstream is reset too.</summary>
    DownstreamReset,

    /// <summary>The same of the upstream: what came so far must not look complete to the client.</summary>
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

        // SourceEnded: nothing more comes. SourceCut: and what came is not all. SourceFailed: by a reset or an error.
        // SinkEnded: the sink was told the end. SinkFailed: it takes nothing any more.
        public bool SourceEnded, SourceCut, SourceFailed, SinkEnded, SinkFailed;

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

    /// <summary>
    /// Bytes that one direction moves in a turn of the loop; then others have theirs. Source: four of the largest reads; at 1 to 2 GB/s that is an eighth
    /// to a quarter of a millisecond, and a turn of the loop costs a hundredth of it.
    /// </summary>
    private const int BytesPerTurn = 256 * 1024;

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

    /// <summary>Relays until it is over; closing the client's transport from outside and raising the signal cancels it.</summary>
    /// <param name="durationTimer">Raises the same signal when the connection is too old; null for no limit.</param>
    public async ValueTask<RelayEnd> RunAsync(SignalTimer? durationTimer = null)
    {
        _lastActivityMs = loop.PresentMs;
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
            if (!down.Socket.IsOpen)
            {
                end = RelayEnd.Cancelled;
                break;
            }
            if (durationTimer is { IsExpired: true })
            {
                end = RelayEnd.DurationTimeout;
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
        ReturnPipe(ref direction);
    }

    /// <summary>Moves what can move; true when the relay is over.</summary>
    private bool Step(out RelayEnd end)
    {
        Pump(ref _toUp, down, up);
        Pump(ref _toDown, up, down);
        if (IsLost(_toUp, _toDown))
            end = RelayEnd.DownstreamReset;
        else if (IsLost(_toDown, _toUp))
            end = RelayEnd.UpstreamReset;
        else
            end = RelayEnd.Done;
        return end != RelayEnd.Done || (_toUp.SinkEnded && _toDown.SinkEnded);
    }

    /// <summary>
    /// A side that was reset is over once what it sent before is with the other one. Where only writing to it failed, reading from it will show the end:
    /// until then its last bytes are still delivered.
    /// </summary>
    private static bool IsLost(in Direction from, in Direction to)
    {
        if (from.SourceFailed)
            return from.SinkFailed || (from.Pipe is null && from.End == from.Start);
        return to.SinkFailed && (from.SourceEnded ? from.SinkEnded || from.SinkFailed : from.SinkFailed);
    }

    private void Pump(ref Direction direction, Transport source, Transport sink)
    {
        var limit = direction.Bytes + BytesPerTurn;
        while (direction.Bytes < limit)
        {
            if (direction.SinkEnded || direction.SinkFailed)
                return;
            if (sink.HasUnsent)
            {
                var flushed = sink.Flush();
                if (flushed < 0)
                {
                    direction.SinkFailed = flushed != -Errno.EAGAIN;
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
                if (!direction.SourceFailed)
                    EndSink(ref direction, sink);
                return;
            }
            if (!Fill(ref direction, source, sink))
                return;
        }
        // More may be ready: the edge is used up, so raise it again behind the others.
        down.Socket.RaiseLater();
    }

    /// <summary>Tells the sink that this was all, or, where the source's end was cut off, ends it without saying so.</summary>
    private static void EndSink(ref Direction direction, Transport sink)
    {
        var result = sink.ShutdownWrite(isComplete: !direction.SourceCut);
        if (result < 0)
            direction.SinkFailed = true;
        else if (!sink.HasUnsent)
            direction.SinkEnded = true;
    }

    private static bool SendPrefix(ref Direction direction, Transport sink)
    {
        var sent = sink.Write(direction.Prefix.AsSpan(direction.PrefixSent));
        if (sent == -Errno.EAGAIN || sent == 0)
            return false;
        if (sent < 0)
        {
            direction.SinkFailed = true;
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
            direction.SourceFailed = count < 0;
            direction.SourceCut = source.End != StreamEnd.Ended;
            return true;
        }
        _lastActivityMs = loop.PresentMs;
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
            direction.SinkFailed = true;
            return false;
        }
        if (sent < count)
            BufferQueue.Append(loop.Buffers, ref direction.Buffer, ref direction.Start, ref direction.End, staging[Math.Max(0, sent)..count]);
        else if (direction.FullReads >= FullReadsBeforeSplice && source is PlainTransport && sink is PlainTransport)
            direction.Pipe = loop.Pipes.Take();
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
            direction.SinkFailed = true;
            return false;
        }
        _lastActivityMs = loop.PresentMs;
        BufferQueue.Consume(loop.Buffers, ref direction.Buffer, ref direction.Start, ref direction.End, sent);
        return true;
    }

    private bool PumpPipe(ref Direction direction, SplicePipe pipe, Transport source, Transport sink)
    {
        var moved = pipe.Pump(source.Socket, sink.Socket, out var result);
        if (moved > 0)
        {
            direction.Bytes += moved;
            _lastActivityMs = loop.PresentMs;
        }
        switch (result)
        {
            case SpliceResult.SourceEnded or SpliceResult.SourceFailed:
                ReturnPipe(ref direction);
                direction.SourceEnded = true;
                direction.SourceCut = direction.SourceFailed = result == SpliceResult.SourceFailed;
                return true;
            case SpliceResult.SinkFailed:
                ReturnPipe(ref direction);
                direction.SinkFailed = true;
                return false;
            case SpliceResult.More:
                return true;
            case SpliceResult.Quiet when loop.NowMs - _lastActivityMs >= QuietMsBeforeCopy:
                // The flow paused: give the pipe's memory back and begin with small copies again.
                ReturnPipe(ref direction);
                direction.FullReads = 0;
                return false;
            default:
                return false;
        }
    }

    private void ReturnPipe(ref Direction direction)
    {
        if (direction.Pipe is { } pipe)
            loop.Pipes.Return(pipe);
        direction.Pipe = null;
    }
}
