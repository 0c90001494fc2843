namespace Tulle.Native;

/// <summary>ChaCha20-Poly1305 of BoringSSL, which has it as an EVP_AEAD only (RFC 8439).</summary>
internal sealed unsafe class BoringChaCha
{
    private static readonly delegate* unmanaged<nint, byte*, nuint, nuint, nint> s_new = (delegate* unmanaged<nint, byte*, nuint, nuint, nint>)TlsLibrary.Export("EVP_AEAD_CTX_new");
    private static readonly delegate* unmanaged<nint, void> s_free = (delegate* unmanaged<nint, void>)TlsLibrary.Export("EVP_AEAD_CTX_free");
    private static readonly delegate* unmanaged<nint> s_kind = (delegate* unmanaged<nint>)TlsLibrary.Export("EVP_aead_chacha20_poly1305");

    private static readonly delegate* unmanaged<nint, byte*, nuint*, nuint, byte*, nuint, byte*, nuint, byte*, nuint, int> s_seal =
        (delegate* unmanaged<nint, byte*, nuint*, nuint, byte*, nuint, byte*, nuint, byte*, nuint, int>)TlsLibrary.Export("EVP_AEAD_CTX_seal");

    private static readonly delegate* unmanaged<nint, byte*, nuint*, nuint, byte*, nuint, byte*, nuint, byte*, nuint, int> s_open =
        (delegate* unmanaged<nint, byte*, nuint*, nuint, byte*, nuint, byte*, nuint, byte*, nuint, int>)TlsLibrary.Export("EVP_AEAD_CTX_open");

    private nint _context;

    /// <exception cref="InvalidOperationException">The library has no such cipher, or refuses the key.</exception>
    public BoringChaCha(ReadOnlySpan<byte> key)
    {
        if (s_new is null || s_free is null || s_kind is null || s_seal is null || s_open is null)
            throw new InvalidOperationException($"{TlsLibrary.Version} has no ChaCha20-Poly1305");
        fixed (byte* start = key)
            _context = s_new(s_kind(), start, (nuint)key.Length, AeadCipher.TagBytes);
        if (_context == 0)
            throw new InvalidOperationException($"{TlsLibrary.Version} refused a ChaCha20-Poly1305 key: {OpenSsl.TakeError()}");
    }

    public bool Seal(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associated, ReadOnlySpan<byte> plaintext, byte lastByte, Span<byte> output)
    {
        plaintext.CopyTo(output);
        output[plaintext.Length] = lastByte;
        nuint written;
        fixed (byte* iv = nonce, extra = associated, text = output)
        {
            return s_seal(_context, text, &written, (nuint)output.Length, iv, (nuint)nonce.Length, text, (nuint)plaintext.Length + 1, extra,
                (nuint)associated.Length) == 1;
        }
    }

    public bool Open(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associated, ReadOnlySpan<byte> sealedText, Span<byte> output)
    {
        nuint written;
        fixed (byte* iv = nonce, extra = associated, input = sealedText, text = output)
        {
            var done = s_open(_context, text, &written, (nuint)output.Length, iv, (nuint)nonce.Length, input, (nuint)sealedText.Length, extra,
                (nuint)associated.Length) == 1;
            if (!done)
                OpenSsl.ERR_clear_error();
            return done;
        }
    }

    public void Free()
    {
        if (_context != 0)
            s_free(_context);
        _context = 0;
    }
}
