using System.Security.Cryptography;

namespace Tulle.Native;

/// <summary>
/// The blocks of a PEM text (RFC 7468), read whole: a block that is damaged is an error that says which one it is. A bundle of which a part was
/// dropped in silence would refuse peers for no reason that anybody can see.
/// </summary>
public static class PemBlocks
{
    private static ReadOnlySpan<byte> Begin => "-----BEGIN "u8;

    /// <param name="pem">Text before, between and behind the blocks is no content.</param>
    /// <param name="what">Names the text in errors.</param>
    /// <exception cref="InvalidOperationException">A block does not end, or is no base64.</exception>
    public static List<(string Label, byte[] Der)> Read(ReadOnlySpan<byte> pem, string what)
    {
        var blocks = new List<(string, byte[])>();
        while (pem.IndexOf(Begin) is >= 0 and var start)
        {
            pem = pem[start..];
            if (!PemEncoding.TryFindUtf8(pem, out var fields) || fields.Location.Start.Value != 0)
            {
                // The header lines of an old encrypted key are not RFC 7468; such a key is read by the library, a bundle skips it.
                if (!TrySkipOldKey(ref pem))
                    throw new InvalidOperationException($"block {blocks.Count + 1} of {what} is damaged: it has no end line or is not base64");
                continue;
            }
            var der = new byte[fields.DecodedDataLength];
            System.Buffers.Text.Base64.DecodeFromUtf8(pem[fields.Base64Data], der, out _, out _);
            blocks.Add((System.Text.Encoding.ASCII.GetString(pem[fields.Label]), der));
            pem = pem[fields.Location.End.Value..];
        }
        return blocks;
    }

    private static bool TrySkipOldKey(ref ReadOnlySpan<byte> pem)
    {
        var line = pem[..Math.Max(0, pem.IndexOf((byte)'\n'))];
        var end = pem.IndexOf("-----END "u8);
        if (end < 0 || line.IndexOf("PRIVATE KEY"u8) < 0 || pem[..end].IndexOf("Proc-Type:"u8) < 0)
            return false;
        pem = pem[end..];
        return true;
    }
}
