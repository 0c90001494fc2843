using System.Buffers;

namespace Tulle.Wire.Http1;

/// <summary>What one line of a trailer section is.</summary>
public enum TrailerKind : byte
{
    Field,
    /// <summary>A field that frames or routes a message: it may not come as a trailer (RFC 9110 section 6.5.1).</summary>
    Forbidden,
    Malformed,
}

/// <summary>One field line outside a head (a trailer), checked by the same rules as a head's.</summary>
public static class TrailerLine
{
    private static readonly SearchValues<byte> TokenBytes = SearchValues.Create("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"u8);

    // field-content of RFC 9110 section 5.5: no controls but tab.
    private static readonly SearchValues<byte> ValueStop = SearchValues.Create(
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127]);

    public static TrailerKind Parse(ReadOnlySpan<byte> line, out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        var colon = line.IndexOfAnyExcept(TokenBytes);
        name = value = default;
        if (colon <= 0 || line[colon] != ':')
            return TrailerKind.Malformed;
        name = line[..colon];
        value = line[(colon + 1)..].Trim(" \t"u8);
        if (value.IndexOfAny(ValueStop) >= 0)
            return TrailerKind.Malformed;
        return KnownHeaders.Find(name) is KnownHeader.Host or KnownHeader.ContentLength or KnownHeader.TransferEncoding or KnownHeader.Connection
            ? TrailerKind.Forbidden : TrailerKind.Field;
    }

    /// <summary>Splits "name: value"; false when it is not a field line that may be a trailer.</summary>
    public static bool TryParse(ReadOnlySpan<byte> line, out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value) =>
        Parse(line, out name, out value) == TrailerKind.Field;
}
