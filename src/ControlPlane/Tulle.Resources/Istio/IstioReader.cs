using Tulle.Base.Documents;

namespace Tulle.Resources;

/// <summary>Istio's networking and security kinds, after <see cref="SpecCheck"/> has held them to the table of their kind.</summary>
internal static class IstioReader
{
    public static VirtualServiceResource VirtualService(FieldReader spec, ObjectMeta meta)
    {
        var hosts = spec.Texts("hosts");
        if (hosts.Count == 0)
            spec.Fail("hosts", "at least one host is needed");
        var gateways = spec.Texts("gateways");
        var http = spec.Children("http").Select(HttpRoute).ToList();
        var tcp = spec.Children("tcp").Select(TcpRoute).ToList();
        var tls = spec.Children("tls").Select(TcpRoute).ToList();
        if (tls.Count > 0 && (gateways.Count == 0 || gateways.Contains("mesh")))
            spec.Fail("tls", "sidecars do not route by SNI yet; name the gateways that shall");
        if (http.Count + tcp.Count + tls.Count == 0)
            spec.Fail("", "one of http, tcp and tls is needed");
        var export = spec.Texts("exportTo");
        return new VirtualServiceResource(meta, hosts, gateways.Count == 0 ? ["mesh"] : gateways, http, tcp, tls, export);
    }

    private static StringMatchResource? StringMatch(FieldReader? match)
    {
        if (match is null)
            return null;
        StringMatchResource? result = null;
        foreach (var kind in new[] { "exact", "prefix", "regex" })
        {
            if (match.Text(kind) is { } value)
                result = new StringMatchResource(kind, value);
        }
        return result;
    }

    private static List<(string, StringMatchResource)> Matches(FieldReader holder, string field)
    {
        var result = new List<(string, StringMatchResource)>();
        var map = holder.Child(field);
        foreach (var (name, value) in map?.Node.Fields ?? [])
        {
            var match = StringMatch(new FieldReader(value, holder.Diagnostics, holder.Subject, $"{holder.PathOf(field)}[{name}]"));
            result.Add((name, match ?? new StringMatchResource("present", "")));
        }
        return result;
    }

    private static HttpMatchResource HttpMatch(FieldReader match)
    {
        var result = new HttpMatchResource(match.Text("name", ""), StringMatch(match.Child("uri")), match.Bool("ignoreUriCase", false), StringMatch(match.Child("method")),
            StringMatch(match.Child("authority")), StringMatch(match.Child("scheme")), Matches(match, "headers"), Matches(match, "withoutHeaders"), Matches(match, "queryParams"),
            (int?)match.Integer("port", 1, 65535), match.TextMap("sourceLabels"), match.Text("sourceNamespace", ""), match.Texts("gateways"));
        return result;
    }

    private static DestinationResource Destination(FieldReader? destination, FieldReader owner)
    {
        if (destination is null)
        {
            owner.Fail("destination", "is required");
            return new DestinationResource("", "", null, owner.Node.Position);
        }
        var host = destination.Required("host");
        int? port = null;
        if (destination.Child("port") is { } selector)
        {
            port = (int?)selector.Integer("number", 1, 65535);
        }
        var subset = destination.Text("subset", "");
        return new DestinationResource(host, subset, port, destination.Node.Position);
    }

    private static List<WeightedDestinationResource> Routes(FieldReader rule)
    {
        var result = new List<WeightedDestinationResource>();
        foreach (var route in rule.Children("route"))
        {
            result.Add(new WeightedDestinationResource(Destination(route.Child("destination"), route), (int)(route.Integer("weight", 0, 1_000_000) ?? 0), route.Raw("headers")));
        }
        if (result.Count > 1 && result.TrueForAll(r => r.Weight == 0))
            rule.Fail("route", "several destinations need weights, and all are 0");
        return result;
    }

