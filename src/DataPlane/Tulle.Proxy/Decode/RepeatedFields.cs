using System.Text;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>
/// Joins the lines of a field that came several times, for the fields of which a proxy or an application is likely to read one line only
/// (RFC 9110 section 5.3 allows it). Which ones: those that Envoy joins.
/// </summary>
internal static class RepeatedFields
{
    private const ulong JoinedKnown = 1UL << (int)KnownHeader.Expect | 1UL << (int)KnownHeader.UserAgent | 1UL << (int)KnownHeader.Via | 1UL << (int)KnownHeader.ContentType
        | 1UL << (int)KnownHeader.RequestId | 1UL << (int)KnownHeader.ForwardedFor | 1UL << (int)KnownHeader.ForwardedProto | 1UL << (int)KnownHeader.ForwardedHost
        | 1UL << (int)KnownHeader.ForwardedClientCert | 1UL << (int)KnownHeader.EnvoyOriginalPath | 1UL << (int)KnownHeader.EnvoyAttemptCount
        | 1UL << (int)KnownHeader.EnvoyExternalAddress | 1UL << (int)KnownHeader.EnvoyDecorator | 1UL << (int)KnownHeader.EnvoyExpectedTimeout;

    private const int OthersBit = 48;

    public static void Join(HttpHead head)
    {
        var seen = 0UL;
        var repeated = 0UL;
        for (var i = 0; i < head.Count; i++)
        {
            if (head.IsRemoved(i))
                continue;
            var bit = Bit(head.Known(i), head.Name(i));
            repeated |= seen & bit;
            seen |= bit;
        }
        if (repeated == 0)
            return;
        var count = head.Count;
        for (var i = 0; i < count; i++)
        {
            if (!head.IsRemoved(i) && (Bit(head.Known(i), head.Name(i)) & repeated) != 0)
                JoinFrom(head, i, count);
        }
    }

    /// <summary>All lines of the field at <paramref name="first"/> become one.</summary>
    private static void JoinFrom(HttpHead head, int first, int count)
    {
        var length = head.Value(first).Length;
        for (var i = first + 1; i < count; i++)
            length += IsSame(head, first, i) ? head.Value(i).Length + 1 : 0;
        var joined = new byte[length];
        head.Value(first).CopyTo(joined);
        var at = head.Value(first).Length;
        for (var i = first + 1; i < count; i++)
        {
            if (!IsSame(head, first, i))
                continue;
            joined[at++] = (byte)',';
            head.Value(i).CopyTo(joined.AsSpan(at));
            at += head.Value(i).Length;
            head.Remove(i);
        }
        var known = head.Known(first);
        head.Remove(first);
        if (known != KnownHeader.Unknown)
            head.Add(known, joined);
        else
            head.Add(head.Name(first).ToArray(), joined);
    }

    private static bool IsSame(HttpHead head, int first, int other) => !head.IsRemoved(other) && head.Known(other) == head.Known(first)
        && (head.Known(first) != KnownHeader.Unknown || Ascii.EqualsIgnoreCase(head.Name(other), head.Name(first)));

    /// <summary>A bit per field that is joined, 0 for all others.</summary>
    private static ulong Bit(KnownHeader known, ReadOnlySpan<byte> name)
    {
        if (known != KnownHeader.Unknown)
            return 1UL << (int)known & JoinedKnown;
        return name.Length switch
        {
            6 => Test(name, "accept"u8, 0) | Test(name, "origin"u8, 1) | Test(name, "pragma"u8, 2),
            7 => Test(name, "referer"u8, 3),
            8 => Test(name, "if-match"u8, 4),
            12 => Test(name, "grpc-timeout"u8, 5),
            13 => Test(name, "authorization"u8, 6) | Test(name, "cache-control"u8, 7) | Test(name, "if-none-match"u8, 8),
            15 => Test(name, "accept-encoding"u8, 9),
            16 => Test(name, "x-forwarded-port"u8, 10),
            17 => Test(name, "x-client-trace-id"u8, 11),
            20 => Test(name, "grpc-accept-encoding"u8, 12),
            29 => Test(name, "access-control-request-method"u8, 13),
            30 => Test(name, "access-control-request-headers"u8, 14),
            _ => 0,
        };
    }

    private static ulong Test(ReadOnlySpan<byte> name, ReadOnlySpan<byte> lower, int bit) => Ascii.EqualsIgnoreCase(name, lower) ? 1UL << (OthersBit + bit) : 0;
}
