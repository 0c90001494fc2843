namespace Tulle.Native;

public enum AeadKind : byte
{
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

/// <summary>
/// One AEAD key in one direction: AES-GCM in our own vector code for the records that <see cref="GcmChoice"/> gives it, else an EVP context that is set up once (at the first such record) and
/// given only a new nonce per record.
/// </summary>
public sealed unsafe class AeadCipher : IDisposable
{
    public const int TagBytes = 16;
    public const int NonceBytes = 12;

    // Fetched once: the ciphers that OpenSSL names by function are looked up in its providers at every use.
    private static readonly nint s_aes128 = OpenSslShims.Cipher("AES-128-GCM", "EVP_aes_128_gcm");
    private static readonly nint s_aes256 = OpenSslShims.Cipher("AES-256-GCM", "EVP_aes_256_gcm");
    private static readonly nint s_chaCha = OpenSslShims.Cipher("ChaCha20-Poly1305", "EVP_chacha20_poly1305");

    private readonly int _encrypt;
    private readonly int _ownBelow;
    private readonly GcmKey? _own;
    private BoringChaCha? _chaCha;
    private nint _context;

    public AeadCipher(AeadKind kind, ReadOnlySpan<byte> key, bool encrypt)
        : this(kind, key, encrypt, GcmChoice.OwnBelow)
    {
    }

    /// <param name="ownBelow">Records below this length are our own code's.</param>
    public AeadCipher(AeadKind kind, ReadOnlySpan<byte> key, bool encrypt, int ownBelow)
    {
        Kind = kind;
        _encrypt = encrypt ? 1 : 0;
        _ownBelow = ownBelow;
        if (kind != AeadKind.ChaCha20Poly1305 && key.Length == KeyBytes(kind) && ownBelow > 0)
            _own = new GcmKey(key);
        else
            MakeContext(key);
    }

    private void MakeContext(ReadOnlySpan<byte> key)
    {
        TlsLibrary.Load();
        if (Kind == AeadKind.ChaCha20Poly1305 && s_chaCha == 0 && key.Length == KeyBytes(Kind))
        {
            _chaCha = new BoringChaCha(key);
            return;
        }
        _context = OpenSsl.EVP_CIPHER_CTX_new();
        var cipher = Kind switch
        {
            AeadKind.Aes128Gcm => s_aes128,
            AeadKind.Aes256Gcm => s_aes256,
            _ => s_chaCha,
        };
        if (key.Length != KeyBytes(Kind) || OpenSsl.EVP_CipherInit_ex(_context, cipher, 0, key, default, _encrypt) != 1)
            throw new InvalidOperationException($"libcrypto refused a {Kind} key of {key.Length} bytes: {OpenSsl.TakeError()}");
    }

    public AeadKind Kind { get; }

    public static int KeyBytes(AeadKind kind) => kind == AeadKind.Aes128Gcm ? 16 : 32;

    /// <summary>Encrypts in two parts (the record's content, then its type byte) and appends the tag; source and target may be the same memory.</summary>
    public bool Seal(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associated, ReadOnlySpan<byte> plaintext, byte lastByte, Span<byte> output)
    {
        if (output.Length < plaintext.Length + 1 + TagBytes)
            return false;
        if (_own is not null)
        {
            if (plaintext.Length < _ownBelow)
            {
                _own.Seal(nonce, associated, plaintext, lastByte, output);
                return true;
            }
            if (_context == 0)
                MakeContext(_own.Key);
        }
        if (_chaCha is not null)
            return _chaCha.Seal(nonce, associated, plaintext, lastByte, output);
        if (OpenSsl.EVP_CipherInit_ex(_context, 0, 0, default, nonce, -1) != 1)
            return false;
        int written;
        fixed (byte* aad = associated, input = plaintext, target = output)
        {
            if (OpenSsl.EVP_CipherUpdate(_context, null, &written, aad, associated.Length) != 1)
                return false;
            if (plaintext.Length > 0 && OpenSsl.EVP_CipherUpdate(_context, target, &written, input, plaintext.Length) != 1)
                return false;
            if (OpenSsl.EVP_CipherUpdate(_context, target + plaintext.Length, &written, &lastByte, 1) != 1)
                return false;
            var end = target + plaintext.Length + 1;
            return OpenSsl.EVP_CipherFinal_ex(_context, end, &written) == 1
                && OpenSsl.EVP_CIPHER_CTX_ctrl(_context, OpenSsl.EVP_CTRL_GCM_GET_TAG, TagBytes, end) == 1;
        }
    }

    /// <summary>Decrypts and checks the tag at the end of the input; false when it does not fit. Source and target may be the same memory.</summary>
    public bool Open(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associated, ReadOnlySpan<byte> sealedText, Span<byte> output)
    {
        var length = sealedText.Length - TagBytes;
        if (length < 0 || output.Length < length)
            return false;
        if (_own is not null)
        {
            if (length < _ownBelow)
                return _own.Open(nonce, associated, sealedText, output);
            if (_context == 0)
                MakeContext(_own.Key);
        }
        if (_chaCha is not null)
            return _chaCha.Open(nonce, associated, sealedText, output);
        if (OpenSsl.EVP_CipherInit_ex(_context, 0, 0, default, nonce, -1) != 1)
            return false;
        int written;
        fixed (byte* aad = associated, input = sealedText, target = output)
        {
            if (OpenSsl.EVP_CipherUpdate(_context, null, &written, aad, associated.Length) != 1)
                return false;
            if (length > 0 && OpenSsl.EVP_CipherUpdate(_context, target, &written, input, length) != 1)
                return false;
            byte unused;
            return OpenSsl.EVP_CIPHER_CTX_ctrl(_context, OpenSsl.EVP_CTRL_GCM_SET_TAG, TagBytes, input + length) == 1
                && OpenSsl.EVP_CipherFinal_ex(_context, &unused, &written) == 1;
        }
    }

    public void Dispose()
    {
        _own?.Clear();
        _chaCha?.Free();
        if (_context != 0)
            OpenSsl.EVP_CIPHER_CTX_free(_context);
        _context = 0;
    }
}
