using System.Text;
using Tulle.Base;
using Tulle.Snapshot;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>Who the client is, and whether that may make the request an internal one. A status refuses the request.</summary>
internal readonly record struct ClientFinding(Address Address, bool MayBeInternal, int RejectStatus);

/// <summary>
/// Finds the client of a request: the peer, or whom trusted proxies in front of us name. Appends the peer to x-forwarded-for where the configuration
/// says so. Logs, metrics, RBAC and what is internal go by this address.
/// </summary>
internal static class ClientAddress
{
    public static ClientFinding Find(HttpManagerConfig manager, HttpHead head, ConnectionFacts facts)
    {
        if (manager.UseRemoteAddress)
            return AtTheEdge(manager, head, facts);
        var ways = manager.Rules.AddressDetections;
        if (ways.Count == 0)
            return FromHops(head, manager.TrustedHops, mayBeInternal: true) ?? new(facts.Remote, false, 0);
        for (var i = 0; i < ways.Count; i++)
        {
            var found = Try(ways[i], head, facts);
            if (ways[i].AppendsPeer)
                AppendPeer(head, facts);
            if (found is { } finding)
                return finding;
            if (ways[i].RejectStatus > 0)
                return new(facts.Remote, false, ways[i].RejectStatus);
        }
        return new(facts.Remote, false, 0);
    }

    private static ClientFinding AtTheEdge(HttpManagerConfig manager, HttpHead head, ConnectionFacts facts)
    {
        // A request that carries x-forwarded-for already has come through somebody: it is never internal, whoever hands it over.
        var isFirst = head.Find(KnownHeader.ForwardedFor) < 0;
        var client = manager.TrustedHops > 0 ? FromHops(head, manager.TrustedHops - 1, mayBeInternal: false)?.Address ?? facts.Remote : facts.Remote;
        if (!manager.SkipForwardedForAppend)
            AppendPeer(head, facts);
        return new(client, isFirst, 0);
    }

    private static ClientFinding? Try(AddressDetectionConfig way, HttpHead head, ConnectionFacts facts)
    {
        if (way.Field is { } field)
        {
            var index = head.Find(field);
            return index >= 0 && TryParse(head.Value(index), out var address) ? new(address, way.MayBeInternal, 0) : null;
        }
        return way.TrustedProxies.Count > 0 ? FromTrustedProxies(way, head, facts) : FromHops(head, way.TrustedHops, mayBeInternal: true);
    }

    /// <summary>The entry of x-forwarded-for before those of <paramref name="hops"/> trusted proxies. A single entry may be an internal client.</summary>
    private static ClientFinding? FromHops(HttpHead head, int hops, bool mayBeInternal)
    {
        var index = head.Find(KnownHeader.ForwardedFor);
        if (index < 0)
            return null;
        var list = head.Value(index);
        for (var i = 0; i < hops; i++)
        {
            var comma = list.LastIndexOf((byte)',');
            if (comma < 0)
                return null;
            list = list[..comma];
        }
        var last = list.LastIndexOf((byte)',');
        return TryParse(list[(last + 1)..], out var address) ? new(address, mayBeInternal && last < 0 && hops == 0, 0) : null;
    }

    private static ClientFinding? FromTrustedProxies(AddressDetectionConfig way, HttpHead head, ConnectionFacts facts)
    {
        var index = head.Find(KnownHeader.ForwardedFor);
        if (index < 0 || !IsIn(way.TrustedProxies, facts.Remote))
            return null;
        var list = head.Value(index);
        Address? best = null;
        while (true)
        {
            var comma = list.LastIndexOf((byte)',');
            if (!TryParse(list[(comma + 1)..], out var address))
                break;
            best = address;
            if (comma < 0 || !IsIn(way.TrustedProxies, address))
                break;
            list = list[..comma];
        }
        return best is { } client ? new(client, false, 0) : null;
    }

    private static bool IsIn(IReadOnlyList<PrefixConfig> prefixes, in Address address)
    {
        for (var i = 0; i < prefixes.Count; i++)
        {
            if (address.InPrefix(prefixes[i].Address, prefixes[i].Bits))
                return true;
        }
        return false;
    }

    private static bool TryParse(ReadOnlySpan<byte> text, out Address address)
    {
        text = text.Trim(" \t"u8);
        address = default;
        return text.Length is > 0 and < 64 && Address.TryParseIp(Encoding.ASCII.GetString(text), 0, out address);
    }

    private static void AppendPeer(HttpHead head, ConnectionFacts facts)
    {
        if (!facts.Remote.IsIp)
            return;
        Span<byte> ip = stackalloc byte[64];
        var text = ip[..facts.Remote.FormatIp(ip)];
        var index = head.Find(KnownHeader.ForwardedFor);
        if (index < 0)
        {
            head.Add(KnownHeader.ForwardedFor, text);
            return;
        }
        var old = head.Value(index);
        Span<byte> joined = old.Length < 1024 ? stackalloc byte[old.Length + 1 + text.Length] : new byte[old.Length + 1 + text.Length];
        old.CopyTo(joined);
        joined[old.Length] = (byte)',';
        text.CopyTo(joined[(old.Length + 1)..]);
        head.Set(KnownHeader.ForwardedFor, joined);
    }
}
