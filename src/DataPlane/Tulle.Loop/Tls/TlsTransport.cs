using System.Buffers.Binary;
using Tulle.Base;
using Tulle.Native;
using Tulle.Wire.Tls;

namespace Tulle.Loop;

/// <summary>
/// TLS on the loop. libssl does the handshake; after it, TLS 1.3 records are ours (<see cref="RecordLayer"/>), which makes a live connection plain data.
/// TLS 1.2 stays on libssl's record path. What came from the socket waits here and is handed on record by record, so that libssl never holds a byte
/// behind the handshake and nothing has to be taken back from it.
/// </summary>
public sealed partial class TlsTransport : Transport
{
    private const int HeaderBytes = RecordLayer.HeaderBytes;
    private const int RecordsPerWrite = 4;

    /// <summary>
    /// Records without content for the caller (empty ones, KeyUpdates, warnings, tickets) in one call; then others have their turn. Also the limit for
    /// those in a row before the connection is ended. Source: libssl's limit for empty records, BoringSSL's for empty records and for KeyUpdates.
    /// </summary>
    private const int BarrenRecordsMax = 32;

    /// <summary>Unsent ciphertext at the most: one <see cref="Write"/> that the kernel did not take, one KeyUpdate and one alert behind it.</summary>
    private const int UnsentBytesMax = RecordsPerWrite * (RecordLayer.ContentBytesMax + 22) + 256;

    private readonly TlsContext? _context; // Null behind a handshake that was made elsewhere.
    private readonly byte[]? _alpnWire;
    private readonly SslResumption? _resumption;
    private readonly string _serverName;
    private readonly bool _isServer;
    private SslSession? _ssl; // Made when there is something for it to do: a client that only connected costs none.
    private RecordLayer? _records;
    private RentedBytes _cipherIn; // Received and not used up.
    private RentedBytes _plain; // The rest of a decrypted record that did not fit the caller's span.
    private RentedBytes _cipherOut; // Sealed and not taken by the kernel.
    private int _readResult; // What Read answers once End is not Open.
    private int _writeResult; // Negative once nothing can be sent any more.
    private bool _closeSent;

    public TlsTransport(LoopSocket socket, TlsContext context, string serverName, byte[]? alpnWire = null, TlsResumption? resumption = null) : base(socket)
    {
        _serverName = serverName;
        _alpnWire = alpnWire;
        _isServer = context.Inner.IsServer;
        _context = context;
        _resumption = resumption?.Inner;
    }

    /// <summary>Goes on behind a handshake that was made elsewhere: keys and counters are the whole state.</summary>
    internal TlsTransport(LoopSocket socket, RecordLayer records, bool isServer, TlsPeer peer) : base(socket)
    {
        _serverName = peer.ServerName;
        _isServer = isServer;
        _records = records;
        Peer = peer;
    }

    /// <summary>Why the handshake or the stream failed, in words for a log.</summary>
    public string Error { get; private set; } = "";

    public override bool HasUnsent => _cipherOut.Length > 0;

    public override bool CanRead => _plain.Length > 0 || End != StreamEnd.Open || HasWholeRecord || (_records is null && _ssl is { Pending: > 0 }) || base.CanRead;

    private bool HasWholeRecord
    {
        get
        {
            var available = _cipherIn.Length;
            return available >= HeaderBytes && available >= HeaderBytes + RecordLayer.BodyLength(_cipherIn.Used);
        }
    }

    /// <summary>One step of the handshake: 0 when done, −EAGAIN to be called again when the socket is ready, −EPROTO-like on failure (<see cref="Error"/>).</summary>
    public int Handshake()
    {
        if (End != StreamEnd.Open)
            return _readResult < 0 ? _readResult : -Errno.ECONNRESET;
        if (HasUnsent && Flush() is < 0 and not -Errno.EAGAIN and var lost)
            return Fail(lost, Errno.Text(-lost));
        if (_ssl is null && !_isServer && StepSsl() is var first and not -Errno.EAGAIN)
            return first;
        for (var records = 0; records < BarrenRecordsMax; records++)
        {
            while (!HasWholeRecord)
            {
                // Not TLS at all: libssl says what it is and answers with an alert.
                if (_cipherIn.Length >= HeaderBytes && !LooksLikeTls(_cipherIn.Used))
                    return StepSsl(_cipherIn.Length) is var odd and not -Errno.EAGAIN ? odd : Fail(-Errno.ECONNRESET, "the peer does not speak TLS");
                var count = Receive(BufferPool.Small);
                if (count == -Errno.EAGAIN)
                    return count;
                if (count == 0)
                    return Fail(-Errno.ECONNRESET, "the peer closed during the handshake");
                if (count < 0)
                    return Fail(count, Errno.Text(-count));
            }
            var result = StepSsl(HeaderBytes + RecordLayer.BodyLength(_cipherIn.Used));
            if (result != -Errno.EAGAIN)
                return result;
        }
        Socket.RaiseLater();
        return -Errno.EAGAIN;
    }

