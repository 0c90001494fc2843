using System.Security.Cryptography;
using System.Text;

namespace Tulle.Wire.Tls;

/// <summary>Key schedule of TLS 1.3 records (RFC 8446 section 7.3): traffic secret to key and nonce base, and to the next secret after a KeyUpdate.</summary>
public static class RecordKeys
{
    public static void Derive(HashAlgorithmName hash, ReadOnlySpan<byte> secret, Span<byte> key, Span<byte> iv)
    {
        Expand(hash, secret, "key"u8, key);
        Expand(hash, secret, "iv"u8, iv);
    }

    /// <summary>application_traffic_secret_N+1 = HKDF-Expand-Label(secret_N, "traffic upd", "", Hash.length).</summary>
    public static byte[] NextSecret(HashAlgorithmName hash, ReadOnlySpan<byte> secret)
    {
        var next = new byte[secret.Length];
        Expand(hash, secret, "traffic upd"u8, next);
        return next;
    }

    /// <summary>The nonce of a record: the sequence number, padded to the left, XOR the nonce base (section 5.3).</summary>
    public static void Nonce(ReadOnlySpan<byte> iv, ulong sequence, Span<byte> nonce)
    {
        iv.CopyTo(nonce);
        for (var i = 0; i < 8; i++)
            nonce[11 - i] ^= (byte)(sequence >> (8 * i));
    }

    private static void Expand(HashAlgorithmName hash, ReadOnlySpan<byte> secret, ReadOnlySpan<byte> label, Span<byte> output)
    {
        // HkdfLabel: uint16 length, opaque label<7..255> = "tls13 " + Label, opaque context<0..255> = empty
        Span<byte> info = stackalloc byte[33];
        info[0] = 0;
        info[1] = (byte)output.Length;
        info[2] = (byte)(6 + label.Length);
        "tls13 "u8.CopyTo(info[3..]);
        label.CopyTo(info[9..]);
        info[9 + label.Length] = 0;
        // HKDF-Expand (RFC 5869 section 2.3) with one block, T(1) = HMAC(secret, info | 0x01): no output here is longer than the hash.
        info[10 + label.Length] = 1;
        info = info[..(11 + label.Length)];
        Span<byte> block = stackalloc byte[HMACSHA384.HashSizeInBytes];
        if (hash == HashAlgorithmName.SHA384)
            HMACSHA384.HashData(secret, info, block);
        else
            HMACSHA256.HashData(secret, info, block);
        block[..output.Length].CopyTo(output);
        CryptographicOperations.ZeroMemory(block);
    }

    /// <summary>Takes one line of a key log ("LABEL client_random secret") apart.</summary>
    public static bool TryParseKeyLog(ReadOnlySpan<byte> line, ReadOnlySpan<byte> label, out byte[] secret)
    {
        secret = [];
        if (!line.StartsWith(label) || line.Length <= label.Length || line[label.Length] != ' ')
            return false;
        var lastSpace = line.LastIndexOf((byte)' ');
        var hex = line[(lastSpace + 1)..];
        if (hex.Length is not (64 or 96))
            return false;
        secret = Convert.FromHexString(Encoding.ASCII.GetString(hex));
        return true;
    }
}
