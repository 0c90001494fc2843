using Tulle.Base.Documents;
using Tulle.ControlShared;
using Tulle.Model;
using Tulle.Xds;

namespace Tulle.Translate.Tests;

/// <summary>A1: what a DestinationRule orders about TLS is what is spoken.</summary>
public class ClientTlsTests
{
    private const string Entry = """
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: { name: ext, namespace: shop }
        spec: { hosts: [api.example.com], ports: [ { number: 443, name: https, protocol: HTTPS }, { number: 80, name: http, protocol: HTTP, targetPort: 443 }, { number: 81, name: http2, protocol: HTTP2 } ], resolution: DNS, subjectAltNames: [se.example.com] }

        """;

    internal static List<Node> Of(MeshModel model, string type, string id = "sidecar~1.2.3.4~client.shop~shop.svc.cluster.local", string labels = "") =>
        Translator.Trees(model, ProxyView.Read(Node.Map(("id", id), ("metadata", Node.Map(("LABELS", Node.Map(labels.Split(',', StringSplitOptions.RemoveEmptyEntries)
            .Select(l => new KeyValuePair<string, Node>(l.Split('=')[0], l.Split('=')[1])).ToList()))))), model)!, type);

    private static Node Cluster(string yaml, string name) => Of(Meshes.Of(Meshes.Namespace() + yaml), XdsTypes.Cluster).First(c => c["name"]!.AsText == name);

    private static Node Rule(string tls, string more = "") =>
        Cluster(Entry + Meshes.Istio("DestinationRule", "r", $"{{ host: api.example.com, trafficPolicy: {{ tls: {tls}{more} }} }}"), "outbound|80||api.example.com");

    private static Node Context(Node cluster) => cluster.At("transport_socket", "typed_config", "common_tls_context")!;

    private static string Names(Node cluster) => string.Join(",", (Context(cluster).At("combined_validation_context", "default_validation_context", "match_subject_alt_names")?.Items ?? []).Select(n => n["exact"]!.AsText));

    [Theory]
    [InlineData("{ mode: SIMPLE }", "file-root:system", null, "se.example.com")]
    [InlineData("{ mode: SIMPLE, sni: a.b, subjectAltNames: [c.d, e.f] }", "file-root:system", "a.b", "c.d,e.f")]
    [InlineData("{ mode: SIMPLE, caCertificates: /ca.pem }", "file-root:/ca.pem", null, "se.example.com")]
    [InlineData("{ mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, sni: a.b }", "file-root:system", "a.b", "se.example.com")]
    [InlineData("{ mode: MUTUAL, credentialName: cred }", "kubernetes://cred-cacert", null, "se.example.com")]
    [InlineData("{ mode: ISTIO_MUTUAL, sni: a.b, subjectAltNames: [spiffe://x/y] }", "ROOTCA", "a.b", "spiffe://x/y")]
    public void A01_ordered_tls_is_originated(string tls, string root, string? sni, string names)
    {
        var cluster = Rule(tls);
        Assert.Equal(root, Context(cluster).At("combined_validation_context", "validation_context_sds_secret_config", "name")!.AsText);
        Assert.Equal(sni, cluster.At("transport_socket", "typed_config", "sni")?.AsText);
        Assert.Equal(names, Names(cluster));
    }

    [Theory]
    [InlineData("{ mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem }", "file-cert:/c.pem~/k.pem")]
    [InlineData("{ mode: MUTUAL, credentialName: cred }", "kubernetes://cred")]
    [InlineData("{ mode: SIMPLE }", null)]
    public void A01_a_client_certificate_is_shown_where_it_is_ordered(string tls, string? name) =>
        Assert.Equal(name, Context(Rule(tls))["tls_certificate_sds_secret_configs"]?.Items[0]["name"]!.AsText);

    [Theory]
    [InlineData("{ mode: SIMPLE }", "true", "true")]
    [InlineData("{ mode: SIMPLE, subjectAltNames: [a] }", "true", null)]
    [InlineData("{ mode: SIMPLE, insecureSkipVerify: true }", "true", null)]
    [InlineData("{ mode: SIMPLE, sni: a.b }", null, null)]
    public void A01_without_a_name_the_requests_host_is_the_name(string tls, string? sni, string? names)
    {
        var options = Rule(tls).At("typed_extension_protocol_options", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "upstream_http_protocol_options");
        Assert.Equal(sni, options?["auto_sni"]?.AsText);
        Assert.Equal(names, options?["auto_san_validation"]?.AsText);
    }

    [Fact]
    public void A01_a_list_of_revoked_certificates_and_no_verification_are_what_is_written()
    {
        Assert.Equal("/crl.pem", Context(Rule("{ mode: SIMPLE, caCrl: /crl.pem }")).At("combined_validation_context", "default_validation_context", "crl", "filename")!.AsText);
        var skipping = Context(Rule("{ mode: SIMPLE, insecureSkipVerify: true }"));
        Assert.Null(skipping["combined_validation_context"]);
        Assert.NotNull(skipping["validation_context"]);
    }

