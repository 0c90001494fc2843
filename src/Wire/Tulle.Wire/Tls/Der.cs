namespace Tulle.Wire.Tls;

/// <summary>Tags, lengths and values of DER (X.690 section 8.1), definite lengths only.</summary>
internal static class Der
{
    public static bool Take(ref ReadOnlySpan<byte> der, byte tag, out ReadOnlySpan<byte> value)
    {
        value = default;
        return der.Length > 0 && der[0] == tag && TakeAny(ref der, out _, out value);
    }

    /// <summary>One tag, length and value.</summary>
    public static bool TakeAny(ref ReadOnlySpan<byte> der, out byte tag, out ReadOnlySpan<byte> value)
    {
        tag = 0;
        value = default;
        if (der.Length < 2)
            return false;
        tag = der[0];
        int length = der[1];
        var at = 2;
        if (length >= 0x80)
        {
            var bytes = length & 0x7F;
            if (bytes is 0 or > 3 || der.Length < 2 + bytes)
                return false;
            length = 0;
            for (var i = 0; i < bytes; i++)
                length = (length << 8) | der[at++];
        }
        if (length > der.Length - at)
            return false;
        value = der.Slice(at, length);
        der = der[(at + length)..];
        return true;
    }
}