    private static HttpRouteResource HttpRoute(FieldReader rule)
    {
        var matches = rule.Children("match").Select(HttpMatch).ToList();
        var routes = Routes(rule);
        var mirrors = new List<(DestinationResource, double)>();
        if (rule.Child("mirror") is { } mirror)
        {
            mirrors.Add((Destination(mirror, rule), rule.Child("mirrorPercentage")?.Number("value") ?? rule.Number("mirrorPercent") ?? 100));
        }
        foreach (var more in rule.Children("mirrors"))
            mirrors.Add((Destination(more.Child("destination"), more), more.Child("percentage")?.Number("value") ?? 100));
        var redirect = rule.Raw("redirect");
        var direct = rule.Raw("directResponse");
        var timeout = rule.Text("timeout", "");
        if (timeout.Length > 0 && rule.DurationMs("timeout") is null)
            timeout = "";
        var retries = rule.Child("retries");
        var rewrite = rule.Child("rewrite");
        var fault = rule.Child("fault");
        if (routes.Count == 0 && redirect is null && direct is null)
            rule.Fail("", "one of route, redirect and directResponse is needed");
        var result = new HttpRouteResource(rule.Text("name", ""), matches, routes, redirect, direct, rewrite?.Node, timeout, retries?.Node, fault?.Node, rule.Raw("headers"), rule.Raw("corsPolicy"), mirrors);
        return result;
    }

    private static TcpRouteResource TcpRoute(FieldReader rule)
    {
        var matches = rule.Children("match").Select(match => new TcpMatchResource((int?)match.Integer("port", 1, 65535), match.Texts("sniHosts"), match.Texts("gateways"),
            match.TextMap("sourceLabels"), match.Text("sourceNamespace", ""))).ToList();
        var result = new TcpRouteResource(matches, Routes(rule));
        return result;
    }

    /// <summary>As istiod's validation: TLS that lacks its parts must not become plain text, or TLS of another kind.</summary>
    private static void CheckClientTls(FieldReader? policy)
    {
        if (policy is null)
            return;
        foreach (var tls in policy.Children("portLevelSettings").Append(policy).Select(p => p.Child("tls")).OfType<FieldReader>())
        {
            var mode = tls.Text("mode", "DISABLE");
            var hasFiles = tls.Text("clientCertificate", "").Length > 0 && tls.Text("privateKey", "").Length > 0;
            var hasCredential = tls.Text("credentialName", "").Length > 0;
            if (mode == "MUTUAL" && !hasFiles && !hasCredential)
                tls.Fail("", "mode MUTUAL needs clientCertificate and privateKey, or credentialName");
            if (mode == "ISTIO_MUTUAL" && (tls.Text("clientCertificate", "") + tls.Text("privateKey", "") + tls.Text("caCertificates", "") + tls.Text("credentialName", "")).Length > 0)
                tls.Fail("", "mode ISTIO_MUTUAL uses the mesh's own certificates; certificates of one's own go with MUTUAL");
            if (hasCredential && hasFiles)
                tls.Fail("", "has credentialName and files; one of them is enough");
        }
    }

    public static DestinationRuleResource DestinationRule(FieldReader spec, ObjectMeta meta)
    {
        var host = spec.Required("host");
        var policy = spec.Child("trafficPolicy");
        CheckClientTls(policy);
        var subsets = new List<SubsetResource>();
        foreach (var subset in spec.Children("subsets"))
        {
            var own = subset.Child("trafficPolicy");
            CheckClientTls(own);
            var name = subset.Required("name");
            if (subsets.Exists(s => s.Name == name))
                subset.Fail("name", $"subset {name} is defined twice");
            subsets.Add(new SubsetResource(name, subset.TextMap("labels"), own?.Node));
        }
        var export = spec.Texts("exportTo");
        return new DestinationRuleResource(meta, host, policy?.Node, subsets, export);
    }

