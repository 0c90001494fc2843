using System.Buffers;

namespace Tulle.Wire.Http1;

/// <summary>
/// uri-host [ ":" port ] (RFC 9110 section 7.2, RFC 3986 section 3.2.2). A virtual host that is chosen by one reading of a doubtful Host is another
/// upstream's other reading: whatever does not fit the grammar is refused. A comma, which the grammar lets pass, is the sign of two joined fields.
/// </summary>
internal static class HostGrammar
{
    private static readonly SearchValues<byte> NameBytes =
        SearchValues.Create("-._~!$&'()*+;=0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"u8);

    private static readonly SearchValues<byte> LiteralBytes = SearchValues.Create("0123456789abcdefABCDEF:."u8);

    private static readonly SearchValues<byte> HexBytes = SearchValues.Create("0123456789abcdefABCDEF"u8);

    /// <summary>Whether this is a host with or without a port. An empty one is none.</summary>
    public static bool IsHost(ReadOnlySpan<byte> authority)
    {
        if (authority.IsEmpty)
            return false;
        if (authority[0] == '[')
            return IsLiteral(authority);
        for (var at = 0; at < authority.Length;)
        {
            var plain = authority[at..].IndexOfAnyExcept(NameBytes);
            if (plain < 0)
                return true;
            at += plain;
            if (authority[at] == ':')
                return at > 0 && IsPort(authority[(at + 1)..]);
            if (authority[at] != '%' || authority.Length - at < 3 || authority.Slice(at + 1, 2).IndexOfAnyExcept(HexBytes) >= 0)
                return false;
            at += 3;
        }
        return true;
    }

    /// <summary>IP-literal: an IPv6 address in brackets. Zones and the reserved later versions mean nothing to a proxy.</summary>
    private static bool IsLiteral(ReadOnlySpan<byte> authority)
    {
        var end = authority.IndexOf((byte)']');
        if (end < 3 || authority[1..end].IndexOfAnyExcept(LiteralBytes) >= 0 || authority[1..end].Count((byte)':') is < 2 or > 8)
            return false;
        var rest = authority[(end + 1)..];
        return rest.IsEmpty || (rest[0] == ':' && IsPort(rest[1..]));
    }

    /// <summary>port = *DIGIT (RFC 3986 section 3.2.3); what no port can be is refused.</summary>
    private static bool IsPort(ReadOnlySpan<byte> port) => port.Length <= 5 && port.IndexOfAnyExceptInRange((byte)'0', (byte)'9') < 0;
}
