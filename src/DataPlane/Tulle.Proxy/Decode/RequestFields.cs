using System.Security.Cryptography;
using System.Text;
using Tulle.Base;
using Tulle.Loop;
using Tulle.Snapshot;
using Tulle.Wire;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>What a connection manager does to the fields of a request before routing, and the route's rewrites after it.</summary>
internal static class RequestFields
{
    public static void Prepare(ProxyWorker worker, HttpManagerConfig manager, HttpHead head, RequestRecord record, ConnectionFacts facts, TlsPeer? peer, bool upgrade)
    {
        if (manager.UseRemoteAddress)
            AddRemote(manager, head, facts);
        else
            ReadForwardedFor(manager, head, record);
        if (head.Find(KnownHeader.ForwardedProto) < 0 || (manager.UseRemoteAddress && manager.TrustedHops == 0))
            head.Set(KnownHeader.ForwardedProto, peer is not null ? "https"u8 : "http"u8);
        var id = head.Find(KnownHeader.RequestId);
        if (manager.GenerateRequestId && (id < 0 || (manager.UseRemoteAddress && !manager.PreserveExternalRequestId)))
            SetRequestId(worker, head);
        if (manager.Via.Length > 0)
            AppendVia(head, manager.Via);
        ForwardedClientCertificate.Apply(manager, head, facts, peer);
        _ = upgrade;
    }

    private static void AddRemote(HttpManagerConfig manager, HttpHead head, ConnectionFacts facts)
    {
        Span<byte> ip = stackalloc byte[64];
        var text = ip[..facts.DirectRemote.FormatIp(ip)];
        if (!manager.SkipForwardedForAppend)
        {
            var index = head.Find(KnownHeader.ForwardedFor);
            if (index >= 0)
            {
                var old = head.Value(index);
                Span<byte> joined = old.Length < 1024 ? stackalloc byte[old.Length + 2 + text.Length] : new byte[old.Length + 2 + text.Length];
                old.CopyTo(joined);
                joined[old.Length] = (byte)',';
                text.CopyTo(joined[(old.Length + 1)..]);
                head.Set(KnownHeader.ForwardedFor, joined[..(old.Length + 1 + text.Length)]);
            }
            else
            {
                head.Add(KnownHeader.ForwardedFor, text);
            }
        }
        // Nobody is internal unless configured: a client from outside may not steer the proxy by its own x-envoy fields.
        head.Remove(KnownHeader.EnvoyInternal);
        head.Remove(KnownHeader.EnvoyDecorator);
        head.Remove(KnownHeader.EnvoyExpectedTimeout);
        head.Remove(KnownHeader.EnvoyAttemptCount);
        head.Remove(KnownHeader.EnvoyOriginalPath);
        head.Set(KnownHeader.EnvoyExternalAddress, text);
    }

    /// <summary>Behind another proxy the client is whom the last X-Forwarded-For entry names.</summary>
    private static void ReadForwardedFor(HttpManagerConfig manager, HttpHead head, RequestRecord record)
    {
        var index = head.Find(KnownHeader.ForwardedFor);
        if (index < 0)
            return;
        var value = head.Value(index);
        for (var hop = 0; hop <= manager.TrustedHops; hop++)
        {
            var comma = value.LastIndexOf((byte)',');
            var last = value[(comma + 1)..].Trim((byte)' ');
            if (hop == manager.TrustedHops && last.Length < 64 && Address.TryParseIp(Encoding.ASCII.GetString(last), 0, out var address))
                record.DownstreamRemote = address;
            if (comma < 0)
                return;
            value = value[..comma];
        }
    }

    /// <summary>A version 4 UUID.</summary>
    private static void SetRequestId(ProxyWorker worker, HttpHead head)
    {
        Span<byte> text = stackalloc byte[36];
        var high = worker.Loop.Random.NextUInt64() & 0xFFFFFFFFFFFF0FFF | 0x4000;
        var low = worker.Loop.Random.NextUInt64() & 0x3FFFFFFFFFFFFFFF | 0x8000000000000000;
        var at = 0;
        for (var i = 0; i < 32; i++)
        {
            if (i is 8 or 12 or 16 or 20)
                text[at++] = (byte)'-';
            var word = i < 16 ? high : low;
            text[at++] = "0123456789abcdef"u8[(int)(word >> (60 - i % 16 * 4)) & 15];
        }
        head.Set(KnownHeader.RequestId, text);
    }

    private static void AppendVia(HttpHead head, byte[] via)
    {
        var index = head.Find(KnownHeader.Via);
        if (index < 0)
            head.Add(KnownHeader.Via, via);
        else
            head.Set(KnownHeader.Via, (byte[])[.. head.Value(index), .. ", "u8, .. via]);
    }

    /// <summary>Path and host rewrites of the route; the old path stays in x-envoy-original-path.</summary>
    public static void Rewrite(RouteActionConfig action, HttpHead head)
    {
        if (action.PrefixRewrite is { } || action.RegexRewrite is not null)
            RewritePath(action, head);
        ReadOnlySpan<byte> host = default;
        if (action.HostRewrite is { } literal)
            host = literal;
        else if (action.HostRewriteHeader is { } name && head.Find(name) is var index and >= 0)
            host = head.Value(index);
        if (host.IsEmpty)
            return;
        if (action.AppendForwardedHost)
            head.Add(KnownHeader.ForwardedHost, head.Authority);
        head.SetAuthority(host);
    }