    private static ServerTlsResource ServerTls(FieldReader tls)
    {
        var redirect = tls.Bool("httpsRedirect", false);
        var result = new ServerTlsResource(tls.Text("mode") ?? (redirect ? "" : "PASSTHROUGH"), tls.Text("credentialName", ""), redirect)
        {
            CredentialNames = tls.Texts("credentialNames"),
            CaCredentialName = tls.Text("caCertCredentialName", ""),
            CertificateFile = tls.Text("serverCertificate", ""),
            KeyFile = tls.Text("privateKey", ""),
            CaFile = tls.Text("caCertificates", ""),
            CrlFile = tls.Text("caCrl", ""),
            SubjectAltNames = tls.Texts("subjectAltNames"),
            Spki = tls.Texts("verifyCertificateSpki"),
            Hashes = tls.Texts("verifyCertificateHash"),
            MinVersion = tls.Text("minProtocolVersion", "TLS_AUTO"),
            MaxVersion = tls.Text("maxProtocolVersion", "TLS_AUTO"),
            CipherSuites = tls.Texts("cipherSuites"),
        };
        CheckServerTls(result, tls);
        return result;
    }

    /// <summary>As istiod's validation: what is asked for must be there to be asked for.</summary>
    private static void CheckServerTls(ServerTlsResource tls, FieldReader reader)
    {
        if (!tls.Terminates || tls.Mode == "ISTIO_MUTUAL")
            return;
        var hasCredential = tls.CredentialName.Length > 0 || tls.CredentialNames.Count > 0;
        if (tls.CredentialName.Length > 0 && tls.CredentialNames.Count > 0)
            reader.Fail("credentialNames", "is given beside credentialName; one of them is enough");
        if (!hasCredential && (tls.CertificateFile.Length == 0 || tls.KeyFile.Length == 0))
            reader.Fail("credentialName", $"mode {tls.Mode} needs credentialName, or serverCertificate and privateKey");
        if (tls.AsksForCertificate && !hasCredential && tls.CaFile.Length == 0)
            reader.Fail("caCertificates", $"mode {tls.Mode} verifies client certificates, and nothing says against what");
        if (!tls.AsksForCertificate && (tls.SubjectAltNames.Count > 0 || tls.Spki.Count > 0 || tls.Hashes.Count > 0))
            reader.Fail("mode", $"{tls.Mode} asks for no client certificate, and names or hashes of client certificates are given; MUTUAL asks for one");
    }

    public static GatewayResource Gateway(FieldReader spec, ObjectMeta meta)
    {
        var servers = new List<GatewayServerResource>();
        foreach (var server in spec.Children("servers"))
        {
            var port = server.Child("port");
            if (port is null)
            {
                server.Fail("port", "is required");
                continue;
            }
            var tls = server.Child("tls");
            var hosts = server.Texts("hosts");
            if (hosts.Exists(h => h.Contains('/') && h.IndexOf('/') is var slash && (slash == 0 || slash == h.Length - 1 || h.LastIndexOf('/') != slash)))
                server.Fail("hosts", "a host is written HOST or NAMESPACE/HOST, where NAMESPACE may be * or .");
            if (hosts.Count == 0)
                server.Fail("hosts", "at least one host is needed");
            var protocol = port.Required("protocol").ToUpperInvariant();
            servers.Add(new GatewayServerResource((int)(port.Integer("number", 1, 65535) ?? 0), port.Required("name"), protocol, hosts,
                tls is null ? ServerTlsResource.None : ServerTls(tls), server.Text("name", "")));
        }
        if (servers.Count == 0)
            spec.Fail("servers", "at least one server is needed");
        var selector = spec.TextMap("selector");
        return new GatewayResource(meta, selector, servers);
    }

