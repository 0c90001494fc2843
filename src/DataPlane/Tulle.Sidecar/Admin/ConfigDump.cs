using System.Globalization;
using Tulle.Base.Documents;
using Tulle.Wire.Tls;

namespace Tulle.Sidecar;

/// <summary>/config_dump and /certs in Envoy's message shapes, so that istioctl and people's scripts read them.</summary>
internal static class ConfigDump
{
    private const string Admin = "type.googleapis.com/envoy.admin.v3.";

    public static Node Make(ProxyHost host, Dictionary<string, string> query)
    {
        var store = host.Store;
        var all = new List<Node>
        {
            Node.Map(("@type", Admin + "BootstrapConfigDump"), ("bootstrap", store.Bootstrap.Raw)),
            Node.Map(("@type", Admin + "ClustersConfigDump"),
                ("static_clusters", Items(store.Clusters.Where(c => c.Source == "static").Select(c => Node.Map(("cluster", Typed("envoy.config.cluster.v3.Cluster", c.Resource)))))),
                ("dynamic_active_clusters", Items(store.Clusters.Where(c => c.Source != "static" && c.IsActive).Select(c => Node.Map(("cluster", Typed("envoy.config.cluster.v3.Cluster", c.Resource)))))),
                ("dynamic_warming_clusters", Items(store.Clusters.Where(c => c.Source != "static" && !c.IsActive).Select(c => Node.Map(("cluster", Typed("envoy.config.cluster.v3.Cluster", c.Resource))))))),
            Node.Map(("@type", Admin + "ListenersConfigDump"),
                ("static_listeners", Items(store.Listeners.Where(l => l.Source == "static").Select(l => Node.Map(("listener", Typed("envoy.config.listener.v3.Listener", l.Resource)))))),
                ("dynamic_listeners", Items(store.Listeners.Where(l => l.Source != "static").Select(l => Node.Map(("name", l.Name),
                    (l.IsActive ? "active_state" : "warming_state", Node.Map(("listener", Typed("envoy.config.listener.v3.Listener", l.Resource))))))))),
            Node.Map(("@type", Admin + "RoutesConfigDump"),
                ("dynamic_route_configs", Items(store.Routes.Select(r => Node.Map(("route_config", Typed("envoy.config.route.v3.RouteConfiguration", r.Resource))))))),
            Node.Map(("@type", Admin + "SecretsConfigDump"),
                ("dynamic_active_secrets", Items(store.Secrets.Select(s => Node.Map(("name", s.Name), ("secret", Redacted(s.Resource))))))),
        };
        if (query.ContainsKey("include_eds"))
        {
            all.Add(Node.Map(("@type", Admin + "EndpointsConfigDump"), ("dynamic_endpoint_configs", Items(store.Endpoints.Select(e =>
                Node.Map(("endpoint_config", Typed("envoy.config.endpoint.v3.ClusterLoadAssignment", e.Resource))))))));
        }
        if (query.TryGetValue("resource", out var resource))
            return Node.Map(("configs", Node.List(all.SelectMany(c => c[resource]?.Items ?? []).ToList())));
        return Node.Map(("configs", Node.List(all)));
    }

    private static Node? Items(IEnumerable<Node> nodes)
    {
        var list = nodes.ToList();
        return list.Count == 0 ? null : Node.List(list);
    }

    private static Node Typed(string type, Node resource)
    {
        var fields = new List<KeyValuePair<string, Node>> { new("@type", Node.Of("type.googleapis.com/" + type)) };
        fields.AddRange(resource.Fields.Where(f => f.Key != "@type"));
        return Node.Map(fields);
    }

    /// <summary>A private key never leaves the process.</summary>
    private static Node Redacted(Node secret)
    {
        var typed = Typed("envoy.extensions.transport_sockets.tls.v3.Secret", secret);
        return typed["tls_certificate"] is { } certificate && certificate["private_key"] is not null
            ? typed.With("tls_certificate", certificate.With("private_key", Node.Map(("inline_bytes", "W3JlZGFjdGVkXQ==")))) : typed;
    }

    public static Node Certificates(ProxyHost host)
    {
        var result = new List<Node>();
        foreach (var secret in InUse(host))
        {
            result.Add(Node.Map(("ca_cert", Items(Describe(secret.TrustedCaPem))), ("cert_chain", Items(Describe(secret.ChainPem)))));
        }
        return Node.Map(("certificates", Node.List(result)));
    }

    /// <summary>Secrets that came by name, and what is written in TLS contexts themselves; each once.</summary>
    private static HashSet<Snapshot.SecretConfig> InUse(ProxyHost host)
    {
        var found = host.Store.Secrets.Select(s => s.Secret).OfType<Snapshot.SecretConfig>().ToHashSet();
        var listeners = host.Store.Current.Listeners;
        var chains = listeners.SelectMany(l => l.DefaultChain is { } last ? l.Chains.Append(last) : l.Chains).Select(c => (Snapshot.TlsConfig?)c.Tls);
        var clusters = host.Store.Current.Clusters.Values.SelectMany(c => c.TransportMatches.Select(m => m.Tls).Append(c.Tls)).Select(t => (Snapshot.TlsConfig?)t);
        var seen = found.Select(s => s.ContentHash).ToHashSet();
        // A bundle that a secret brought into a context is the secret's own array.
        var bundles = found.Select(s => s.TrustedCaPem).ToHashSet();
        foreach (var tls in chains.Concat(clusters).OfType<Snapshot.TlsConfig>())
        {
            foreach (var secret in tls.Certificates)
            {
                if (seen.Add(secret.ContentHash))
                    found.Add(secret);
            }
            if (tls.Trust is { TrustedCaPem: { } bundle } trust && bundles.Add(bundle) && seen.Add(trust.ContentHash))
                found.Add(new Snapshot.SecretConfig { Name = "inline", Validation = trust, ContentHash = trust.ContentHash });
        }
        return found;
    }

    private static IEnumerable<Node> Describe(byte[] pem)
    {
        var text = System.Text.Encoding.ASCII.GetString(pem);
        const string Begin = "-----BEGIN CERTIFICATE-----";
        const string End = "-----END CERTIFICATE-----";
        for (var at = text.IndexOf(Begin, StringComparison.Ordinal); at >= 0; at = text.IndexOf(Begin, at + 1, StringComparison.Ordinal))
        {
            var end = text.IndexOf(End, at, StringComparison.Ordinal);
            if (end < 0)
                yield break;
            var der = Convert.FromBase64String(text[(at + Begin.Length)..end].ReplaceLineEndings(""));
            if (CertificateNames.TryRead(der) is not { } names)
                continue;
            var left = names.NotAfter - DateTimeOffset.UtcNow;
            yield return Node.Map(
                ("path", "<inline>"),
                ("serial_number", names.SerialHex),
                ("subject_alt_names", Node.List(names.Sans.Select(s => Node.Map((s.Kind == SanKind.Uri ? "uri" : s.Kind == SanKind.Dns ? "dns" : "ip_address", s.Value))).ToList())),
                ("days_until_expiration", Math.Max(0, (long)left.TotalDays).ToString(CultureInfo.InvariantCulture)),
                ("valid_from", names.NotBefore.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture)),
                ("expiration_time", names.NotAfter.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture)));
        }
    }
}
