using System.Buffers.Binary;
using System.Security.Cryptography;
using Tulle.Native;
using Tulle.Wire.Tls;

namespace Tulle.Loop;

public enum RecordContent : byte
{
    /// <summary>The connection is over: <see cref="RecordLayer.Alert"/> and <see cref="RecordLayer.Error"/> say why.</summary>
    Invalid,
    ApplicationData,
    Handshake,
    CloseNotify,

    /// <summary>A warning that changes nothing (user_canceled).</summary>
    Ignored,
}

/// <summary>
/// TLS 1.3 records (RFC 8446 section 5) with our own keys. The whole state is two secrets and two counters: it can be handed to another process.
/// The receiving counter is raised by a record that opened and by nothing else.
/// </summary>
public sealed class RecordLayer : IDisposable
{
    /// <summary>opaque_type(1), legacy_record_version(2), length(2).</summary>
    public const int HeaderBytes = 5;

    /// <summary>Content of one record; more is record_overflow (section 5.1).</summary>
    public const int ContentBytesMax = 1 << 14;

    /// <summary>What may follow a header: content, its type, padding and tag (section 5.2).</summary>
    public const int BodyBytesMax = ContentBytesMax + 256;

    /// <summary>Records under one key before we ask for a new one: half of the 2^24.5 that section 5.5 allows for AES-GCM.</summary>
    private const ulong RecordsPerKeyMax = 1ul << 23;

    private readonly HashAlgorithmName _hash;
    private readonly AeadKind _kind;
    private readonly byte[] _readIv = new byte[12];
    private readonly byte[] _writeIv = new byte[12];
    private byte[] _readSecret, _writeSecret;
    private AeadCipher _reader, _writer;
    private ulong _readSequence, _writeSequence;

    private RecordLayer(AeadKind kind, HashAlgorithmName hash, byte[] readSecret, byte[] writeSecret, ulong writeSequence)
    {
        _kind = kind;
        _hash = hash;
        _readSecret = readSecret;
        _writeSecret = writeSecret;
        _writeSequence = writeSequence;
        _reader = MakeCipher(readSecret, _readIv, encrypt: false);
        _writer = MakeCipher(writeSecret, _writeIv, encrypt: true);
    }

    /// <summary>Why the last <see cref="Open"/> answered <see cref="RecordContent.Invalid"/>.</summary>
    public string Error { get; private set; } = "";

    /// <summary>What the peer is to be told of it; null when it was the peer that gave up.</summary>
    public TlsAlert? Alert { get; private set; }

    /// <summary>So many records were sent under this key that a new one is due.</summary>
    public bool WantsKeyUpdate => _writeSequence >= RecordsPerKeyMax;

    /// <summary>Null when the suite is unknown. The secrets belong to the record layer from then on: it wipes them.</summary>
    public static RecordLayer? Create(int cipherSuite, byte[] readSecret, byte[] writeSecret, ulong writeSequence)
    {
        var kind = cipherSuite switch { 0x1301 => AeadKind.Aes128Gcm, 0x1302 => AeadKind.Aes256Gcm, 0x1303 => AeadKind.ChaCha20Poly1305, _ => (AeadKind?)null };
        if (kind is null || readSecret.Length == 0 || writeSecret.Length == 0)
            return null;
        return new RecordLayer(kind.Value, cipherSuite == 0x1302 ? HashAlgorithmName.SHA384 : HashAlgorithmName.SHA256, readSecret, writeSecret, writeSequence);
    }

    private AeadCipher MakeCipher(byte[] secret, byte[] iv, bool encrypt)
    {
        Span<byte> key = stackalloc byte[AeadCipher.KeyBytes(_kind)];
        RecordKeys.Derive(_hash, secret, key, iv);
        var cipher = new AeadCipher(_kind, key, encrypt);
        CryptographicOperations.ZeroMemory(key);
        return cipher;
    }

    /// <summary>The length of the body that follows a header.</summary>
    public static int BodyLength(ReadOnlySpan<byte> header) => BinaryPrimitives.ReadUInt16BigEndian(header[3..]);

    /// <summary>
    /// Looks at the first five bytes, before anybody waits for the rest: behind the Finished every record is of type 23 (section 5; a change_cipher_spec
    /// too is unexpected by then), and none is longer than allowed.
    /// </summary>
    public bool CheckHeader(ReadOnlySpan<byte> header)
    {
        if (header[0] != 23)
            return Fail(TlsAlert.UnexpectedMessage, $"the peer sent a record of type {header[0]} without encryption");
        var length = BodyLength(header);
        if (length > BodyBytesMax)
            return Fail(TlsAlert.RecordOverflow, $"the peer sent a record of {length} bytes; {BodyBytesMax} are the limit");
        return length > AeadCipher.TagBytes || Fail(TlsAlert.BadRecordMac, $"the peer sent a record of {length} bytes, too short for a tag");
    }