    public static ServiceEntryResource ServiceEntry(FieldReader spec, ObjectMeta meta)
    {
        var hosts = spec.Texts("hosts");
        if (hosts.Count == 0)
            spec.Fail("hosts", "at least one host is needed");
        var ports = new List<ServiceEntryPortResource>();
        foreach (var port in spec.Children("ports"))
        {
            var number = (int)(port.Integer("number", 1, 65535) ?? 0);
            ports.Add(new ServiceEntryPortResource(number, port.Required("name"), port.Text("protocol", "").ToUpperInvariant(), (int)(port.Integer("targetPort", 1, 65535) ?? number)));
        }
        var endpoints = new List<ServiceEntryEndpointResource>();
        foreach (var endpoint in spec.Children("endpoints"))
        {
            endpoints.Add(new ServiceEntryEndpointResource(endpoint.Text("address", ""), endpoint.TextMap("labels"),
                endpoint.TextMap("ports").ToDictionary(p => p.Key, p => int.TryParse(p.Value, out var n) ? n : 0, StringComparer.Ordinal), (int)(endpoint.Integer("weight", 0, int.MaxValue) ?? 0),
                endpoint.Text("serviceAccount", "")));
        }
        var selector = spec.Child("workloadSelector")?.TextMap("labels") ?? [];
        var result = new ServiceEntryResource(meta, hosts, spec.Texts("addresses"), ports, spec.Choice("location", "MESH_EXTERNAL", "MESH_EXTERNAL", "MESH_INTERNAL"),
            spec.Choice("resolution", "NONE", "NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"), endpoints, selector, spec.Texts("exportTo"))
        {
            SubjectAltNames = spec.Texts("subjectAltNames"),
        };
        return result;
    }

    public static PeerAuthenticationResource PeerAuthentication(FieldReader spec, ObjectMeta meta)
    {
        static string Mode(FieldReader? tls) => tls?.Choice("mode", "UNSET", "UNSET", "DISABLE", "PERMISSIVE", "STRICT") ?? "UNSET";
        var selector = spec.Child("selector")?.TextMap("matchLabels") ?? [];
        var mode = Mode(spec.Child("mtls"));
        var ports = new Dictionary<int, string>();
        foreach (var (name, value) in spec.Raw("portLevelMtls")?.Fields ?? [])
        {
            if (int.TryParse(name, out var port))
                ports[port] = Mode(new FieldReader(value, spec.Diagnostics, spec.Subject, $"{spec.PathOf("portLevelMtls")}[{name}]"));
            else
                spec.Fail("portLevelMtls", $"\"{name}\" is not a port");
        }
        if (ports.Count > 0 && selector.Count == 0)
            spec.Fail("portLevelMtls", "needs a selector: without one it has no effect");
        return new PeerAuthenticationResource(meta, selector, mode, ports);
    }

    /// <summary>An AuthorizationPolicy or a RequestAuthentication: which workloads it selects. Its conditions are not evaluated.</summary>
    public static AccessPolicyResource AccessPolicy(FieldReader spec, ObjectMeta meta)
    {
        var selector = spec.Child("selector")?.TextMap("matchLabels") ?? [];
        var targets = spec.Children("targetRefs").ToList();
        if (spec.Child("targetRef") is { } one)
            targets.Add(one);
        if (targets.Count > 0 && selector.Count > 0)
            spec.Fail("selector", "is given beside targetRefs; a policy has one or the other");
        var action = meta.Kind == "AuthorizationPolicy" ? spec.Text("action", "ALLOW") : "";
        return new AccessPolicyResource(meta, selector, targets.Select(t => (t.Text("kind", ""), t.Text("name", ""))).ToList(), action)
        {
            // An AuthorizationPolicy without rules says "nobody" (ALLOW) or "nothing" (DENY, AUDIT); one without jwtRules adds nothing.
            AllowsAll = meta.Kind == "AuthorizationPolicy" && spec.List("rules").Any(r => r.Fields.Count == 0),
            HasRules = spec.List(meta.Kind == "AuthorizationPolicy" ? "rules" : "jwtRules").Count > 0,
        };
    }
}
