using System.Text;

namespace Tulle.Wire.Http1;

/// <summary>What a request's Upgrade fields ask for, judged by what is allowed.</summary>
public enum UpgradeVerdict : byte
{
    /// <summary>Nothing is asked for, or only what a server may pass over.</summary>
    None,
    Allowed,
    Refused,
}

/// <summary>
/// The protocols that a request offers to change to and the one that the answer takes (RFC 9110 section 7.8). All of them count, not the first: behind a
/// 101 the connection is a tunnel that no route and no filter sees any more.
/// </summary>
public static class UpgradeTokens
{
    public static UpgradeVerdict Judge(HttpHead request, IReadOnlyList<string> allowed)
    {
        // HTTP/1.0 has no upgrade (same section).
        if (!request.IsUpgrade || request.MinorVersion == 0)
            return UpgradeVerdict.None;
        var (any, refused, onlyHttp2) = (false, false, true);
        for (var i = request.Find(KnownHeader.Upgrade); i >= 0; i = request.Find(KnownHeader.Upgrade, i + 1))
        {
            for (var rest = request.Value(i); !rest.IsEmpty;)
            {
                var token = HopByHopFields.TakeToken(ref rest);
                if (token.IsEmpty)
                    continue;
                any = true;
                refused |= !IsIn(allowed, token);
                onlyHttp2 &= Ascii.EqualsIgnoreCase(token, "h2c"u8);
            }
        }
        if (!any)
            return UpgradeVerdict.None;
        // An offer of HTTP/2 alone, which some clients make with every first request, is passed over as a server may; Envoy does the same.
        return !refused ? UpgradeVerdict.Allowed : onlyHttp2 ? UpgradeVerdict.None : UpgradeVerdict.Refused;
    }

    /// <summary>Whether a 101 names a protocol, and none that was not asked for.</summary>
    public static bool Answers(HttpHead response, HttpHead request)
    {
        var any = false;
        for (var i = response.Find(KnownHeader.Upgrade); i >= 0; i = response.Find(KnownHeader.Upgrade, i + 1))
        {
            for (var rest = response.Value(i); !rest.IsEmpty;)
            {
                var token = HopByHopFields.TakeToken(ref rest);
                if (token.IsEmpty)
                    continue;
                any = true;
                if (!Offers(request, token))
                    return false;
            }
        }
        return any;
    }

    private static bool Offers(HttpHead request, ReadOnlySpan<byte> wanted)
    {
        for (var i = request.Find(KnownHeader.Upgrade); i >= 0; i = request.Find(KnownHeader.Upgrade, i + 1))
        {
            for (var rest = request.Value(i); !rest.IsEmpty;)
            {
                if (Ascii.EqualsIgnoreCase(HopByHopFields.TakeToken(ref rest), wanted))
                    return true;
            }
        }
        return false;
    }

    private static bool IsIn(IReadOnlyList<string> list, ReadOnlySpan<byte> token)
    {
        for (var i = 0; i < list.Count; i++)
        {
            if (list[i].Length == token.Length && Ascii.EqualsIgnoreCase(token, list[i]))
                return true;
        }
        return false;
    }
}