    /// <summary>A record of the handshake as far as its header tells: known type, version 3.x, no longer than TLS 1.2 allows (2^14 + 2048).</summary>
    private static bool LooksLikeTls(ReadOnlySpan<byte> header) =>
        header[0] is >= 20 and <= 23 && header[1] == 3 && RecordLayer.BodyLength(header) <= RecordLayer.ContentBytesMax + 2048;

    /// <summary>Hands the first bytes of what was received to libssl, lets it work and sends what it answers.</summary>
    private int StepSsl(int feedBytes = 0)
    {
        _ssl ??= new SslSession(_context!.Inner, _isServer ? null : _serverName, _alpnWire, _resumption);
        if (feedBytes > 0)
        {
            _ssl.Feed(_cipherIn.Used[..feedBytes]);
            _cipherIn.Consume(Loop.Buffers, feedBytes);
        }
        var status = _ssl.Handshake();
        var sentRecords = SendPending();
        return status switch
        {
            HandshakeStatus.Done => Finish(sentRecords),
            HandshakeStatus.Failed => Fail(-Errno.ECONNRESET, _ssl.Error),
            _ => -Errno.EAGAIN,
        };
    }

    /// <summary>Moves libssl's output to the socket; returns how many application-data records (type 23) were in it.</summary>
    private int SendPending()
    {
        var records = 0;
        var next = 0; // Where the next header is, counted from the start of this piece.
        while (_ssl!.DrainPending > 0)
        {
            var count = _ssl.Drain(Loop.Scratch.AsSpan(0, Math.Min(_ssl.DrainPending, Loop.Scratch.Length)));
            if (count <= 0)
                break;
            while (next + HeaderBytes <= count)
            {
                if (Loop.Scratch[next] == 23)
                    records++;
                next += HeaderBytes + BinaryPrimitives.ReadUInt16BigEndian(Loop.Scratch.AsSpan(next + 3));
            }
            next = Math.Max(0, next - count);
            SendOrKeep(Loop.Scratch.AsSpan(0, count));
        }
        return records;
    }

    private int Finish(int ticketRecords)
    {
        var ssl = _ssl!;
        var certificate = ssl.PeerCertificate();
        Peer = new TlsPeer
        {
            ServerName = _serverName,
            Alpn = ssl.Alpn,
            Version = ssl.Version,
            Cipher = ssl.CipherName,
            IsResumed = ssl.IsResumed,
            LocalIdentity = _context!.Identity(ssl.OwnCertificate),
            Certificate = certificate,
            Names = certificate.Length > 0 ? CertificateNames.TryRead(certificate) : null,
        };
        if (!ssl.IsTls13)
        {
            if (_resumption is not null)
                ssl.SaveTo(_resumption);
            return 0;
        }
        // A client's last flight is under handshake keys; a server's is its tickets, under application keys.
        _records = RecordLayer.Create(ssl.CipherSuite, _isServer ? ssl.ClientSecret : ssl.ServerSecret, _isServer ? ssl.ServerSecret : ssl.ClientSecret,
            _isServer ? (ulong)ticketRecords : 0);
        if (_records is null)
            return Fail(-Errno.ECONNRESET, $"cipher suite 0x{ssl.CipherSuite:x4} is not supported by the record layer");
        if (_isServer || _resumption is null)
            DropSsl();
        return 0;
    }

    private void DropSsl()
    {
        _ssl?.Dispose();
        _ssl = null;
    }

    /// <summary>The stream is over because of an error, for good: every later read and write answers with it.</summary>
    private int Fail(int result, string error)
    {
        if (End != StreamEnd.Open)
            return result;
        Error = error;
        _readResult = result;
        End = StreamEnd.Failed;
        if (_writeResult == 0)
            _writeResult = result;
        _cipherIn.Return(Loop.Buffers);
        return result;
    }

    /// <summary>The peer broke the protocol: it is told why, and hears nothing more (RFC 8446 section 6.2).</summary>
    private int Fail(TlsAlert? alert, string error)
    {
        if (alert is { } code && _records is not null && !_closeSent && _writeResult == 0)
        {
            var length = _records.SealAlert(code, Loop.Scratch);
            if (length > 0)
                SendOrKeep(Loop.Scratch.AsSpan(0, length));
        }
        return Fail(-Errno.ECONNRESET, error);
    }

