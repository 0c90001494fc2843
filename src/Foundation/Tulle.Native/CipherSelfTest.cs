using System.Security.Cryptography;

namespace Tulle.Native;

/// <summary>
/// Our AES-GCM beside libcrypto's in the program that runs: the code that is shipped is not the code that unit tests run (it is compiled by another compiler), so it can be asked to compare itself.
/// </summary>
public static class CipherSelfTest
{
    /// <summary>Every length up to here, which takes every way through the code; beyond it a few up to a whole record.</summary>
    private const int LengthMax = 700;

    private const int RecordMax = 16385;

    /// <summary>Null when all agree, else what did not; <paramref name="summary"/> says what was compared.</summary>
    public static string? Run(out string summary)
    {
        if (!GcmKey.IsSupported)
        {
            summary = "AES-GCM: libcrypto alone, this processor lacks AVX2 or VPCLMULQDQ";
            return null;
        }
        var compared = 0;
        foreach (var kind in new[] { AeadKind.Aes128Gcm, AeadKind.Aes256Gcm })
        {
            for (var length = 0; length < RecordMax; length += length < LengthMax ? 1 : 1021)
            {
                if (Compare(kind, length) is { } wrong)
                {
                    summary = "";
                    return $"{kind}, {length} bytes: {wrong}";
                }
                compared++;
            }
        }
        summary = $"AES-GCM: own code and libcrypto agree in {compared} lengths";
        return null;
    }

    private static string? Compare(AeadKind kind, int length)
    {
        var (key, nonce, associated, text) = (Bytes(AeadCipher.KeyBytes(kind)), Bytes(AeadCipher.NonceBytes), Bytes(length % 17), Bytes(length));
        var (own, theirs) = (new byte[length + 1 + AeadCipher.TagBytes], new byte[length + 1 + AeadCipher.TagBytes]);
        using var ownWriter = new AeadCipher(kind, key, encrypt: true, int.MaxValue);
        using var theirWriter = new AeadCipher(kind, key, encrypt: true, 0);
        if (!ownWriter.Seal(nonce, associated, text, 23, own) || !theirWriter.Seal(nonce, associated, text, 23, theirs) || !own.AsSpan().SequenceEqual(theirs))
            return "they seal differently";
        using var ownReader = new AeadCipher(kind, key, encrypt: false, int.MaxValue);
        if (!ownReader.Open(nonce, associated, theirs, theirs) || !theirs.AsSpan(0, length).SequenceEqual(text) || theirs[length] != 23)
            return "own code does not open what libcrypto sealed";
        own[RandomNumberGenerator.GetInt32(own.Length)] ^= 1;
        return ownReader.Open(nonce, associated, own, own) ? "own code opens what was changed" : null;
    }

    private static byte[] Bytes(int count) => RandomNumberGenerator.GetBytes(count);
}
