using System.Buffers;

namespace Tulle.Wire.Http1;

/// <summary>One field line outside a head (a trailer), checked by the same rules as a head's.</summary>
public static class TrailerLine
{
    private static readonly SearchValues<byte> TokenBytes = SearchValues.Create("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"u8);

    /// <summary>Splits "name: value"; false when it is not a field line. Fields that frame or route a message may not come as trailers (RFC 9110 section 6.5.1).</summary>
    public static bool TryParse(ReadOnlySpan<byte> line, out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        var colon = line.IndexOfAnyExcept(TokenBytes);
        name = value = default;
        if (colon <= 0 || line[colon] != ':')
            return false;
        name = line[..colon];
        value = line[(colon + 1)..].Trim(" \t"u8);
        return value.IndexOfAny((byte)0, (byte)'\r', (byte)'\n') < 0
            && KnownHeaders.Find(name) is not (KnownHeader.Host or KnownHeader.ContentLength or KnownHeader.TransferEncoding or KnownHeader.Connection);
    }
}
