using Tulle.Base.Documents;

namespace Tulle.Resources;

/// <summary>Istio's networking and security kinds. Every field is read or named as known, so an unknown one is an error with its place.</summary>
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
        if (http.Count + tcp.Count + tls.Count == 0)
            spec.Fail("", "one of http, tcp and tls is needed");
        var export = spec.Texts("exportTo");
        spec.Done("is not a field of VirtualService");
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
        match.Done("is not a field of StringMatch (exact, prefix, regex)");
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
        match.Accept("statPrefix");
        match.Done("is not a field of HTTPMatchRequest");
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
            selector.Done("is not a field of PortSelector");
        }
        var subset = destination.Text("subset", "");
        destination.Done("is not a field of Destination");
        return new DestinationResource(host, subset, port, destination.Node.Position);
    }

    private static List<WeightedDestinationResource> Routes(FieldReader rule)
    {
        var result = new List<WeightedDestinationResource>();
        foreach (var route in rule.Children("route"))
        {
            result.Add(new WeightedDestinationResource(Destination(route.Child("destination"), route), (int)(route.Integer("weight", 0, 1_000_000) ?? 0), route.Raw("headers")));
            route.Done("is not a field of RouteDestination");
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
        retries?.Accept("attempts", "perTryTimeout", "retryOn", "retryRemoteLocalities", "retryIgnorePreviousHosts", "backoff");
        retries?.Done("is not a field of HTTPRetry");
        var rewrite = rule.Child("rewrite");
        rewrite?.Accept("uri", "authority", "uriRegexRewrite");
        rewrite?.Done("is not a field of HTTPRewrite");
        var fault = rule.Child("fault");
        fault?.Accept("delay", "abort");
        fault?.Done("is not a field of HTTPFaultInjection");
        if (rule.Raw("delegate") is not null)
            rule.Fail("delegate", "delegation is not supported yet");
        if (routes.Count == 0 && redirect is null && direct is null)
            rule.Fail("", "one of route, redirect and directResponse is needed");
        var result = new HttpRouteResource(rule.Text("name", ""), matches, routes, redirect, direct, rewrite?.Node, timeout, retries?.Node, fault?.Node, rule.Raw("headers"), rule.Raw("corsPolicy"), mirrors);
        rule.Done("is not a field of HTTPRoute");
        return result;
    }

    private static TcpRouteResource TcpRoute(FieldReader rule)
    {
        var matches = new List<(int?, IReadOnlyList<string>, IReadOnlyList<string>)>();
        foreach (var match in rule.Children("match"))
        {
            matches.Add(((int?)match.Integer("port", 1, 65535), match.Texts("sniHosts"), match.Texts("gateways")));
            match.Accept("destinationSubnets", "sourceLabels", "sourceNamespace", "sourceSubnet");
            match.Done("is not a field of L4MatchAttributes");
        }
        var result = new TcpRouteResource(matches, Routes(rule));
        rule.Done("is not a field of TCPRoute");
        return result;
    }

    private static void CheckPolicy(FieldReader? policy)
    {
        if (policy is null)
            return;
        policy.Accept("portLevelSettings", "tunnel", "proxyProtocol", "retryBudget");
        if (policy.Child("loadBalancer") is { } balancer)
        {
            balancer.Choice("simple", "UNSPECIFIED", "UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST");
            balancer.Accept("consistentHash", "localityLbSetting", "warmupDurationSecs", "warmup", "zoneAwareLbSetting");
            balancer.Done("is not a field of LoadBalancerSettings");
        }
        if (policy.Child("connectionPool") is { } pool)
        {
            pool.Accept("tcp", "http");
            pool.Done("is not a field of ConnectionPoolSettings");
        }
        if (policy.Child("tls") is { } tls)
        {
            tls.Choice("mode", "DISABLE", "DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL");
            tls.Accept("clientCertificate", "privateKey", "caCertificates", "credentialName", "subjectAltNames", "sni", "insecureSkipVerify", "caCrl");
            tls.Done("is not a field of ClientTLSSettings");
        }
        if (policy.Child("outlierDetection") is { } outlier)
        {
            outlier.Accept("consecutiveErrors", "splitExternalLocalOriginErrors", "consecutiveLocalOriginFailures", "consecutiveGatewayErrors", "consecutive5xxErrors", "interval", "baseEjectionTime",
                "maxEjectionPercent", "minHealthPercent", "outlierDetectionHttpErrorCodes");
            outlier.Done("is not a field of OutlierDetection");
        }
        policy.Done("is not a field of TrafficPolicy");
    }

    public static DestinationRuleResource DestinationRule(FieldReader spec, ObjectMeta meta)
    {
        var host = spec.Required("host");
        var policy = spec.Child("trafficPolicy");
        CheckPolicy(policy);
        var subsets = new List<SubsetResource>();
        foreach (var subset in spec.Children("subsets"))
        {
            var own = subset.Child("trafficPolicy");
            CheckPolicy(own);
            var name = subset.Required("name");
            if (subsets.Exists(s => s.Name == name))
                subset.Fail("name", $"subset {name} is defined twice");
            subsets.Add(new SubsetResource(name, subset.TextMap("labels"), own?.Node));
            subset.Done("is not a field of Subset");
        }
        var export = spec.Texts("exportTo");
        if (spec.Raw("workloadSelector") is not null)
            spec.Fail("workloadSelector", "is not supported yet");
        spec.Done("is not a field of DestinationRule");
        return new DestinationRuleResource(meta, host, policy?.Node, subsets, export);
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
            if (hosts.Count == 0)
                server.Fail("hosts", "at least one host is needed");
            var protocol = port.Required("protocol").ToUpperInvariant();
            var mode = tls?.Choice("mode", "PASSTHROUGH", "PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL") ?? "";
            servers.Add(new GatewayServerResource((int)(port.Integer("number", 1, 65535) ?? 0), port.Required("name"), protocol, hosts, mode, tls?.Text("credentialName", "") ?? "",
                tls?.Bool("httpsRedirect", false) ?? false, server.Text("name", "")));
            port.Accept("targetPort");
            port.Done("is not a field of Port");
            tls?.Accept("serverCertificate", "privateKey", "caCertificates", "subjectAltNames", "verifyCertificateSpki", "verifyCertificateHash", "minProtocolVersion", "maxProtocolVersion",
                "cipherSuites", "caCrl", "credentialNames", "caCertCredentialName", "tlsCertificates");
            tls?.Done("is not a field of ServerTLSSettings");
            server.Accept("bind", "defaultEndpoint");
            server.Done("is not a field of Server");
        }
        if (servers.Count == 0)
            spec.Fail("servers", "at least one server is needed");
        var selector = spec.TextMap("selector");
        spec.Done("is not a field of Gateway");
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
            port.Done("is not a field of ServicePort");
        }
        var endpoints = new List<ServiceEntryEndpointResource>();
        foreach (var endpoint in spec.Children("endpoints"))
        {
            endpoints.Add(new ServiceEntryEndpointResource(endpoint.Text("address", ""), endpoint.TextMap("labels"),
                endpoint.TextMap("ports").ToDictionary(p => p.Key, p => int.TryParse(p.Value, out var n) ? n : 0, StringComparer.Ordinal), (int)(endpoint.Integer("weight", 0, int.MaxValue) ?? 0),
                endpoint.Text("serviceAccount", "")));
            endpoint.Accept("network", "locality");
            endpoint.Done("is not a field of WorkloadEntry");
        }
        var selector = spec.Child("workloadSelector")?.TextMap("labels") ?? [];
        var result = new ServiceEntryResource(meta, hosts, spec.Texts("addresses"), ports, spec.Choice("location", "MESH_EXTERNAL", "MESH_EXTERNAL", "MESH_INTERNAL"),
            spec.Choice("resolution", "NONE", "NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"), endpoints, selector, spec.Texts("exportTo"));
        spec.Accept("subjectAltNames");
        spec.Done("is not a field of ServiceEntry");
        return result;
    }

    public static PeerAuthenticationResource PeerAuthentication(FieldReader spec, ObjectMeta meta)
    {
        static string Mode(FieldReader? tls)
        {
            var mode = tls?.Choice("mode", "UNSET", "UNSET", "DISABLE", "PERMISSIVE", "STRICT") ?? "UNSET";
            tls?.Done("is not a field of MutualTLS");
            return mode;
        }
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
        spec.Done("is not a field of PeerAuthentication");
        return new PeerAuthenticationResource(meta, selector, mode, ports);
    }
}
