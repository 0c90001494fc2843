using System.Text;

namespace Tulle.Wire.Http1;

/// <summary>Fields that Connection names are for the next hop only: a proxy takes them off before it forwards (RFC 9110 section 7.6.1).</summary>
internal static class HopByHopFields
{
    /// <summary>Fields that one head may name. Source: ours; more has no use and costs a search each. Excess: 400 (a response ends as a protocol error).</summary>
    private const int NamedMax = 32;

    /// <summary>
    /// Removes what Connection names. False when it names what it may not: in a request the fields that frame and route it, and those by which proxies
    /// tell where it came from (a client could take them from the next hop; Envoy refuses them too).
    /// </summary>
    public static bool Remove(HttpHead head, bool isRequest)
    {
        var named = 0;
        for (var i = head.Find(KnownHeader.Connection); i >= 0; i = head.Find(KnownHeader.Connection, i + 1))
        {
            for (var rest = head.Value(i); !rest.IsEmpty;)
            {
                var token = TakeToken(ref rest);
                if (token.IsEmpty || IsOption(token))
                    continue;
                if (++named > NamedMax)
                    return false;
                switch (KnownHeaders.Find(token))
                {
                    case KnownHeader.Te:
                        // Kept as far as it says "trailers"; the encoder sees to it.
                        break;
                    case KnownHeader.Host or KnownHeader.ContentLength or KnownHeader.TransferEncoding or KnownHeader.Connection or KnownHeader.ForwardedFor
                        or KnownHeader.ForwardedProto or KnownHeader.ForwardedHost or KnownHeader.ForwardedClientCert:
                        if (isRequest)
                            return false;
                        break;
                    default:
                        head.Remove(token);
                        break;
                }
            }
        }
        return true;
    }

    /// <summary>Options that are no names of fields.</summary>
    internal static bool IsOption(ReadOnlySpan<byte> token) =>
        Ascii.EqualsIgnoreCase(token, "close"u8) || Ascii.EqualsIgnoreCase(token, "keep-alive"u8) || Ascii.EqualsIgnoreCase(token, "upgrade"u8);

    internal static ReadOnlySpan<byte> TakeToken(ref ReadOnlySpan<byte> list)
    {
        var comma = list.IndexOf((byte)',');
        var token = (comma < 0 ? list : list[..comma]).Trim(" \t"u8);
        list = comma < 0 ? default : list[(comma + 1)..];
        return token;
    }
}
