namespace Tulle.Wire.Http1;

public enum ChunkEvent : byte
{
    NeedMore,
    /// <summary>Content bytes were found.</summary>
    Data,
    /// <summary>One trailer field line was found (without its CRLF).</summary>
    Trailer,
    Done,
    Error,
}

/// <summary>
/// Chunked transfer coding (RFC 9112 section 7.1), one event a call. All state is three plain fields, so a connection can be moved in the middle of a
/// chunk. Extensions are accepted and dropped; lines end in CRLF only.
/// </summary>
public struct ChunkDecoder
{
    private enum State : byte
    {
        Size,
        SizeDigits,
        Extension,
        SizeLf,
        Data,
        DataCr,
        DataLf,
        TrailerLine,
        Done,
    }

    /// <summary>Bytes of chunk extensions in a row that are skipped. Source: Go net/http allows 16 per chunk and more in total; 4 KiB is one line of the largest sane size.</summary>
    private const int ExtensionBytesMax = 4096;

    /// <summary>Bytes of the whole trailer section. Source: the head limit of Envoy's default (60 KiB) would be generous; trailers are small.</summary>
    private const int TrailerBytesMax = 16 * 1024;

    private State _state;
    private bool _hasDigits;
    private long _remaining;
    private int _bytes;

    /// <summary>Whether the message ended.</summary>
    public readonly bool IsDone => _state == State.Done;

    /// <summary>Looks at the next bytes. <paramref name="consumed"/> of them are used up; content or trailer line is at <paramref name="offset"/>.</summary>
    public ChunkEvent Next(ReadOnlySpan<byte> input, out int consumed, out int offset, out int length)
    {
        offset = length = 0;
        var at = 0;
        while (true)
        {
            if (_state == State.Done)
            {
                consumed = at;
                return ChunkEvent.Done;
            }
            if (at == input.Length)
            {
                consumed = at;
                return ChunkEvent.NeedMore;
            }
            switch (_state)
            {
                case State.Data:
                    length = (int)Math.Min(_remaining, input.Length - at);
                    offset = at;
                    _remaining -= length;
                    consumed = at + length;
                    if (_remaining == 0)
                        _state = State.DataCr;
                    return ChunkEvent.Data;
                case State.TrailerLine:
                    var line = input[at..];
                    var lf = line.IndexOf((byte)'\n');
                    if (lf < 0)
                    {
                        consumed = at;
                        return line.Length > TrailerBytesMax || line.IndexOf((byte)0) >= 0 ? ChunkEvent.Error : ChunkEvent.NeedMore;
                    }
                    _bytes += lf;
                    consumed = at + lf + 1;
                    if (lf == 0 || line[lf - 1] != '\r' || _bytes > TrailerBytesMax)
                        return ChunkEvent.Error;
                    if (lf == 1)
                    {
                        _state = State.Done;
                        return ChunkEvent.Done;
                    }
                    offset = at;
                    length = lf - 1;
                    return ChunkEvent.Trailer;
                default:
                    if (!Step(input[at++]))
                    {
                        consumed = at;
                        return ChunkEvent.Error;
                    }
                    break;
            }
        }
    }

    private bool Step(byte value)
    {
        switch (_state)
        {
            case State.Size:
                _remaining = 0;
                _bytes = 0;
                _hasDigits = false;
                _state = State.SizeDigits;
                goto case State.SizeDigits;
            case State.SizeDigits:
                var digit = Hex(value);
                if (digit >= 0)
                {
                    // 15 digits are an exabyte; more would overflow.
                    if (_remaining >> 56 != 0)
                        return false;
                    _remaining = _remaining * 16 + digit;
                    _hasDigits = true;
                    return true;
                }
                if (!_hasDigits)
                    return false;
                if (value == '\r')
                    _state = State.SizeLf;
                else if (value is (byte)';' or (byte)' ' or (byte)'\t')
                    _state = State.Extension;
                else
                    return false;
                return true;
            case State.Extension:
                if (value == '\r')
                    _state = State.SizeLf;
                else if (value is < 32 and not (byte)'\t' || value == 127 || ++_bytes > ExtensionBytesMax)
                    return false;
                return true;
            case State.SizeLf:
                if (value != '\n')
                    return false;
                _bytes = 0;
                _state = _remaining == 0 ? State.TrailerLine : State.Data;
                return true;
            case State.DataCr:
                _state = State.DataLf;
                return value == '\r';
            default:
                _state = State.Size;
                return value == '\n';
        }
    }

    private static int Hex(byte value) => value switch
    {
        >= (byte)'0' and <= (byte)'9' => value - '0',
        >= (byte)'a' and <= (byte)'f' => value - 'a' + 10,
        >= (byte)'A' and <= (byte)'F' => value - 'A' + 10,
        _ => -1,
    };
}
