using Tulle.Base.Documents;
using Tulle.ControlShared;
using Tulle.Xds;

namespace Tulle.Translate.Tests;

/// <summary>A3 to A6: a gateway's servers let in what their hosts say, and ask of clients what they are told to.</summary>
public class GatewayRulesTests
{
    private const string Router = "router~9.9.9.9~gw.istio-system~istio-system.svc.cluster.local";

    private static string Gateway(string servers) => Meshes.Istio("Gateway", "g", $"{{ selector: {{ istio: gw }}, servers: [ {servers} ] }}", "istio-system");

    private static string Server(string hosts) => $"{{ port: {{ number: 80, name: http, protocol: HTTP }}, hosts: [{hosts}] }}";

    private static string Rule(string hosts, string space, string more = "") =>
        Meshes.Istio("VirtualService", "v-" + space, $"{{ hosts: [{hosts}], gateways: [istio-system/g]{more}, http: [ {{ route: [ {{ destination: {{ host: web.shop.svc.cluster.local }} }} ] }} ] }}", space);

    private static string Domains(string yaml) => string.Join(",", ClientTlsTests.Of(Meshes.Of(Meshes.Namespace() + Meshes.Service("web") + yaml), XdsTypes.Route, Router, "istio=gw")
        .Single()["virtual_hosts"]!.Items.SelectMany(h => h["domains"]!.Items).Select(d => d.AsText).Order(StringComparer.Ordinal));

    [Theory]
    [InlineData("\"./a.com\"", "a.com", "istio-system", "a.com")]
    [InlineData("\"./a.com\"", "a.com", "shop", "*")]
    [InlineData("\"shop/a.com\"", "a.com", "shop", "a.com")]
    [InlineData("\"shop/a.com\"", "a.com", "other", "*")]
    [InlineData("\"*/a.com\"", "a.com", "other", "a.com")]
    public void A03_a_server_is_open_to_the_namespaces_that_it_names(string server, string host, string space, string domains) =>
        Assert.Equal(domains, Domains(Gateway(Server(server)) + Rule(host, space)));

    [Theory]
    [InlineData("", "a.com")]
    [InlineData(", exportTo: [\".\"]", "*")]
    [InlineData(", exportTo: [istio-system]", "a.com")]
    [InlineData(", exportTo: [other]", "*")]
    public void A04_a_rule_that_is_not_exported_to_the_gateway_is_not_served(string export, string domains) =>
        Assert.Equal(domains, Domains(Gateway(Server("\"*\"")) + Rule("a.com", "shop", export)));

    [Theory]
    [InlineData("a.com", "\"*\"", "a.com")]
    [InlineData("\"*\"", "a.com", "a.com")]
    [InlineData("\"*.a.com\"", "\"*.com\"", "*.a.com")]
    [InlineData("a.com, b.com", "\"*.com\"", "a.com,b.com")]
    [InlineData("a.com", "b.com", "*")]
    public void A05_a_server_serves_what_both_name(string server, string host, string domains) => Assert.Equal(domains, Domains(Gateway(Server(server)) + Rule(host, "shop")));

    [Theory]
    [InlineData("\"*\"", "a.com", "a.com")]
    [InlineData("\"*.com\"", "a.org", null)]
    [InlineData("\"./a.com\"", "a.com", null)]
    public void A05_bytes_too_go_only_where_the_servers_hosts_let_them(string server, string sni, string? names)
    {
        var gateway = Gateway($"{{ port: {{ number: 8443, name: tls, protocol: TLS }}, hosts: [{server}], tls: {{ mode: PASSTHROUGH }} }}");
        var rule = Meshes.Istio("VirtualService", "v", $"{{ hosts: [{sni}], gateways: [istio-system/g], tls: [ {{ match: [ {{ sniHosts: [{sni}] }} ], route: [ {{ destination: {{ host: web }} }} ] }} ] }}");
        var listeners = ClientTlsTests.Of(Meshes.Of(Meshes.Namespace() + Meshes.Service("web") + gateway + rule), XdsTypes.Listener, Router, "istio=gw");
        Assert.Equal(names, listeners.FirstOrDefault()?["filter_chains"]!.Items[0].At("filter_chain_match", "server_names")!.Items[0].AsText);
    }