    private bool Fail(TlsAlert? alert, string error)
    {
        Alert = alert;
        Error = error;
        return false;
    }

    private RecordContent Invalid(TlsAlert? alert, string error)
    {
        Fail(alert, error);
        return RecordContent.Invalid;
    }

    /// <summary>Seals one record of content and its type into the target; bytes written, or −1.</summary>
    public int Seal(ReadOnlySpan<byte> content, byte type, Span<byte> target)
    {
        // TLSCiphertext: opaque_type = 23, legacy_record_version = 0x0303, length, encrypted_record (content, type, tag)
        var length = content.Length + 1 + AeadCipher.TagBytes;
        if (target.Length < length + HeaderBytes)
            return -1;
        target[0] = 23;
        target[1] = 3;
        target[2] = 3;
        BinaryPrimitives.WriteUInt16BigEndian(target[3..], (ushort)length);
        Span<byte> nonce = stackalloc byte[12];
        RecordKeys.Nonce(_writeIv, _writeSequence++, nonce);
        return _writer.Seal(nonce, target[..HeaderBytes], content, type, target[HeaderBytes..]) ? length + HeaderBytes : -1;
    }

    /// <summary>An alert as a record: warning level for close_notify, fatal for the rest.</summary>
    public int SealAlert(TlsAlert alert, Span<byte> target)
    {
        ReadOnlySpan<byte> content = [alert == TlsAlert.CloseNotify ? (byte)1 : (byte)2, (byte)alert];
        return Seal(content, 21, target);
    }

    /// <summary>Opens one whole record in place.</summary>
    public RecordContent Open(Span<byte> record, out ReadOnlySpan<byte> content)
    {
        content = default;
        if (!CheckHeader(record))
            return RecordContent.Invalid;
        Span<byte> nonce = stackalloc byte[12];
        RecordKeys.Nonce(_readIv, _readSequence, nonce);
        var body = record[HeaderBytes..];
        if (!_reader.Open(nonce, record[..HeaderBytes], body, body))
            return Invalid(TlsAlert.BadRecordMac, "a record did not decrypt: it was changed on the way or the keys differ");
        _readSequence++;
        var end = body[..^AeadCipher.TagBytes].LastIndexOfAnyExcept((byte)0);
        if (end < 0)
            return Invalid(TlsAlert.UnexpectedMessage, "a record has no content type");
        if (end > ContentBytesMax)
            return Invalid(TlsAlert.RecordOverflow, $"a record carries {end} bytes; {ContentBytesMax} are the limit");
        content = body[..end];
        switch (body[end])
        {
            case 23:
                return RecordContent.ApplicationData;
            case 22 when end > 0:
                return RecordContent.Handshake;
            case 21 when end > 0:
                return OnAlert(content);
            case 21 or 22:
                return Invalid(TlsAlert.UnexpectedMessage, "the peer sent a handshake or alert record without content");
            default:
                return Invalid(TlsAlert.UnexpectedMessage, $"the peer sent content of type {body[end]}");
        }
    }

    private RecordContent OnAlert(ReadOnlySpan<byte> content)
    {
        if (content.Length != 2)
            return Invalid(TlsAlert.DecodeError, $"the peer sent an alert of {content.Length} bytes");
        // Section 6: the level means nothing in TLS 1.3; all alerts but these two end the connection.
        return (TlsAlert)content[1] switch
        {
            TlsAlert.CloseNotify => RecordContent.CloseNotify,
            TlsAlert.UserCanceled => RecordContent.Ignored,
            _ => Invalid(null, $"the peer sent alert {content[1]}"),
        };
    }

    public void UpdateReadKey()
    {
        Replace(ref _readSecret);
        _reader.Dispose();
        _reader = MakeCipher(_readSecret, _readIv, encrypt: false);
        _readSequence = 0;
    }

    /// <summary>A KeyUpdate that asks for nothing back, under the old key; the new key is in force after it.</summary>
    public ReadOnlySpan<byte> SealKeyUpdate(Span<byte> scratch)
    {
        ReadOnlySpan<byte> message = [24, 0, 0, 1, 0];
        var length = Seal(message, 22, scratch);
        Replace(ref _writeSecret);
        _writer.Dispose();
        _writer = MakeCipher(_writeSecret, _writeIv, encrypt: true);
        _writeSequence = 0;
        return length > 0 ? scratch[..length] : default;
    }

    private void Replace(ref byte[] secret)
    {
        var next = RecordKeys.NextSecret(_hash, secret);
        CryptographicOperations.ZeroMemory(secret);
        secret = next;
    }

    public void Dispose()
    {
        _reader.Dispose();
        _writer.Dispose();
        CryptographicOperations.ZeroMemory(_readSecret);
        CryptographicOperations.ZeroMemory(_writeSecret);
        CryptographicOperations.ZeroMemory(_readIv);
        CryptographicOperations.ZeroMemory(_writeIv);
    }
}