    /// <summary>Bytes of the prefix that matched; set by the route's matcher.</summary>
    private static void RewritePath(RouteActionConfig action, HttpHead head)
    {
        var path = head.Path;
        var query = path.IndexOf((byte)'?');
        var only = query < 0 ? path : path[..query];
        byte[]? rewritten = null;
        if (action.PrefixRewrite is { } prefix)
        {
            var matched = Math.Min(action.MatchedPrefixBytes < 0 ? only.Length : action.MatchedPrefixBytes, only.Length);
            rewritten = [.. prefix, .. path[matched..]];
        }
        else if (action.RegexRewrite is { } regex)
        {
            var text = regex.Pattern.Replace(Encoding.Latin1.GetString(only), regex.Substitution);
            rewritten = [.. Encoding.Latin1.GetBytes(text), .. path[only.Length..]];
        }
        if (rewritten is null || path.SequenceEqual(rewritten))
            return;
        head.Set(KnownHeader.EnvoyOriginalPath, path);
        head.SetPath(rewritten, isRewrite: true);
    }

    /// <summary>The Location of a redirect route.</summary>
    public static void WriteLocation(ref ByteWriter writer, RedirectConfig redirect, RouteConfig? route, HttpHead head, bool isTls)
    {
        var scheme = redirect.Scheme ?? (head.Find(KnownHeader.ForwardedProto) is var p and >= 0 ? Encoding.ASCII.GetString(head.Value(p)) : isTls ? "https" : "http");
        writer.AddText(scheme);
        writer.Add("://"u8);
        var authority = head.Authority;
        var port = -1;
        if (redirect.Host is not null)
        {
            writer.AddText(redirect.Host);
        }
        else
        {
            var colon = authority.LastIndexOf((byte)':');
            var hasPort = colon > 0 && authority[colon..].IndexOf((byte)']') < 0;
            // The old port belongs to the old scheme: it is dropped with it when it was that scheme's default or a port is set.
            var keep = hasPort && redirect.Port is null && !(redirect.Scheme == "https" && authority[colon..].SequenceEqual(":80"u8))
                && !(redirect.Scheme == "http" && authority[colon..].SequenceEqual(":443"u8));
            writer.Add(hasPort && !keep ? authority[..colon] : authority);
        }
        if (redirect.Port is { } wanted)
            port = wanted;
        if (port > 0)
        {
            writer.Add((byte)':');
            writer.AddNumber(port);
        }
        var path = head.Path;
        var query = path.IndexOf((byte)'?');
        var only = query < 0 ? path : path[..query];
        var hasOwnQuery = false;
        if (redirect.Path is not null)
        {
            writer.AddText(redirect.Path);
            hasOwnQuery = redirect.Path.Contains('?');
        }
        else if (redirect.PrefixRewrite is not null)
        {
            var matched = route?.Match.Prefix?.Length ?? route?.Match.SeparatedPrefix?.Length ?? only.Length;
            writer.AddText(redirect.PrefixRewrite);
            writer.Add(only[Math.Min(matched, only.Length)..]);
        }
        else if (redirect.RegexRewrite is { } regex)
        {
            writer.AddText(regex.Pattern.Replace(Encoding.Latin1.GetString(only), regex.Substitution));
        }
        else
        {
            writer.Add(only);
        }
        if (query >= 0 && !redirect.StripQuery && !hasOwnQuery)
            writer.Add(path[query..]);
    }
}

/// <summary>x-forwarded-client-cert.</summary>
internal static class ForwardedClientCertificate
{
    public static void Apply(HttpManagerConfig manager, HttpHead head, ConnectionFacts facts, TlsPeer? peer)
    {
        var mode = manager.ForwardClientCertificate;
        var hasPeer = peer is { Certificate.Length: > 0 };
        if (mode == ClientCertificateForwarding.AlwaysForwardOnly)
            return;
        if (mode == ClientCertificateForwarding.Sanitize || !hasPeer)
        {
            head.Remove(KnownHeader.ForwardedClientCert);
            return;
        }
        if (mode == ClientCertificateForwarding.ForwardOnly)
            return;
        var element = facts.ClientCertificateElement ??= Describe(manager, peer!);
        var index = mode == ClientCertificateForwarding.AppendForward ? head.Find(KnownHeader.ForwardedClientCert) : -1;
        head.Set(KnownHeader.ForwardedClientCert, index >= 0 ? (byte[])[.. head.Value(index), (byte)',', .. element] : element);
    }

    private static byte[] Describe(HttpManagerConfig manager, TlsPeer peer)
    {
        var text = new StringBuilder();
        if (peer.LocalIdentity is { } own)
            text.Append("By=").Append(own).Append(';');
        text.Append("Hash=").Append(Convert.ToHexStringLower(SHA256.HashData(peer.Certificate)));
        if (manager.SetCertificateSubject)
            text.Append(";Subject=\"").Append(peer.Names?.Subject).Append('"');
        if (manager.SetCertificateUri)
            text.Append(";URI=").Append(peer.Identity);
        if (manager.SetCertificateDns)
        {
            foreach (var (kind, value) in peer.Names?.Sans ?? [])
            {
                if (kind == Wire.Tls.SanKind.Dns)
                    text.Append(";DNS=").Append(value);
            }
        }
        return Encoding.UTF8.GetBytes(text.ToString());
    }
}
