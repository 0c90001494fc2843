using System.Buffers.Binary;
using Tulle.Base;
using Tulle.Native;
using Tulle.Wire.Tls;

namespace Tulle.Loop;

/// <summary>
/// TLS on the loop. libssl does the handshake; after it, TLS 1.3 records are ours (<see cref="RecordLayer"/>), which makes a live connection plain data.
/// TLS 1.2 stays on libssl's record path.
/// </summary>
public sealed class TlsTransport : Transport
{
    private const int HeaderBytes = 5;
    private const int RecordBytesMax = 16384 + 256;
    private const int RecordsPerWrite = 4;

    private readonly SslResumption? _resumption;
    private readonly string _serverName;
    private readonly bool _isServer;
    private readonly string? _localIdentity;
    private SslSession? _ssl;
    private RecordLayer? _records;
    private byte[]? _cipherIn; // Rented: received ciphertext that was not used up.
    private int _cipherInStart, _cipherInEnd;
    private byte[]? _plain; // Rented: one decrypted record that did not fit the caller's span.
    private int _plainStart, _plainEnd;
    private byte[]? _cipherOut; // Rented: ciphertext that the kernel did not take.
    private int _cipherOutStart, _cipherOutEnd;
    private bool _closed;

    public TlsTransport(LoopSocket socket, TlsContext context, string serverName, byte[]? alpnWire = null, TlsResumption? resumption = null) : base(socket)
    {
        _serverName = serverName;
        _isServer = context.Inner.IsServer;
        _localIdentity = context.Identity;
        _resumption = resumption?.Inner;
        _ssl = new SslSession(context.Inner, _isServer ? null : serverName, alpnWire, _resumption);
    }

    public string Error { get; private set; } = "";

    public override bool HasUnsent => _cipherOutEnd > _cipherOutStart;

    public override bool CanRead => _plainEnd > _plainStart || HasWholeRecord || base.CanRead;

    private bool HasWholeRecord
    {
        get
        {
            var available = _cipherInEnd - _cipherInStart;
            return available >= HeaderBytes
                && available >= HeaderBytes + BinaryPrimitives.ReadUInt16BigEndian(_cipherIn.AsSpan(_cipherInStart + 3));
        }
    }

    /// <summary>One step of the handshake: 0 when done, −EAGAIN to be called again when the socket is ready, −EPROTO-like on failure (<see cref="Error"/>).</summary>
    public int Handshake()
    {
        while (true)
        {
            if (HasUnsent && Flush() is < 0 and not -Errno.EAGAIN and var lost)
                return Fail(lost, Errno.Text(-lost));
            var status = _ssl!.Handshake();
            var sentRecords = SendPending();
            if (status == HandshakeStatus.Done)
                return Finish(sentRecords);
            if (status == HandshakeStatus.Failed)
                return Fail(-Errno.ECONNRESET, _ssl.Error);
            var count = ReadRaw(Loop.Scratch);
            if (count == -Errno.EAGAIN)
                return count;
            if (count == 0)
                return Fail(-Errno.ECONNRESET, "the peer closed during the handshake");
            if (count < 0)
                return Fail(count, Errno.Text(-count));
            _ssl.Feed(Loop.Scratch.AsSpan(0, count));
        }
    }

    private int Fail(int result, string error)
    {
        Error = error;
        return result;
    }