    public override int Write(ReadOnlySpan<byte> source)
    {
        if (HasUnsent)
        {
            var flushed = Flush();
            if (flushed < 0)
                return flushed;
        }
        if (_writeResult < 0)
            return _writeResult;
        if (_closeSent || Peer is null)
            return -Errno.EPIPE;
        if (!Socket.IsWritable)
            return -Errno.EAGAIN;
        return _records is null ? WriteTls12(source) : WriteRecords(source);
    }

    private int WriteRecords(ReadOnlySpan<byte> source)
    {
        var used = 0;
        var sealedBytes = 0;
        for (var i = 0; i < RecordsPerWrite && used < source.Length; i++)
        {
            var piece = Math.Min(RecordLayer.ContentBytesMax, source.Length - used);
            var length = _records!.Seal(source.Slice(used, piece), 23, Loop.Scratch.AsSpan(sealedBytes));
            if (length < 0)
                return _writeResult = -Errno.ECONNRESET;
            used += piece;
            sealedBytes += length;
        }
        SendOrKeep(Loop.Scratch.AsSpan(0, sealedBytes));
        if (_records!.WantsKeyUpdate)
            SendOrKeep(_records.SealKeyUpdate(Loop.Scratch));
        return _writeResult < 0 ? _writeResult : used;
    }

    /// <summary>One record at a time, so that libssl's buffers, which never shrink, stay small.</summary>
    private int WriteTls12(ReadOnlySpan<byte> source)
    {
        var used = 0;
        for (var i = 0; i < RecordsPerWrite && used < source.Length && !HasUnsent && _writeResult == 0; i++)
        {
            var accepted = _ssl!.Write(source.Slice(used, Math.Min(RecordLayer.ContentBytesMax, source.Length - used)));
            SendPending();
            if (accepted < 0)
                return _writeResult = accepted;
            used += accepted;
        }
        return _writeResult < 0 ? _writeResult : used;
    }

    private void SendOrKeep(ReadOnlySpan<byte> bytes)
    {
        if (_writeResult < 0)
            return;
        if (!HasUnsent)
        {
            var sent = Socket.Write(bytes);
            if (sent == bytes.Length)
                return;
            if (sent < 0 && sent != -Errno.EAGAIN)
            {
                _writeResult = sent;
                return;
            }
            bytes = bytes[Math.Max(0, sent)..];
        }
        // Nobody may add without limit: a server's flight before it is read is the longest (libssl bounds certificates at 100 KB).
        if (Peer is not null && _cipherOut.Length + bytes.Length > UnsentBytesMax)
        {
            Invariant.Report("unsent TLS records exceed what one write can leave");
            _writeResult = -Errno.ECONNRESET;
            return;
        }
        _cipherOut.Append(Loop.Buffers, bytes);
    }

    public override int Flush()
    {
        while (HasUnsent)
        {
            var sent = Socket.Write(_cipherOut.Used);
            if (sent < 0)
            {
                if (sent != -Errno.EAGAIN)
                    _writeResult = sent;
                return sent;
            }
            _cipherOut.Consume(Loop.Buffers, sent);
        }
        return 0;
    }

    /// <summary>Says close_notify once; FIN follows when all is with the kernel, so it may take a second call.</summary>
    public override int ShutdownWrite(bool isComplete = true)
    {
        if (isComplete)
            SendCloseNotify();
        _closeSent = true;
        if (_writeResult < 0)
            return _writeResult;
        return HasUnsent ? 0 : base.ShutdownWrite();
    }

    /// <summary>"What I sent is all there is": never after a failure, nor where something sent before is lost.</summary>
    private void SendCloseNotify()
    {
        if (_closeSent || _writeResult < 0 || Peer is null || End is StreamEnd.Failed)
            return;
        _closeSent = true;
        if (_records is not null)
        {
            var length = _records.SealAlert(TlsAlert.CloseNotify, Loop.Scratch);
            if (length > 0)
                SendOrKeep(Loop.Scratch.AsSpan(0, length));
        }
        else if (_ssl is not null)
        {
            _ssl.SendCloseNotify();
            SendPending();
        }
    }

    public override void Abort()
    {
        if (_writeResult == 0)
            _writeResult = -Errno.ECONNABORTED;
        base.Abort();
    }

    public override void Close()
    {
        if (Socket.IsOpen && End is not StreamEnd.Truncated)
            SendCloseNotify();
        _cipherIn.Return(Loop.Buffers);
        _plain.Return(Loop.Buffers);
        _cipherOut.Return(Loop.Buffers);
        _message.Return(Loop.Buffers);
        DropSsl();
        _records?.Dispose();
        _records = null;
        if (_writeResult == 0)
            _writeResult = -Errno.EPIPE;
        if (End == StreamEnd.Open)
        {
            End = StreamEnd.Failed;
            _readResult = -Errno.ECONNRESET;
        }
        base.Close();
    }
}