    [Theory]
    [InlineData("{ mode: DISABLE }")]
    [InlineData("{ sni: a.b }")]
    public void A01_disabled_is_plain(string tls) => Assert.Null(Rule(tls)["transport_socket"]);

    [Fact]
    public void A01_settings_of_a_port_replace_those_of_the_rule()
    {
        const string Ports = ", portLevelSettings: [ { port: { number: 443 }, tls: { mode: DISABLE } }, { port: { number: 81 }, connectionPool: { tcp: { maxConnections: 7 } } } ]";
        var yaml = Entry + Meshes.Istio("DestinationRule", "r", "{ host: api.example.com, trafficPolicy: { tls: { mode: SIMPLE }" + Ports + " } }");
        Assert.NotNull(Cluster(yaml, "outbound|80||api.example.com")["transport_socket"]);
        Assert.Null(Cluster(yaml, "outbound|443||api.example.com")["transport_socket"]);
        var third = Cluster(yaml, "outbound|81||api.example.com");
        Assert.Null(third["transport_socket"]);
        Assert.Equal(7, third["circuit_breakers"]!["thresholds"]!.Items[0]["max_connections"]!.AsInteger);
    }

    [Theory]
    [InlineData("SIMPLE", false)]
    [InlineData("DISABLE", false)]
    [InlineData("ISTIO_MUTUAL", true)]
    [InlineData("", true)]
    public void A01_endpoints_are_told_without_the_meshs_label_when_other_tls_is_ordered(string mode, bool label)
    {
        var rule = mode.Length == 0 ? "" : Meshes.Istio("DestinationRule", "r", $"{{ host: web, trafficPolicy: {{ tls: {{ mode: {mode} }} }} }}");
        Assert.Equal(label, Label(Meshes.Namespace() + Meshes.Service("web") + rule));
    }

    private static bool Label(string yaml) => Of(Meshes.Of(yaml), XdsTypes.Endpoint).First(e => e["cluster_name"]!.AsText == "outbound|80||web.shop.svc.cluster.local")
        ["endpoints"]!.Items[0]["lb_endpoints"]!.Items[0].At("metadata", "filter_metadata", "envoy.transport_socket_match") is not null;

    [Theory]
    [InlineData("{ mtls: { mode: DISABLE } }", false)]
    [InlineData("{ mtls: { mode: STRICT } }", true)]
    [InlineData("{ selector: { matchLabels: { app: web } }, portLevelMtls: { \"8080\": { mode: DISABLE } } }", false)]
    [InlineData("{ selector: { matchLabels: { app: web } }, portLevelMtls: { \"8081\": { mode: DISABLE } } }", true)]
    [InlineData("{ selector: { matchLabels: { app: web } }, mtls: { mode: DISABLE }, portLevelMtls: { \"8080\": { mode: PERMISSIVE } } }", true)]
    public void A07_a_workload_that_takes_plain_text_is_told_so(string spec, bool label) =>
        Assert.Equal(label, Label(Meshes.Namespace() + Meshes.Service("web") + Meshes.Istio("PeerAuthentication", "p", spec)));

    [Theory]
    [InlineData("", true)]
    [InlineData("a1", false)]
    [InlineData("all", false)]
    public void A08_a_headless_service_gets_mutual_tls_only_when_all_have_it(string without, bool mutual)
    {
        var pods = string.Concat(new[] { "a1", "a2" }.Select((name, i) => $$"""
            ---
            apiVersion: v1
            kind: Pod
            metadata: { name: {{name}}, namespace: shop, labels: { app: db{{(without == name || without == "all" ? "" : ", security.istio.io/tlsMode: istio")}} } }
            spec: { containers: [ { name: main } ] }
            status: { podIP: 10.1.1.{{i + 1}} }

            """));
        const string Service = """
            ---
            apiVersion: v1
            kind: Service
            metadata: { name: db, namespace: shop }
            spec: { clusterIP: None, selector: { app: db }, ports: [ { name: tcp, port: 9092 } ] }

            """;
        Assert.Equal(mutual, Cluster(Service + pods, "outbound|9092||db.shop.svc.cluster.local")["transport_socket"] is not null);
    }

    [Fact]
    public void A09_a_pod_has_the_sidecar_that_it_says_it_has()
    {
        const string Pod = """
            ---
            apiVersion: v1
            kind: Pod
            metadata: { name: old, namespace: shop, labels: { app: web } }
            spec: { containers: [ { name: main } ] }
            status: { podIP: 10.1.1.1 }

            """;
        var model = Meshes.Of(Meshes.Namespace() + Meshes.Service("web") + Pod, new MeshSettings { SimulatePods = false });
        Assert.False(model.Workloads.Single(w => w.Name == "old").HasSidecar);
    }
}
