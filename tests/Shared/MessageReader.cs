using Tulle.Wire.Http1;

namespace Tulle.Testing;

/// <summary>Reads message after message with the codec as a connection does, from bytes that come in any pieces.</summary>
internal sealed class MessageReader(bool isRequest)
{
    private byte[] _received = new byte[4096];
    private int _end;
    private readonly HttpHead _head = new();
    private ChunkDecoder _chunks;
    private int _at, _scanned;
    private long _bodyLeft;
    private State _state;

    private enum State
    {
        Head,
        Length,
        Chunks,
        UntilClose,
        Tunnel,
        Closed,
        Failed,
    }

    public int Messages { get; private set; }

    public long BodyBytes { get; private set; }

    public string? Error { get; private set; }

    /// <summary>A head is begun and not ended.</summary>
    public bool IsInHead => _state == State.Head && _at < _end;

    /// <summary>What a log of the run says, for comparing two ways of cutting the same bytes.</summary>
    public override string ToString() => $"{Messages} messages, {BodyBytes} bytes, {Error ?? "no error"}";

    public void Feed(ReadOnlySpan<byte> piece)
    {
        // What was read is thrown away first, so that a long run costs no more than a short one.
        _received.AsSpan(_at, _end - _at).CopyTo(_received);
        (_at, _end) = (0, _end - _at);
        if (_end + piece.Length > _received.Length)
            Array.Resize(ref _received, (_end + piece.Length) * 2);
        piece.CopyTo(_received.AsSpan(_end));
        _end += piece.Length;
        while (Step())
        {
        }
    }

    private bool Step()
    {
        var rest = _received.AsSpan(_at, _end - _at);
        switch (_state)
        {
            case State.Head when rest.Length > 0:
                return ReadHead(_received, rest);
            case State.Length:
                var taken = (int)Math.Min(_bodyLeft, rest.Length);
                _at += taken;
                BodyBytes += taken;
                _bodyLeft -= taken;
                return _bodyLeft == 0 && End();
            case State.UntilClose or State.Tunnel:
                BodyBytes += rest.Length;
                _at = _end;
                return false;
            case State.Chunks:
                return ReadChunks(rest);
            case State.Closed when rest.IndexOfAnyExcept((byte)'\r', (byte)'\n') >= 0:
                return Fail("data after close");
            default:
                return false;
        }
    }

    private bool ReadHead(byte[] data, ReadOnlySpan<byte> rest)
    {
        // An empty line before a message is ignored (RFC 9112 section 2.2).
        if (_scanned == 0 && rest.Length >= 2 && rest[0] == '\r' && rest[1] == '\n')
        {
            _at += 2;
            return true;
        }
        if (rest.Length == 1 && rest[0] == '\r')
            return false;
        var status = Http1Parser.FindHeadEnd(rest, ref _scanned, 60 * 1024, out var length);
        if (status == ParseStatus.NeedMore)
            return false;
        if (status == ParseStatus.Done)
            status = isRequest ? Http1Parser.ParseRequest(data, _at, length, _head, 100) : Http1Parser.ParseResponse(data, _at, length, _head, 100);
        if (status != ParseStatus.Done)
            return Fail(status.ToString());
        _at += length;
        _scanned = 0;
        _chunks = default;
        if (isRequest && (_head.IsUpgrade || _head.Method == RequestMethod.Connect))
            return Become(State.Tunnel);
        // RFC 9112 section 6.3: these have no body whatever their fields say.
        if (!isRequest && _head.Status is 204 or 304 or (>= 100 and < 200 and not 101))
            return End();
        if (_head.IsChunked)
            return Become(State.Chunks);
        if (_head.ContentLength > 0)
        {
            _bodyLeft = _head.ContentLength;
            return Become(State.Length);
        }
        if (isRequest || _head.ContentLength == 0)
            return End();
        return Become(_head.Status == 101 ? State.Tunnel : State.UntilClose);
    }

    private bool ReadChunks(ReadOnlySpan<byte> rest)
    {
        var what = _chunks.Next(rest, out var consumed, out _, out var length);
        _at += consumed;
        switch (what)
        {
            case ChunkEvent.Data:
                BodyBytes += length;
                return true;
            case ChunkEvent.Trailer:
                return true;
            case ChunkEvent.Done:
                return End();
            case ChunkEvent.Error:
                return Fail("chunk");
            default:
                return false;
        }
    }

    private bool Become(State state)
    {
        _state = state;
        if (state is State.Tunnel or State.UntilClose)
            Messages++;
        return true;
    }

    private bool End()
    {
        Messages++;
        _state = _head.IsClose ? State.Closed : State.Head;
        return true;
    }

    private bool Fail(string error)
    {
        Error = error;
        _state = State.Failed;
        return false;
    }
}
