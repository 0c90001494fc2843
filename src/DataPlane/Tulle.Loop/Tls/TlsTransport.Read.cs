using Tulle.Base;
using Tulle.Native;

namespace Tulle.Loop;

/// <summary>The receiving direction.</summary>
public sealed partial class TlsTransport
{
    /// <summary>A handshake message behind the Finished, as long as it may become: a ticket of a server that puts the client's chain into it.</summary>
    private const int MessageBytesMax = 32 * 1024;

    /// <summary>Tickets that libssl is shown; more are left unread, the last one serves.</summary>
    private const int TicketsMax = 8;

    private RentedBytes _message; // A handshake message that is not complete.
    private int _barren; // Records without content since the last that had some.
    private int _tickets;
    private bool _keyUpdateWaits; // An answer to a KeyUpdate is among the unsent bytes.

    /// <summary>Reads from the socket behind what is here already; the buffer is at least so large, and a whole record fits.</summary>
    private int Receive(int bytesMin)
    {
        var wanted = _cipherIn.Length < HeaderBytes ? bytesMin : Math.Max(bytesMin, HeaderBytes + RecordLayer.BodyLength(_cipherIn.Used));
        _cipherIn.Reserve(Loop.Buffers, wanted);
        var count = ReadRaw(_cipherIn.Free);
        if (count > 0)
            _cipherIn.End += count;
        else if (_cipherIn.Length == 0)
            _cipherIn.Return(Loop.Buffers);
        return count;
    }

    public override int Read(Span<byte> target)
    {
        if (_plain.Length > 0)
        {
            var count = Math.Min(target.Length, _plain.Length);
            _plain.Used[..count].CopyTo(target);
            _plain.Consume(Loop.Buffers, count);
            return count;
        }
        if (End != StreamEnd.Open)
            return _readResult;
        return _records is null ? ReadTls12(target) : ReadRecords(target);
    }

    /// <summary>What was produced before an end or an error is delivered first; the end waits for the next call.</summary>
    private int ReadRecords(Span<byte> target)
    {
        var produced = 0;
        var barren = 0;
        while (End == StreamEnd.Open)
        {
            if (_cipherIn.Length >= HeaderBytes && !_records!.CheckHeader(_cipherIn.Used))
            {
                Fail(_records.Alert, _records.Error);
                break;
            }
            if (!HasWholeRecord)
            {
                if (produced > 0 && !base.CanRead)
                    return produced;
                var count = Receive(BufferPool.Large);
                if (count > 0)
                    continue;
                if (count == -Errno.EAGAIN)
                    return produced > 0 ? produced : count;
                EndWithoutNotice(count);
                break;
            }
            var length = HeaderBytes + RecordLayer.BodyLength(_cipherIn.Used);
            if (produced > 0 && length - HeaderBytes - AeadCipher.TagBytes > target.Length - produced)
                return produced;
            var opened = OpenRecord(_cipherIn.Used[..length], target[produced..]);
            if (End == StreamEnd.Open)
                _cipherIn.Consume(Loop.Buffers, length);
            produced += opened;
            if (opened == 0 && ++barren == BarrenRecordsMax && End == StreamEnd.Open)
            {
                Socket.RaiseLater();
                return produced > 0 ? produced : -Errno.EAGAIN;
            }
            if (produced == target.Length || _plain.Length > 0)
                return produced;
        }
        _cipherIn.Return(Loop.Buffers);
        return produced > 0 ? produced : _readResult;
    }

    /// <summary>The socket ended or broke, and no close_notify had come.</summary>
    private void EndWithoutNotice(int result)
    {
        if (result < 0)
        {
            Fail(result, Errno.Text(-result));
            return;
        }
        // Between two records this is how careless peers close, so it reads as an end; inside a record bytes are missing for certain.
        Error = "the peer closed without close_notify";
        _readResult = _cipherIn.Length > 0 || _message.Length > 0 ? -Errno.ECONNRESET : 0;
        End = StreamEnd.Truncated;
    }

    /// <summary>Decrypts one record in place and delivers its content; 0 when it carried none for the caller, or when the stream is over.</summary>
    private int OpenRecord(Span<byte> record, Span<byte> target)
    {
        // libssl takes tickets from records as they came, and opening is in place. Only between the handshake and the first data.
        if (_ssl is not null)
            record.CopyTo(Loop.Scratch);
        switch (_records!.Open(record, out var content))
        {
            case RecordContent.ApplicationData when _message.Length > 0:
                Fail(TlsAlert.UnexpectedMessage, "application data came between the parts of a handshake message");
                return 0;
            case RecordContent.ApplicationData:
                DropSsl();
                return content.Length > 0 ? Deliver(content, target) : NoteBarren();
            case RecordContent.Handshake:
                if (!OnHandshakeRecord(content, record.Length))
                    return 0;
                return NoteBarren();
            case RecordContent.CloseNotify:
                End = StreamEnd.Ended;
                return 0;
            case RecordContent.Ignored:
                DropSsl();
                return NoteBarren();
            default:
                Fail(_records.Alert, _records.Error);
                return 0;
        }
    }

