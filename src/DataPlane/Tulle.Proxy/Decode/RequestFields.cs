using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Tulle.Loop;
using Tulle.Snapshot;
using Tulle.Wire;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>What a connection manager does to the fields of a request before routing, and the route's rewrites after it.</summary>
internal static class RequestFields
{
    private static readonly byte[] s_http = "http"u8.ToArray(), s_https = "https"u8.ToArray();

    /// <summary>Everything that is done before routing. The status of an answer that refuses the request, else 0.</summary>
    public static int Prepare(ProxyWorker worker, HttpManagerConfig manager, RouteTable? table, HttpHead head, RequestRecord record, ConnectionFacts facts, TlsPeer? peer)
    {
        var rules = manager.Rules;
        for (var i = 0; i < rules.EarlyEdits.Count; i++)
            HeaderEdits.Apply(rules.EarlyEdits[i], head, record, worker.Loop.Staging);
        head.Remove(KnownHeader.EnvoyInternal);
        var client = ClientAddress.Find(manager, head, facts);
        record.DownstreamRemote = client.Address;
        if (client.RejectStatus > 0)
            return client.RejectStatus;
        SetScheme(manager, head, peer);
        if (manager.UseRemoteAddress && rules.AppendForwardedPort)
            SetForwardedPort(manager, head, facts);
        record.IsInternal = client.MayBeInternal && rules.IsInternal(client.Address);
        var isEdge = manager.UseRemoteAddress && !record.IsInternal;
        if (record.IsInternal)
            head.Set(KnownHeader.EnvoyInternal, "true"u8);
        else
            SteeringFields.Clean(head, isEdge, table?.InternalOnlyFields ?? []);
        if (rules.AddUserAgent)
            SetUserAgent(worker, head);
        if (isEdge && client.Address.IsIp)
        {
            Span<byte> ip = stackalloc byte[64];
            head.Set(KnownHeader.EnvoyExternalAddress, ip[..client.Address.FormatIp(ip)]);
        }
        if (manager.GenerateRequestId && (head.Find(KnownHeader.RequestId) < 0 || (isEdge && !manager.PreserveExternalRequestId)))
            SetRequestId(worker, head);
        if (manager.Via.Length > 0)
            AppendVia(head, manager.Via);
        ForwardedClientCertificate.Apply(manager, head, facts, peer);
        return 0;
    }

    /// <summary>x-forwarded-proto as it came from whom we trust, else by our own connection; the scheme follows it unless the target says one.</summary>
    private static void SetScheme(HttpManagerConfig manager, HttpHead head, TlsPeer? peer)
    {
        var overwrite = manager.Rules.SchemeOverwrite;
        var own = peer is not null ? s_https : s_http;
        var index = head.Find(KnownHeader.ForwardedProto);
        if (overwrite.Length > 0)
        {
            head.Set(KnownHeader.ForwardedProto, overwrite);
            head.SetScheme(overwrite);
            return;
        }
        if (index < 0 || (manager.UseRemoteAddress && manager.TrustedHops == 0))
        {
            head.Set(KnownHeader.ForwardedProto, own);
            index = -1;
        }
        if (head.Scheme.IsEmpty)
            head.SetScheme(index < 0 ? own : head.Value(index).SequenceEqual(s_https) ? s_https : head.Value(index).SequenceEqual(s_http) ? s_http : own);
    }

    private static void SetForwardedPort(HttpManagerConfig manager, HttpHead head, ConnectionFacts facts)
    {
        if (!facts.Local.IsIp || (manager.TrustedHops > 0 && head.Find("x-forwarded-port"u8) >= 0))
            return;
        Span<byte> number = stackalloc byte[8];
        var writer = new ByteWriter(number);
        writer.AddNumber(facts.Local.Port);
        head.Set("x-forwarded-port"u8, writer.Written);
    }

    /// <summary>add_user_agent: who sent this, as far as this proxy's node says it.</summary>
    private static void SetUserAgent(ProxyWorker worker, HttpHead head)
    {
        var node = worker.Snapshot.Node;
        var cluster = Encoding.UTF8.GetBytes(node.Cluster);
        head.Set("x-envoy-downstream-service-cluster"u8, cluster);
        var index = head.Find(KnownHeader.UserAgent);
        if (index < 0 || head.Value(index).IsEmpty)
            head.Set(KnownHeader.UserAgent, cluster);
        if (node.Id.Length > 0)
            head.Set("x-envoy-downstream-service-node"u8, Encoding.UTF8.GetBytes(node.Id));
    }

    /// <summary>A version 4 UUID.</summary>
    private static void SetRequestId(ProxyWorker worker, HttpHead head)
    {
        Span<byte> text = stackalloc byte[36];
        var high = worker.Loop.Random.NextUInt64() & 0xFFFFFFFFFFFF0FFF | 0x4000;
        var low = worker.Loop.Random.NextUInt64() & 0x3FFFFFFFFFFFFFFF | 0x8000000000000000;
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, high);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[8..], low);
        _ = new Guid(bytes, bigEndian: true).TryFormat(text, out _);
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

    /// <summary>Path and host rewrites of the route; the old path stays in x-envoy-original-path. A weighted cluster's host comes before the route's.</summary>
    public static void Rewrite(RouteActionConfig action, WeightedClusterConfig? weighted, HttpHead head)
    {
        if (action.PrefixRewrite is { } || action.RegexRewrite is not null)
            RewritePath(action, head);
        ReadOnlySpan<byte> host = default;
        if ((weighted?.HostRewrite ?? action.HostRewrite) is { } literal)
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
        var scheme = redirect.Scheme ?? (head.Scheme.IsEmpty ? isTls ? "https" : "http" : Encoding.ASCII.GetString(head.Scheme));
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
            AppendName(text.Append("By="), own).Append(';');
        text.Append("Hash=").Append(Convert.ToHexStringLower(SHA256.HashData(peer.Certificate)));
        // Escaped as RFC 2253 has it: a quotation mark in it does not end it.
        if (manager.SetCertificateSubject)
            text.Append(";Subject=\"").Append(peer.Names?.Subject).Append('"');
        foreach (var (kind, value) in peer.Names?.Sans ?? [])
        {
            if (kind == Wire.Tls.SanKind.Uri && manager.SetCertificateUri)
                AppendName(text.Append(";URI="), value);
        }
        foreach (var (kind, value) in peer.Names?.Sans ?? [])
        {
            if (kind == Wire.Tls.SanKind.Dns && manager.SetCertificateDns)
                AppendName(text.Append(";DNS="), value);
        }
        return Encoding.ASCII.GetBytes(text.ToString());
    }

    /// <summary>A name as it is; what could end it, the element or the line is written in percent form (RFC 3986 section 2.1).</summary>
    private static StringBuilder AppendName(StringBuilder text, string name)
    {
        foreach (var character in name)
        {
            if (character is > ' ' and < (char)0x7F and not ('"' or ',' or ';' or '\\'))
                text.Append(character);
            else
                text.Append('%').Append(((int)character & 0xFF).ToString("X2", System.Globalization.CultureInfo.InvariantCulture));
        }
        return text;
    }
}
