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
/// chunk. Extensions are checked against their grammar and dropped (a lax reader of extensions is a way to smuggle); lines end in CRLF only.
/// </summary>
public struct ChunkDecoder
{
    private enum State : byte
    {
        Size,
        SizeDigits,
        SizeSpace,
        NameStart,
        Name,
        NameSpace,
        ValueStart,
        Value,
        Quoted,
        QuotedPair,
        ValueEnd,
        SizeLf,
        Data,
        DataCr,
        DataLf,
        TrailerLine,
        Done,
        Failed,
    }

    /// <summary>Bytes of chunk extensions in a row that are skipped. Source: Go net/http allows 16 per chunk and more in total; 4 KiB is one line of the largest sane size.</summary>
    private const int ExtensionBytesMax = 4096;

    /// <summary>Bytes of the whole trailer section. Source: the head limit of Envoy's default (60 KiB) would be generous; trailers are small.</summary>
    private const int TrailerBytesMax = 16 * 1024;

    /// <summary>Digits of a chunk size: 16 hold every number that fits, and zeros before them without end would be work without end.</summary>
    private const int SizeDigitsMax = 16;

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
                    var seen = lf < 0 ? line : line[..lf];
                    // A CR is the last byte before the LF and nowhere else: said as soon as it is seen, however the line arrives.
                    var stop = seen.IndexOfAny((byte)'\r', (byte)0);
                    if (_bytes + seen.Length > TrailerBytesMax || (stop >= 0 && (seen[stop] == 0 || stop < seen.Length - 1)) || (lf >= 0 && stop < 0))
                    {
                        consumed = at;
                        return ChunkEvent.Error;
                    }
                    if (lf < 0)
                    {
                        consumed = at;
                        return ChunkEvent.NeedMore;
                    }
                    _bytes += lf;
                    consumed = at + lf + 1;
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
                    if (_remaining >> 56 != 0 || ++_bytes > SizeDigitsMax)
                        return false;
                    _remaining = _remaining * 16 + digit;
                    _hasDigits = true;
                    return true;
                }
                if (!_hasDigits)
                    return false;
                _state = value switch { (byte)'\r' => State.SizeLf, (byte)';' => State.NameStart, (byte)' ' or (byte)'\t' => State.SizeSpace, _ => State.Failed };
                return _state != State.Failed;
            case >= State.SizeSpace and <= State.ValueEnd:
                _state = ++_bytes > ExtensionBytesMax ? State.Failed : NextInExtension(_state, value);
                return _state != State.Failed;
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

    /// <summary>chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ), the value a token or a quoted string (section 7.1.1).</summary>
    private static State NextInExtension(State state, byte value)
    {
        var isSpace = value is (byte)' ' or (byte)'\t';
        switch (state)
        {
            case State.SizeSpace:
                return isSpace ? state : value == ';' ? State.NameStart : State.Failed;
            case State.NameStart:
                return isSpace ? state : Http1Parser.IsToken(value) ? State.Name : State.Failed;
            case State.Name when Http1Parser.IsToken(value):
                return state;
            case State.Name or State.NameSpace:
                return value switch { (byte)'=' => State.ValueStart, (byte)';' => State.NameStart, (byte)'\r' when state == State.Name => State.SizeLf, _ => isSpace ? State.NameSpace : State.Failed };
            case State.ValueStart:
                return isSpace ? state : value == '"' ? State.Quoted : Http1Parser.IsToken(value) ? State.Value : State.Failed;
            case State.Value when Http1Parser.IsToken(value):
                return state;
            case State.Quoted:
                return value switch { (byte)'"' => State.ValueEnd, (byte)'\\' => State.QuotedPair, _ => value is >= 32 and not 127 or (byte)'\t' ? state : State.Failed };
            case State.QuotedPair:
                return value is >= 32 and not 127 or (byte)'\t' ? State.Quoted : State.Failed;
            default:
                return value switch { (byte)';' => State.NameStart, (byte)'\r' => State.SizeLf, _ => isSpace ? State.SizeSpace : State.Failed };
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
