using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Tulle.Testing;

namespace Tulle.Sidecar.Tests.Tls;

/// <summary>
/// Every field of the two TLS contexts and of CertificateValidationContext that is obeyed: what it does, seen in a real handshake with the value that is
/// not the default, and what is refused, as Envoy's <c>--mode validate</c> refuses it (or, where said, more strictly).
/// </summary>
public class TlsFieldTests
{
    private const string Good = "spiffe://cluster.local/ns/a/sa/good";
    private const string Bad = "spiffe://cluster.local/ns/a/sa/bad";

    private static readonly TestCertificates s_root = new();
    private static readonly TestCertificates s_other = new("other");
    private static readonly TestCertificate s_server = s_root.Issue(["server.test", "*.wild.test", "spiffe://cluster.local/ns/a/sa/server"]);
    private static readonly TestCertificate s_client = s_root.Issue([Good]);
    private static readonly TestCertificate s_badClient = s_root.Issue([Bad]);

    internal static string Q(string text) => "\"" + text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal) + "\"";

    internal static string Pem(string text) => $"{{ inline_string: {Q(text)} }}";

    internal static string Certificate(TestCertificate certificate, string chain = "", string more = "") =>
        $"{{ certificate_chain: {Pem(certificate.Pem + chain)}, private_key: {Pem(certificate.KeyPem)}{more} }}";

    internal static string Certificates(params string[] certificates) => $"tls_certificates: [ {string.Join(", ", certificates)} ]";

    internal static string Trusts(string more = "", string? bundle = null) => $"validation_context: {{ trusted_ca: {Pem(bundle ?? s_root.Pem)}{more} }}";

    internal static string Common(params string[] parts) => $"common_tls_context: {{ {string.Join(", ", parts)} }}";

    private static string ServerContext(string validation = "", string more = "") =>
        $"require_client_certificate: true, {more}{Common(Certificates(Certificate(s_server)), Trusts(validation))}";

    private static string ClientContext(TestCertificate? certificate = null, string validation = "", string more = "") =>
        $"{more}{Common(Certificates(Certificate(certificate ?? s_client)), Trusts(validation))}";

    private static void Refused(string server, string part, params (string Name, string Yaml)[] secrets) =>
        Assert.Contains(part, Assert.Throws<InvalidDataException>(() => TlsPair.Read(server, isServer: true, secrets)).Message, StringComparison.Ordinal);

    private static void RefusedBySides(string common, string part)
    {
        Assert.Contains(part, Assert.Throws<InvalidDataException>(() => TlsPair.Read(common, isServer: true)).Message, StringComparison.Ordinal);
        Assert.Contains(part, Assert.Throws<InvalidDataException>(() => TlsPair.Read(common, isServer: false)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Mutual_TLS_works_and_strangers_are_refused_on_both_sides()
    {
        Assert.True(new TlsPair(ServerContext(), ClientContext()).Handshake("server.test") is { Succeeded: true, Version: "TLSv1.3" });
        var stranger = s_other.Issue([Good]);
        Assert.NotNull(new TlsPair(ServerContext(), ClientContext(stranger)).Handshake().ServerRefuses);
        var pair = new TlsPair($"{Common(Certificates(Certificate(s_other.Issue(["server.test"]))))}", ClientContext());
        Assert.Contains("verify failed", pair.Handshake().ClientRefuses, StringComparison.Ordinal);
    }

    private const string GoodOnly = $", match_typed_subject_alt_names: [ {{ san_type: URI, matcher: {{ exact: {Good} }} }} ]";

    [Fact]
    public void N04_names_without_a_trusted_ca_are_refused_on_both_sides()
    {
        var names = GoodOnly[2..];
        RefusedBySides(Common(Certificates(Certificate(s_server)), $"validation_context: {{ {names} }}"), "without trusted_ca");
        RefusedBySides(Common(Certificates(Certificate(s_server)), Trusts($"{GoodOnly}, trust_chain_verification: ACCEPT_UNTRUSTED")), "ACCEPT_UNTRUSTED");
    }

    [Fact]
    public void N05_H04_names_of_a_secret_bind_like_those_written_in_place()
    {
        (string, string)[] secrets = [("v", $"{{ name: v, validation_context: {{ trusted_ca: {Pem(s_root.Pem)}{GoodOnly} }} }}")];
        var server = $"require_client_certificate: true, {Common(Certificates(Certificate(s_server)), "validation_context_sds_secret_config: { name: v }")}";
        Assert.True(new TlsPair(server, ClientContext(), secrets).Handshake().Succeeded);
        Assert.Contains("matches none", new TlsPair(server, ClientContext(s_badClient), secrets).Handshake().ServerRefuses, StringComparison.Ordinal);
    }

    [Fact]
    public void N05_a_combined_context_is_the_default_with_the_secret_merged_into_it()
    {
        (string, string)[] secrets = [("v", $"{{ name: v, validation_context: {{ trusted_ca: {Pem(s_root.Pem)}{GoodOnly} }} }}")];
        string Server(string defaults) => $"require_client_certificate: true, {Common(Certificates(Certificate(s_server)), $"combined_validation_context: {{ default_validation_context: {{ {defaults} }}, validation_context_sds_secret_config: {{ name: v }} }}")}";
        var both = Server($"match_typed_subject_alt_names: [ {{ san_type: URI, matcher: {{ exact: {Bad} }} }} ]");
        Assert.True(new TlsPair(both, ClientContext(), secrets).Handshake().Succeeded);
        Assert.True(new TlsPair(both, ClientContext(s_badClient), secrets).Handshake().Succeeded);
        Assert.NotNull(new TlsPair(both, ClientContext(s_root.Issue(["spiffe://x/y"])), secrets).Handshake().ServerRefuses);
        // The bundle of the secret wins over that of the default.
        Assert.NotNull(new TlsPair(Server($"trusted_ca: {Pem(s_other.Pem)}"), ClientContext(s_other.Issue([Good])), secrets).Handshake().ServerRefuses);
        // A list of the default asks for names of the secret's authority.
        (string, string)[] bundle = [("v", $"{{ name: v, validation_context: {{ trusted_ca: {Pem(s_root.Pem)} }} }}")];
        Assert.NotNull(new TlsPair(Server(GoodOnly[2..]), ClientContext(s_badClient), bundle).Handshake().ServerRefuses);
        // And nothing is verified by a secret that brings only names.
        (string, string)[] names = [("v", $"{{ name: v, validation_context: {{ {GoodOnly[2..]} }} }}")];
        Refused(Server("max_verify_depth: 3"), "trusted_ca", names);
    }

    [Theory]
    [InlineData("DNS", "server.test", true)]
    [InlineData("DNS", "SERVER.test", true)]
    [InlineData("DNS", "any.wild.test", true)]
    [InlineData("DNS", "two.any.wild.test", false)]
    [InlineData("DNS", "other.test", false)]
    [InlineData("URI", "spiffe://cluster.local/ns/a/sa/server", true)]
    [InlineData("URI", "server.test", false)]
    [InlineData("EMAIL", "server.test", false)]
    public void A_typed_name_is_looked_for_among_names_of_its_type(string type, string name, bool fits) =>
        Assert.Equal(fits, new TlsPair(ServerContext(), ClientContext(validation: $", match_typed_subject_alt_names: [ {{ san_type: {type}, matcher: {{ exact: \"{name}\" }} }} ]")).Handshake().Succeeded);

    [Fact]
    public void Names_of_a_kind_of_their_own_are_found_by_their_identifier()
    {
        // OtherName 1.2.3.4 with the UTF-8 text "me" (RFC 5280 section 4.2.1.6).
        byte[] names = [0x30, 0x0D, 0xA0, 0x0B, 0x06, 0x03, 0x2A, 0x03, 0x04, 0xA0, 0x04, 0x0C, 0x02, (byte)'m', (byte)'e'];
        var odd = s_root.Issue([], extension: new X509Extension("2.5.29.17", names, true));
        string Server(string oid, string text) => ServerContext($", match_typed_subject_alt_names: [ {{ san_type: OTHER_NAME, oid: \"{oid}\", matcher: {{ exact: {text} }} }} ]");
        Assert.True(new TlsPair(Server("1.2.3.4", "me"), ClientContext(odd)).Handshake().Succeeded);
        Assert.False(new TlsPair(Server("1.2.3.5", "me"), ClientContext(odd)).Handshake().Succeeded);
        Assert.False(new TlsPair(Server("1.2.3.4", "you"), ClientContext(odd)).Handshake().Succeeded);
        Refused(ServerContext(", match_typed_subject_alt_names: [ { san_type: OTHER_NAME, matcher: { exact: a } } ]"), "oid");
        Refused(ServerContext(", match_typed_subject_alt_names: [ { matcher: { exact: a } } ]"), "san_type");
        Refused(ServerContext(", match_typed_subject_alt_names: [ { san_type: DNS } ]"), "matcher");
    }

    [Fact]
    public void Crl_refuses_what_it_revokes_and_an_empty_one_refuses_nothing()
    {
        var revoked = s_root.Revoke(s_badClient);
        foreach (var server in new[] { ServerContext($", crl: {Pem(revoked)}"), $"require_client_certificate: true, {Common(Certificates(Certificate(s_server)), Trusts(bundle: s_root.Pem + revoked))}" })
        {
            Assert.True(new TlsPair(server, ClientContext()).Handshake().Succeeded);
            Assert.Contains("revoked", new TlsPair(server, ClientContext(s_badClient)).Handshake().ServerRefuses, StringComparison.Ordinal);
        }
        foreach (var empty in new[] { "", "\n" })
            Assert.True(new TlsPair(ServerContext($", crl: {Pem(empty)}"), ClientContext(s_badClient)).Handshake().Succeeded);
        // A client looks too.
        var pair = new TlsPair(ServerContext(), ClientContext(validation: $", crl: {Pem(s_root.Revoke(s_server))}"));
        Assert.Contains("revoked", pair.Handshake().ClientRefuses, StringComparison.Ordinal);
    }

    [Fact]
    public void Crl_comes_by_secret_and_in_a_combined_context()
    {
        (string, string)[] secrets = [("v", $"{{ name: v, validation_context: {{ trusted_ca: {Pem(s_root.Pem)}, crl: {{ inline_bytes: {Convert.ToBase64String(System.Text.Encoding.ASCII.GetBytes(s_root.Revoke(s_badClient)))} }} }} }}")];
        foreach (var validation in new[] { "validation_context_sds_secret_config: { name: v }", $"combined_validation_context: {{ default_validation_context: {{ {GoodOnly[2..].Replace(Good, Bad, StringComparison.Ordinal)} }}, validation_context_sds_secret_config: {{ name: v }} }}" })
        {
            var server = $"require_client_certificate: true, {Common(Certificates(Certificate(s_server)), validation)}";
            Assert.Contains("revoked", new TlsPair(server, ClientContext(s_badClient), secrets).Handshake().ServerRefuses, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Crl_is_wanted_of_every_authority_unless_only_the_leaf_is_looked_up()
    {
        var middle = new TestCertificates("middle", s_root);
        var leaf = middle.Issue([Good]);
        var client = $"{Common(Certificates(Certificate(leaf, middle.Pem)), Trusts())}";
        string Server(string crl, string more = "") => ServerContext($", crl: {Pem(crl)}{more}");
        Assert.True(new TlsPair(ServerContext(), client).Handshake().Succeeded);
        Assert.Contains("unable to get certificate CRL", new TlsPair(Server(middle.Revoke()), client).Handshake().ServerRefuses, StringComparison.Ordinal);
        Assert.True(new TlsPair(Server(middle.Revoke() + s_root.Revoke()), client).Handshake().Succeeded);
        Assert.Contains("revoked", new TlsPair(Server(middle.Revoke() + s_root.RevokeAuthority(middle)), client).Handshake().ServerRefuses, StringComparison.Ordinal);
        Assert.True(new TlsPair(Server(middle.Revoke(), ", only_verify_leaf_cert_crl: true"), client).Handshake().Succeeded);
        Assert.Contains("revoked", new TlsPair(Server(middle.Revoke(leaf), ", only_verify_leaf_cert_crl: true"), client).Handshake().ServerRefuses, StringComparison.Ordinal);
    }

    [Fact]
    public void Crl_that_cannot_be_read_or_has_no_authority_is_refused()
    {
        Refused(ServerContext(", crl: { inline_string: hello }"), "no PEM block X509 CRL");
        Refused(ServerContext($", crl: {Pem(s_root.Pem)}"), "no PEM block X509 CRL");
        Refused(ServerContext($", crl: {Pem(s_root.Revoke().Replace("-----END", "-----ENT", StringComparison.Ordinal))}"), "damaged");
        Refused(Common(Certificates(Certificate(s_server)), $"validation_context: {{ crl: {Pem(s_root.Revoke())} }}"), "without a trusted_ca");
    }

    [Fact]
    public void N14_max_verify_depth_counts_intermediate_certificates()
    {
        var middle = new TestCertificates("middle", s_root);
        var client = $"{Common(Certificates(Certificate(middle.Issue([Good]), middle.Pem)), Trusts())}";
        Assert.True(new TlsPair(ServerContext(", max_verify_depth: 1"), client).Handshake().Succeeded);
        Assert.NotNull(new TlsPair(ServerContext(", max_verify_depth: 0"), client).Handshake().ServerRefuses);
        Assert.True(new TlsPair(ServerContext(", max_verify_depth: 0"), ClientContext()).Handshake().Succeeded);
        Refused(ServerContext(", max_verify_depth: 101"), "101");
    }

    [Fact]
    public void N17_a_bundle_may_end_at_an_intermediate_and_is_taken_whole_or_not_at_all()
    {
        var middle = new TestCertificates("middle", s_root);
        var client = $"{Common(Certificates(Certificate(middle.Issue([Good]), middle.Pem)), Trusts())}";
        string Server(string bundle) => $"require_client_certificate: true, {Common(Certificates(Certificate(s_server)), Trusts(bundle: bundle))}";
        Assert.True(new TlsPair(Server(middle.Pem), client).Handshake().Succeeded);
        // The one that is wanted comes last, behind text and a key.
        Assert.True(new TlsPair(Server("hello\n" + s_client.KeyPem + s_other.Pem + middle.Pem), client).Handshake().Succeeded);
        Refused(Server(s_root.Pem + "-----BEGIN CERTIFICATE-----\nMIIBbad\n-----END CERTIFICATE-----\n"), "block 2");
        Refused(Server(s_root.Pem + "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), "certificate 2");
        Refused(Server("x"), "no PEM certificate");
        Refused(Server(""), "is empty");
    }

    [Fact]
    public void Allow_expired_certificate_takes_what_has_ended()
    {
        var ended = s_root.Issue([Good], from: DateTimeOffset.UtcNow.AddDays(-3), until: DateTimeOffset.UtcNow.AddDays(-2));
        Assert.Contains("expired", new TlsPair(ServerContext(), ClientContext(ended)).Handshake().ServerRefuses, StringComparison.Ordinal);
        var pair = new TlsPair(ServerContext(", allow_expired_certificate: true"), ClientContext(ended));
        Assert.True(pair.Handshake().Succeeded);
        Assert.True(pair.Handshake().Succeeded);
    }

    [Fact]
    public void N36_a_ticket_does_not_outlive_the_certificate_it_was_given_for()
    {
        var ends = DateTimeOffset.UtcNow.AddHours(1);
        var pair = new TlsPair(ServerContext(), ClientContext(s_root.Issue([Good], until: ends)));
        Assert.True(pair.Handshake().Succeeded);
        Assert.True(pair.Handshake() is { Succeeded: true, Resumed: true });
        pair.Now = ends.AddSeconds(2);
        Assert.True(pair.Handshake() is { Resumed: true } late && late.ServerRefuses!.Contains("expired", StringComparison.Ordinal));
    }

    [Fact]
    public void Accept_untrusted_takes_any_server()
    {
        var stranger = Common(Certificates(Certificate(s_other.Issue(["server.test"]))));
        Assert.False(new TlsPair(stranger, ClientContext()).Handshake().Succeeded);
        Assert.True(new TlsPair(stranger, ClientContext(validation: ", trust_chain_verification: ACCEPT_UNTRUSTED")).Handshake().Succeeded);
    }

    [Fact]
    public void An_encrypted_key_opens_with_its_password_and_nobody_is_asked()
    {
        string Server(string more) => Common(Certificates($"{{ certificate_chain: {Pem(s_server.Pem)}, private_key: {Pem(s_server.EncryptedKeyPem("geheim"))}{more} }}"));
        Assert.True(new TlsPair(Server(", password: { inline_string: geheim }"), ClientContext()).Handshake().Succeeded);
        Refused(Server(""), "no password is given");
        Refused(Server(", password: { inline_string: other }"), "does not open");
    }

    [Fact]
    public void N27_what_the_library_refuses_is_refused_with_the_configuration()
    {
        RefusedBySides(Common(Certificates($"{{ certificate_chain: {Pem(s_server.Pem)}, private_key: {Pem(s_client.KeyPem)} }}")), "does not belong to the certificate");
        RefusedBySides(Common(Certificates($"{{ certificate_chain: {Pem("x")}, private_key: {Pem(s_client.KeyPem)} }}")), "no PEM certificate");
        RefusedBySides(Common(Certificates($"{{ certificate_chain: {Pem(s_server.Pem)}, private_key: {Pem("x")} }}")), "private key");
        using var small = RSA.Create(1024);
        RefusedBySides(Common(Certificates(Certificate(s_root.Issue(["a"], small)))), "1024 bits");
        Assert.Contains("one certificate", Assert.Throws<InvalidDataException>(() => TlsPair.Read(Common(Certificates(Certificate(s_client), Certificate(s_server))), false)).Message, StringComparison.Ordinal);
    }

    private static HandshakeOutcome WithParameters(string server, string client = "", AsymmetricAlgorithm? serverKey = null) => new TlsPair(
        Common(Certificates(Certificate(serverKey is null ? s_server : s_root.Issue(["server.test"], serverKey))), $"tls_params: {{ {server} }}"),
        Common(Trusts(), $"tls_params: {{ {client} }}")).Handshake();

    [Fact]
    public void Protocol_versions_are_kept()
    {
        Assert.Equal("TLSv1.2", WithParameters("tls_maximum_protocol_version: TLSv1_2").Version);
        Assert.Equal("TLSv1.3", WithParameters("tls_minimum_protocol_version: TLSv1_3").Version);
        Assert.False(WithParameters("tls_minimum_protocol_version: TLSv1_3", "tls_maximum_protocol_version: TLSv1_2").Succeeded);
        RefusedBySides(Common(Certificates(Certificate(s_server)), "tls_params: { tls_maximum_protocol_version: TLSv1_1 }"), "RFC 8996");
        RefusedBySides(Common(Certificates(Certificate(s_server)), "tls_params: { tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_2 }"), "below");
    }

    private const string Old = "tls_maximum_protocol_version: TLSv1_2";

    [Theory]
    [InlineData("AES128-SHA")]
    [InlineData("AES256-SHA")]
    [InlineData("ECDHE-RSA-AES128-SHA")]
    [InlineData("AES128-GCM-SHA256")]
    public void N15_TLS_1_2_offers_only_suites_with_forward_secrecy_and_AEAD(string suite)
    {
        using var key = RSA.Create(2048);
        Assert.False(WithParameters(Old, $"{Old}, cipher_suites: [ {suite} ]", key).Succeeded);
        Assert.False(WithParameters($"{Old}, cipher_suites: [ {suite} ]", Old, key).Succeeded);
        // Who asks for it gets it.
        Assert.Equal(suite, WithParameters($"{Old}, cipher_suites: [ {suite} ]", $"{Old}, cipher_suites: [ {suite} ]", key).Cipher);
        Assert.Equal("ECDHE-RSA-AES128-GCM-SHA256", WithParameters(Old, Old, key).Cipher);
    }

    [Fact]
    public void N16_suites_groups_and_algorithms_that_the_library_does_not_know_are_refused()
    {
        string Parameters(string text) => Common(Certificates(Certificate(s_server)), $"tls_params: {{ {text} }}");
        RefusedBySides(Parameters("cipher_suites: [ ECDHE-ECDSA-AES128-GCM-SHA256, NO-SUCH-SUITE ]"), "NO-SUCH-SUITE");
        RefusedBySides(Parameters("cipher_suites: [ TLS_AES_128_GCM_SHA256 ]"), "TLS_AES_128_GCM_SHA256");
        RefusedBySides(Parameters("ecdh_curves: [ P-256, nope ]"), "nope");
        RefusedBySides(Parameters("signature_algorithms: [ nope ]"), "nope");
        RefusedBySides(Parameters("compliance_policies: [ FIPS_202205, FIPS_202205 ]"), "FIPS_202205");
    }

    [Fact]
    public void Cipher_suites_are_kept_with_their_groups_and_their_order()
    {
        Assert.Equal("ECDHE-ECDSA-AES256-GCM-SHA384", WithParameters($"{Old}, cipher_suites: [ ECDHE-ECDSA-AES256-GCM-SHA384 ]", Old).Cipher);
        Assert.Equal("ECDHE-ECDSA-CHACHA20-POLY1305", WithParameters($"{Old}, cipher_suites: [ \"[ECDHE-ECDSA-CHACHA20-POLY1305|ECDHE-ECDSA-AES128-GCM-SHA256]\" ]", Old).Cipher);
    }

    [Fact]
    public void Names_of_protocols_are_what_RFC_7301_allows()
    {
        RefusedBySides(Common(Certificates(Certificate(s_server)), $"alpn_protocols: [ {new string('a', 256)} ]"), "alpn_protocols");
        Assert.Equal(["h2", "http/1.1"], TlsPair.Read(Common(Certificates(Certificate(s_server)), "alpn_protocols: [ \"\", \"h2,http/1.1\" ]"), isServer: true)!.Alpn);
    }

    [Fact]
    public void Ecdh_curves_are_kept()
    {
        Assert.True(WithParameters("ecdh_curves: [ P-384 ]", "ecdh_curves: [ P-384, P-256 ]").Succeeded);
        Assert.False(WithParameters("ecdh_curves: [ P-384 ]", "ecdh_curves: [ X25519 ]").Succeeded);
    }

    [Fact]
    public void Signature_algorithms_are_kept()
    {
        Assert.True(WithParameters("", "signature_algorithms: [ ecdsa_secp256r1_sha256 ]").Succeeded);
        Assert.False(WithParameters("", "signature_algorithms: [ rsa_pss_rsae_sha256 ]").Succeeded);
    }

    [Fact]
    public void The_FIPS_policy_leaves_only_what_it_allows()
    {
        Assert.True(WithParameters("compliance_policies: [ FIPS_202205 ]").Succeeded);
        Assert.False(WithParameters("compliance_policies: [ FIPS_202205 ]", "ecdh_curves: [ X25519 ]").Succeeded);
        Assert.False(WithParameters($"{Old}, compliance_policies: [ FIPS_202205 ]", $"{Old}, cipher_suites: [ ECDHE-ECDSA-CHACHA20-POLY1305 ]").Succeeded);
    }

    [Fact]
    public void Prefer_client_ciphers_lets_the_client_choose()
    {
        string Server(string more) => $"{more}{Common(Certificates(Certificate(s_server)), $"tls_params: {{ {Old}, cipher_suites: [ ECDHE-ECDSA-AES128-GCM-SHA256, ECDHE-ECDSA-AES256-GCM-SHA384 ] }}")}";
        var client = Common(Trusts(), $"tls_params: {{ {Old}, cipher_suites: [ ECDHE-ECDSA-AES256-GCM-SHA384, ECDHE-ECDSA-AES128-GCM-SHA256 ] }}");
        Assert.Equal("ECDHE-ECDSA-AES128-GCM-SHA256", new TlsPair(Server(""), client).Handshake().Cipher);
        Assert.Equal("ECDHE-ECDSA-AES256-GCM-SHA384", new TlsPair(Server("prefer_client_ciphers: true, "), client).Handshake().Cipher);
    }

    [Fact]
    public void Resumption_is_turned_off_by_either_side()
    {
        static bool Resumes(string server, string client)
        {
            var pair = new TlsPair(ServerContext(more: server), ClientContext(more: client));
            Assert.True(pair.Handshake().Succeeded);
            return pair.Handshake().Resumed;
        }
        Assert.True(Resumes("", ""));
        Assert.False(Resumes("disable_stateless_session_resumption: true, ", ""));
        Assert.False(Resumes("", "max_session_keys: 0, "));
        Assert.True(Resumes("session_timeout: 60s, ", ""));
    }

    [Fact]
    public void Session_ticket_keys_are_shared_by_servers()
    {
        var key = Convert.ToBase64String(RandomNumberGenerator.GetBytes(80));
        string Server(string keys, string depth) => $"require_client_certificate: true, {keys}{Common(Certificates(Certificate(s_server)), Trusts(depth))}";
        Refused(Server("session_ticket_keys: { keys: [ { inline_bytes: AAAA } ] }, ", ""), "80");
        Refused(Server($"disable_stateless_session_resumption: true, session_ticket_keys: {{ keys: [ {{ inline_bytes: \"{key}\" }} ] }}, ", ""), "exclude");
        Refused(Server("session_ticket_keys: { keys: [] }, ", ""), "at least one");
        Assert.True(new TlsPair(Server($"session_ticket_keys: {{ keys: [ {{ inline_bytes: \"{key}\" }} ] }}, ", ""), ClientContext()).Handshake().Succeeded);
    }

    [Fact]
    public void Key_usage_that_forbids_signatures_is_refused()
    {
        using var rsa = RSA.Create(2048);
        var encipher = s_root.Issue(["server.test"], rsa, usage: X509KeyUsageFlags.KeyEncipherment);
        string Server(TestCertificate certificate) => Common(Certificates(Certificate(certificate)));
        Assert.True(new TlsPair(Server(encipher), Common(Trusts())).Handshake().Succeeded);
        Assert.NotNull(new TlsPair(Server(encipher), $"enforce_rsa_key_usage: true, {Common(Trusts())}").Handshake().ClientRefuses);
        Assert.NotNull(new TlsPair(Server(s_root.Issue(["server.test"], usage: X509KeyUsageFlags.KeyAgreement)), Common(Trusts())).Handshake().ClientRefuses);
        Assert.True(new TlsPair(Server(s_root.Issue(["server.test"], rsa, usage: X509KeyUsageFlags.DigitalSignature)), $"enforce_rsa_key_usage: true, {Common(Trusts())}").Handshake().Succeeded);
    }

    [Fact]
    public void H06_a_name_that_must_be_in_the_certificate_is()
    {
        var pair = new TlsPair(ServerContext(), ClientContext());
        Assert.True(pair.Handshake("server.test", requiredName: "server.test").Succeeded);
        Assert.True(pair.Handshake("a.wild.test", requiredName: "a.wild.test").Succeeded);
        Assert.Contains("is not for other.test", pair.Handshake("other.test", requiredName: "other.test").ClientRefuses, StringComparison.Ordinal);
        Assert.Contains("no trusted CA", new TlsPair(ServerContext(), Common(Certificates(Certificate(s_client)))).Handshake("server.test", requiredName: "server.test").ClientRefuses, StringComparison.Ordinal);
        Assert.Contains("auto_sni_san_validation", Assert.Throws<InvalidDataException>(() => TlsPair.Read($"auto_sni_san_validation: true, {Common(Certificates(Certificate(s_client)))}", false)).Message, StringComparison.Ordinal);
    }
}