    private int Deliver(ReadOnlySpan<byte> content, Span<byte> target)
    {
        _barren = 0;
        var count = Math.Min(content.Length, target.Length);
        content[..count].CopyTo(target);
        if (count < content.Length)
            _plain.Append(Loop.Buffers, content[count..]);
        return count;
    }

    private int NoteBarren()
    {
        if (++_barren > BarrenRecordsMax)
            Fail(TlsAlert.UnexpectedMessage, $"the peer sent more than {BarrenRecordsMax} records without content in a row");
        return 0;
    }

    /// <summary>RFC 8446 section 4.6: NewSessionTicket (4) to clients, KeyUpdate (24) to both, also split over records. False when the stream is over.</summary>
    private bool OnHandshakeRecord(ReadOnlySpan<byte> content, int recordLength)
    {
        if (_ssl is not null && _resumption is not null && _tickets < TicketsMax)
        {
            // libssl counts the same records: tickets come before any data.
            Span<byte> none = stackalloc byte[16];
            _ssl.Feed(Loop.Scratch.AsSpan(0, recordLength));
            if (_ssl.Read(none) == -Errno.EAGAIN)
                _ssl.SaveTo(_resumption);
            else
                DropSsl();
        }
        var isWhole = _message.Length == 0;
        if (!isWhole)
        {
            _message.Append(Loop.Buffers, content);
            content = _message.Used;
        }
        while (content.Length >= 4)
        {
            var length = (content[1] << 16) | (content[2] << 8) | content[3];
            if (!IsExpected(content[0], length))
                return false;
            if (content.Length < 4 + length)
                break;
            var isKeyUpdate = content[0] == 24;
            _tickets += isKeyUpdate ? 0 : 1;
            var value = isKeyUpdate ? content[4] : (byte)0;
            content = content[(4 + length)..];
            if (isKeyUpdate && !OnKeyUpdate(value, isLast: content.IsEmpty))
                return false;
        }
        if (isWhole)
        {
            _message.Append(Loop.Buffers, content);
            return true;
        }
        _message.Consume(Loop.Buffers, _message.Length - content.Length);
        return true;
    }

    private bool IsExpected(byte type, int length)
    {
        if (type == 24)
        {
            if (length == 1)
                return true;
            Fail(TlsAlert.DecodeError, $"the peer sent a KeyUpdate of {length} bytes");
            return false;
        }
        if (type != 4 || _isServer)
        {
            Fail(TlsAlert.UnexpectedMessage, $"unexpected handshake message {type} after the handshake");
            return false;
        }
        if (length <= MessageBytesMax)
            return true;
        Fail(TlsAlert.IllegalParameter, $"the peer sent a ticket of {length} bytes; {MessageBytesMax} are the limit");
        return false;
    }

    private bool OnKeyUpdate(byte request, bool isLast)
    {
        if (request > 1)
        {
            Fail(TlsAlert.IllegalParameter, $"the peer sent a KeyUpdate that asks for {request}");
            return false;
        }
        // Section 5.1: messages do not span key changes.
        if (!isLast)
        {
            Fail(TlsAlert.UnexpectedMessage, "the peer sent messages behind a KeyUpdate in the same record");
            return false;
        }
        DropSsl();
        _records!.UpdateReadKey();
        if (request == 0 || _closeSent || (_keyUpdateWaits && HasUnsent))
            return true;
        // Section 4.6.3: one answer serves all requests that came while it waited.
        SendOrKeep(_records.SealKeyUpdate(Loop.Scratch));
        _keyUpdateWaits = HasUnsent;
        return true;
    }

    private int ReadTls12(Span<byte> target)
    {
        if (_ssl is null)
            return -Errno.ECONNRESET;
        for (var records = 0; records <= BarrenRecordsMax; records++)
        {
            var count = _ssl.Read(target);
            if (_ssl.DrainPending > 0)
                SendPending();
            if (count > 0)
                return count;
            if (count == 0)
            {
                End = StreamEnd.Ended;
                return 0;
            }
            if (count != -Errno.EAGAIN)
                return Fail(count, _ssl.Error);
            // A header that promises too much is libssl's to refuse, with its alert.
            while (!HasWholeRecord && (_cipherIn.Length < HeaderBytes || LooksLikeTls(_cipherIn.Used)))
            {
                var received = Receive(BufferPool.Medium);
                if (received > 0)
                    continue;
                if (received == -Errno.EAGAIN)
                    return received;
                EndWithoutNotice(received);
                _cipherIn.Return(Loop.Buffers);
                return _readResult;
            }
            var length = HasWholeRecord ? HeaderBytes + RecordLayer.BodyLength(_cipherIn.Used) : _cipherIn.Length;
            _ssl.Feed(_cipherIn.Used[..length]);
            _cipherIn.Consume(Loop.Buffers, length);
        }
        Socket.RaiseLater();
        return -Errno.EAGAIN;
    }
}