    private static Node Context(string tls)
    {
        var gateway = Gateway($"{{ port: {{ number: 443, name: https, protocol: HTTPS }}, hosts: [a.com], tls: {tls} }}");
        return ClientTlsTests.Of(Meshes.Of(gateway), XdsTypes.Listener, Router, "istio=gw").Single()["filter_chains"]!.Items[0].At("transport_socket", "typed_config")!;
    }

    private static Node? Validation(string tls, string field) => Context(tls).At("common_tls_context", "combined_validation_context", "default_validation_context", field);

    [Fact]
    public void A06_what_a_client_certificate_must_be_is_asked_for()
    {
        const string Start = "{ mode: MUTUAL, credentialName: c, ";
        Assert.Equal("x.y", Validation(Start + "subjectAltNames: [x.y] }", "match_subject_alt_names")!.Items[0]["exact"]!.AsText);
        Assert.Equal("c3BraQ==", Validation(Start + "verifyCertificateSpki: [c3BraQ==] }", "verify_certificate_spki")!.Items[0].AsText);
        Assert.Equal("ab", Validation(Start + "verifyCertificateHash: [ab] }", "verify_certificate_hash")!.Items[0].AsText);
        Assert.Equal("/crl.pem", Validation(Start + "caCrl: /crl.pem }", "crl")!["filename"]!.AsText);
        var parameters = Context(Start + "minProtocolVersion: TLSV1_2, maxProtocolVersion: TLSV1_2, cipherSuites: [ECDHE-RSA-AES256-GCM-SHA384] }").At("common_tls_context", "tls_params")!;
        Assert.Equal("TLSv1_2", parameters["tls_minimum_protocol_version"]!.AsText);
        Assert.Equal("TLSv1_2", parameters["tls_maximum_protocol_version"]!.AsText);
        Assert.Equal("ECDHE-RSA-AES256-GCM-SHA384", parameters["cipher_suites"]!.Items[0].AsText);
    }

    [Theory]
    [InlineData("MUTUAL", true, true)]
    [InlineData("OPTIONAL_MUTUAL", false, true)]
    [InlineData("SIMPLE", false, false)]
    public void A06_a_certificate_is_asked_for_as_the_mode_says(string mode, bool must, bool verified)
    {
        var context = Context($"{{ mode: {mode}, credentialName: c }}");
        Assert.Equal(must, context["require_client_certificate"]!.AsBool);
        Assert.Equal(verified, context.At("common_tls_context", "combined_validation_context") is not null);
    }

    [Theory]
    [InlineData("{ mode: SIMPLE }")]
    [InlineData("{ mode: MUTUAL, serverCertificate: /c, privateKey: /k }")]
    [InlineData("{ mode: SIMPLE, credentialName: c, subjectAltNames: [a] }")]
    [InlineData("{ mode: MUTUAL, credentialName: c, insecureSkipVerify: true }")]
    [InlineData("{ mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_9 }")]
    public void A06_what_cannot_be_done_is_an_error_on_the_object(string tls) =>
        Assert.True(Meshes.Read(Gateway($"{{ port: {{ number: 443, name: https, protocol: HTTPS }}, hosts: [a.com], tls: {tls} }}")).Findings.HasErrors);

    [Fact]
    public void C01_weights_of_tcp_and_tls_routes_are_kept()
    {
        var gateway = Gateway("{ port: { number: 9100, name: tcp, protocol: TCP }, hosts: [\"*\"] }");
        var rule = Meshes.Istio("VirtualService", "v", "{ hosts: [\"*\"], gateways: [istio-system/g], tcp: [ { route: [ { destination: { host: web }, weight: 80 }, { destination: { host: cart }, weight: 20 } ] } ] }");
        var listener = ClientTlsTests.Of(Meshes.Of(Meshes.Namespace() + Meshes.Service("web") + Meshes.Service("cart") + gateway + rule), XdsTypes.Listener, Router, "istio=gw").Single();
        var clusters = listener["filter_chains"]!.Items[0]["filters"]!.Items[^1].At("typed_config", "weighted_clusters", "clusters")!.Items;
        Assert.Equal("80,20", string.Join(",", clusters.Select(c => c["weight"]!.AsInteger)));
    }
}