    /// <summary>Moves libssl's output to the socket; returns how many application-data records (type 23) were in it.</summary>
    private int SendPending()
    {
        var records = 0;
        while (_ssl!.DrainPending > 0)
        {
            var pending = Math.Min(_ssl.DrainPending, Loop.Scratch.Length);
            var count = _ssl.Drain(Loop.Scratch.AsSpan(0, pending));
            if (count <= 0)
                break;
            for (var at = 0; at + HeaderBytes <= count; at += HeaderBytes + BinaryPrimitives.ReadUInt16BigEndian(Loop.Scratch.AsSpan(at + 3)))
            {
                if (Loop.Scratch[at] == 23)
                    records++;
            }
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
            LocalIdentity = _localIdentity,
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
        var unread = ssl.TakeUnread(Loop.Scratch);
        if (unread > 0)
            KeepCipher(Loop.Scratch.AsSpan(0, unread));
        if (_isServer || _resumption is null)
            DropSsl();
        return 0;
    }

    private void DropSsl()
    {
        _ssl?.Dispose();
        _ssl = null;
    }

    public override int Read(Span<byte> target)
    {
        if (_plainEnd > _plainStart)
            return TakePlain(target);
        return _records is null ? ReadTls12(target) : ReadRecords(target);
    }

    private int TakePlain(Span<byte> target)
    {
        var count = Math.Min(target.Length, _plainEnd - _plainStart);
        _plain.AsSpan(_plainStart, count).CopyTo(target);
        _plainStart += count;
        if (_plainStart == _plainEnd)
            Loop.Buffers.Return(Take(ref _plain, ref _plainStart, ref _plainEnd));
        return count;
    }

    private static byte[] Take(ref byte[]? buffer, ref int start, ref int end)
    {
        var taken = buffer!;
        buffer = null;
        start = end = 0;
        return taken;
    }

    private int ReadRecords(Span<byte> target)
    {
        var produced = 0;
        while (!_closed)
        {
            // Whole records that are here already.
            while (HasWholeRecord)
            {
                var length = HeaderBytes + BinaryPrimitives.ReadUInt16BigEndian(_cipherIn.AsSpan(_cipherInStart + 3));
                if (produced > 0 && length - HeaderBytes - AeadCipher.TagBytes > target.Length - produced)
                    return produced;
                var result = OpenRecord(_cipherIn.AsSpan(_cipherInStart, length), target[produced..]);
                _cipherInStart += length;
                if (_cipherInStart == _cipherInEnd)
                    Loop.Buffers.Return(Take(ref _cipherIn, ref _cipherInStart, ref _cipherInEnd));
                if (result < 0)
                    return produced > 0 ? produced : result;
                produced += result;
                if (_closed || produced == target.Length || _plainEnd > _plainStart)
                    return produced;
            }
            if (_cipherIn is not null && _cipherInEnd - _cipherInStart >= HeaderBytes
                && BinaryPrimitives.ReadUInt16BigEndian(_cipherIn.AsSpan(_cipherInStart + 3)) > RecordBytesMax)
            {
                return Fail(-Errno.ECONNRESET, "the peer sent a record longer than 16,640 bytes");
            }
            if (produced > 0 && !base.CanRead)
                return produced;
            EnsureCipherRoom();
            var count = ReadRaw(_cipherIn.AsSpan(_cipherInEnd));
            if (count <= 0)
            {
                if (_cipherInEnd == _cipherInStart)
                    Loop.Buffers.Return(Take(ref _cipherIn, ref _cipherInStart, ref _cipherInEnd));
                if (count == 0)
                    _closed = true;
                return produced > 0 ? produced : count;
            }
            _cipherInEnd += count;
        }
        return produced;
    }

    private void EnsureCipherRoom()
    {
        _cipherIn ??= Loop.Buffers.Rent(BufferPool.Large);
        if (_cipherInStart > 0)
        {
            _cipherIn.AsSpan(_cipherInStart, _cipherInEnd - _cipherInStart).CopyTo(_cipherIn);
            _cipherInEnd -= _cipherInStart;
            _cipherInStart = 0;
        }
    }

    private void KeepCipher(ReadOnlySpan<byte> bytes)
    {
        EnsureCipherRoom();
        bytes.CopyTo(_cipherIn.AsSpan(_cipherInEnd));
        _cipherInEnd += bytes.Length;
    }

    /// <summary>Decrypts one record in place and delivers its content; 0 when it carried none for the caller.</summary>
    private int OpenRecord(Span<byte> record, Span<byte> target)
    {
        var type = _records!.Open(record, out var content);
        switch (type)
        {
            case RecordContent.ApplicationData:
                if (_ssl is not null)
                    DropSsl();
                if (content.Length <= target.Length)
                {
                    content.CopyTo(target);
                    return content.Length;
                }
                content[..target.Length].CopyTo(target);
                _plain = Loop.Buffers.Rent(BufferPool.Medium);
                _plainEnd = content.Length - target.Length;
                content[target.Length..].CopyTo(_plain);
                return target.Length;
            case RecordContent.Handshake:
                return OnPostHandshake(content);
            case RecordContent.CloseNotify:
                _closed = true;
                return 0;
            case RecordContent.Ignored:
                return 0;
            default:
                return Fail(-Errno.ECONNRESET, _records.Error);
        }
    }

    private int OnPostHandshake(ReadOnlySpan<byte> content)
    {
        // RFC 8446 section 4.6: NewSessionTicket (4) to clients, KeyUpdate (24) to both. A message split over records would be valid and is never sent by real peers.
        Span<byte> none = stackalloc byte[16];
        while (content.Length >= 4)
        {
            var length = (content[1] << 16) | (content[2] << 8) | content[3];
            if (length > content.Length - 4)
                return Fail(-Errno.ECONNRESET, "a post-handshake message is split over records");
            var body = content.Slice(4, length);
            if (content[0] == 24 && length == 1)
            {
                _records!.UpdateReadKey();
                if (body[0] == 1)
                    SendOrKeep(_records.SealKeyUpdate(Loop.Scratch));
            }
            else if (content[0] == 4 && !_isServer)
            {
                if (_ssl is not null && _resumption is not null)
                {
                    // libssl sees the same record as sequence number n of its own count: tickets come before any data.
                    _ssl.Feed(_records!.LastRecordCopy);
                    _ = _ssl.Read(none);
                    _ssl.SaveTo(_resumption);
                }
            }
            else
            {
                return Fail(-Errno.ECONNRESET, $"unexpected post-handshake message {content[0]}");
            }
            content = content[(4 + length)..];
        }
        return 0;
    }

    private int ReadTls12(Span<byte> target)
    {
        if (_ssl is null)
            return -Errno.ECONNRESET;
        while (true)
        {
            var count = _ssl.Read(target);
            if (_ssl.DrainPending > 0)
                SendPending();
            if (count != -Errno.EAGAIN)
            {
                if (count < 0)
                    Error = _ssl.Error;
                return count;
            }
            var received = ReadRaw(Loop.Scratch);
            if (received <= 0)
                return received;
            _ssl.Feed(Loop.Scratch.AsSpan(0, received));
        }
    }

    public override int Write(ReadOnlySpan<byte> source)
    {
        if (HasUnsent)
        {
            var flushed = Flush();
            if (flushed < 0)
                return flushed;
        }
        if (_records is null)
        {
            if (_ssl is null)
                return -Errno.ECONNRESET;
            var accepted = _ssl.Write(source[..Math.Min(source.Length, 16384 * RecordsPerWrite)]);
            SendPending();
            return accepted;
        }
        if (!Socket.IsWritable)
            return -Errno.EAGAIN;
        var used = 0;
        var sealedBytes = 0;
        for (var i = 0; i < RecordsPerWrite && used < source.Length; i++)
        {
            var piece = Math.Min(16384, source.Length - used);
            var length = _records.Seal(source.Slice(used, piece), 23, Loop.Scratch.AsSpan(sealedBytes));
            if (length < 0)
                return -Errno.ECONNRESET;
            used += piece;
            sealedBytes += length;
        }
        SendOrKeep(Loop.Scratch.AsSpan(0, sealedBytes));
        if (_records.WantsKeyUpdate)
            SendOrKeep(_records.SealKeyUpdate(Loop.Scratch));
        return used;
    }

    private void SendOrKeep(ReadOnlySpan<byte> bytes)
    {
        if (!HasUnsent)
        {
            var sent = Socket.Write(bytes);
            if (sent == bytes.Length)
                return;
            // An error shows at the next read or write; what was accepted is lost with the connection.
            if (sent < 0 && sent != -Errno.EAGAIN)
                return;
            bytes = bytes[Math.Max(0, sent)..];
        }
        var needed = _cipherOutEnd - _cipherOutStart + bytes.Length;
        if (_cipherOut is null)
        {
            _cipherOut = Loop.Buffers.Rent(needed);
        }
        else if (_cipherOut.Length - _cipherOutEnd < bytes.Length)
        {
            var grown = needed > _cipherOut.Length ? Loop.Buffers.Rent(needed) : _cipherOut;
            _cipherOut.AsSpan(_cipherOutStart, _cipherOutEnd - _cipherOutStart).CopyTo(grown);
            if (!ReferenceEquals(grown, _cipherOut))
                Loop.Buffers.Return(_cipherOut);
            _cipherOut = grown;
            _cipherOutEnd -= _cipherOutStart;
            _cipherOutStart = 0;
        }
        bytes.CopyTo(_cipherOut.AsSpan(_cipherOutEnd));
        _cipherOutEnd += bytes.Length;
    }

    public override int Flush()
    {
        while (HasUnsent)
        {
            var sent = Socket.Write(_cipherOut.AsSpan(_cipherOutStart, _cipherOutEnd - _cipherOutStart));
            if (sent < 0)
                return sent;
            _cipherOutStart += sent;
            if (_cipherOutStart == _cipherOutEnd)
                Loop.Buffers.Return(Take(ref _cipherOut, ref _cipherOutStart, ref _cipherOutEnd));
        }
        return 0;
    }

    public override int ShutdownWrite()
    {
        SendCloseNotify();
        return HasUnsent ? 0 : base.ShutdownWrite();
    }

    private void SendCloseNotify()
    {
        if (_records is not null)
        {
            ReadOnlySpan<byte> alert = [1, 0];
            var length = _records.Seal(alert, 21, Loop.Scratch);
            if (length > 0)
                SendOrKeep(Loop.Scratch.AsSpan(0, length));
        }
        else if (_ssl is not null && Peer is not null)
        {
            _ssl.SendCloseNotify();
            SendPending();
        }
    }

    public override void Close()
    {
        if (Socket.IsOpen && Peer is not null && !_closed)
            SendCloseNotify();
        if (_cipherIn is not null)
            Loop.Buffers.Return(Take(ref _cipherIn, ref _cipherInStart, ref _cipherInEnd));
        if (_plain is not null)
            Loop.Buffers.Return(Take(ref _plain, ref _plainStart, ref _plainEnd));
        if (_cipherOut is not null)
            Loop.Buffers.Return(Take(ref _cipherOut, ref _cipherOutStart, ref _cipherOutEnd));
        DropSsl();
        _records?.Dispose();
        _records = null;
        base.Close();
    }
}
