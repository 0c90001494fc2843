using System.Buffers.Binary;
using System.Security.Cryptography;
using Tulle.Native;
using Tulle.Wire.Tls;

namespace Tulle.Loop;

public enum RecordContent : byte
{
    Invalid,
    ApplicationData,
    Handshake,
    CloseNotify,
    Ignored,
}

/// <summary>
/// TLS 1.3 records (RFC 8446 section 5) with our own keys. The whole state is two secrets and two counters: it can be handed to another process.
/// </summary>
public sealed class RecordLayer : IDisposable
{
    /// <summary>Records under one key before we ask for a new one: half of the 2^24.5 that section 5.5 allows for AES-GCM.</summary>
    private const ulong RecordsPerKeyMax = 1ul << 23;

    private readonly HashAlgorithmName _hash;
    private readonly AeadKind _kind;
    private readonly byte[] _readIv = new byte[12];
    private readonly byte[] _writeIv = new byte[12];
    private byte[] _readSecret, _writeSecret;
    private AeadCipher _reader, _writer;
    private ulong _readSequence, _writeSequence;
    private byte[] _lastRecord = [];

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

    public string Error { get; private set; } = "";

    /// <summary>So many records were sent under this key that a new one is due.</summary>
    public bool WantsKeyUpdate => _writeSequence >= RecordsPerKeyMax;

    /// <summary>The last handshake record as it came, for libssl to take a ticket from.</summary>
    public ReadOnlySpan<byte> LastRecordCopy => _lastRecord;

    /// <summary>Null when the suite is unknown.</summary>
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
        return new AeadCipher(_kind, key, encrypt);
    }

    /// <summary>Seals one record of content and its type into the target; bytes written, or −1.</summary>
    public int Seal(ReadOnlySpan<byte> content, byte type, Span<byte> target)
    {
        // TLSCiphertext: opaque_type = 23, legacy_record_version = 0x0303, length, encrypted_record (content, type, tag)
        var length = content.Length + 1 + AeadCipher.TagBytes;
        if (target.Length < length + 5)
            return -1;
        target[0] = 23;
        target[1] = 3;
        target[2] = 3;
        BinaryPrimitives.WriteUInt16BigEndian(target[3..], (ushort)length);
        Span<byte> nonce = stackalloc byte[12];
        RecordKeys.Nonce(_writeIv, _writeSequence++, nonce);
        return _writer.Seal(nonce, target[..5], content, type, target[5..]) ? length + 5 : -1;
    }

    /// <summary>Opens one whole record in place.</summary>
    public RecordContent Open(Span<byte> record, out ReadOnlySpan<byte> content)
    {
        content = default;
        // A change_cipher_spec of one byte 1 is legal noise for middleboxes (section 5).
        if (record[0] == 20 && record.Length == 6 && record[5] == 1)
            return RecordContent.Ignored;
        if (record[0] != 23)
        {
            Error = $"the peer sent a record of type {record[0]} without encryption";
            return RecordContent.Invalid;
        }
        Span<byte> nonce = stackalloc byte[12];
        RecordKeys.Nonce(_readIv, _readSequence++, nonce);
        var body = record[5..];
        // libssl takes tickets from the record as it was: keep it, small ones only, and only until the first data came.
        var copy = body.Length < 2048 && _readSequence <= 4 ? record.ToArray() : null;
        if (body.Length < AeadCipher.TagBytes + 1 || !_reader.Open(nonce, record[..5], body, body))
        {
            Error = "a record did not decrypt: it was changed on the way or the keys differ";
            return RecordContent.Invalid;
        }
        var end = body[..^AeadCipher.TagBytes].LastIndexOfAnyExcept((byte)0);
        if (end < 0)
        {
            Error = "a record has no content type";
            return RecordContent.Invalid;
        }
        content = body[..end];
        switch (body[end])
        {
            case 23:
                return RecordContent.ApplicationData;
            case 22:
                _lastRecord = copy ?? [];
                return RecordContent.Handshake;
            case 21 when content.Length == 2 && content[1] is 0 or 90:
                return RecordContent.CloseNotify;
            case 21:
                Error = content.Length == 2 ? $"the peer sent alert {content[1]}" : "a malformed alert";
                return RecordContent.Invalid;
            default:
                Error = $"unknown content type {body[end]}";
                return RecordContent.Invalid;
        }
    }

    public void UpdateReadKey()
    {
        _readSecret = RecordKeys.NextSecret(_hash, _readSecret);
        _reader.Dispose();
        _reader = MakeCipher(_readSecret, _readIv, encrypt: false);
        _readSequence = 0;
    }

    /// <summary>A KeyUpdate that asks for nothing back, under the old key; the new key is in force after it.</summary>
    public ReadOnlySpan<byte> SealKeyUpdate(Span<byte> scratch)
    {
        ReadOnlySpan<byte> message = [24, 0, 0, 1, 0];
        var length = Seal(message, 22, scratch);
        _writeSecret = RecordKeys.NextSecret(_hash, _writeSecret);
        _writer.Dispose();
        _writer = MakeCipher(_writeSecret, _writeIv, encrypt: true);
        _writeSequence = 0;
        return length > 0 ? scratch[..length] : default;
    }

    public void Dispose()
    {
        _reader.Dispose();
        _writer.Dispose();
    }
}
