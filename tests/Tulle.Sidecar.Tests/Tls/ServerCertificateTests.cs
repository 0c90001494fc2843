using System.Security.Cryptography;
using Tulle.Testing;
using static Tulle.Sidecar.Tests.Tls.TlsFieldTests;

namespace Tulle.Sidecar.Tests.Tls;

/// <summary>Several certificates in one context: which of them a client is shown, and with which chain.</summary>
public class ServerCertificateTests
{
    private static readonly TestCertificates s_root = new();

    private static readonly TestCertificate s_first = s_root.Issue(["first.test"]);
    private static readonly TestCertificate s_exact = s_root.Issue(["a.wild.test"]);
    private static readonly TestCertificate s_wild = s_root.Issue(["*.wild.test"]);
    private static readonly TestCertificate s_named = s_root.Issue([], subject: new System.Security.Cryptography.X509Certificates.X500DistinguishedName("CN=named.test"));

    private static string Client(string parameters = "") => Common($"validation_context: {{ trusted_ca: {Pem(s_root.Pem)} }}", $"tls_params: {{ {parameters} }}");

    [Theory]
    [InlineData("first.test", 0)]
    [InlineData("a.wild.test", 2)]
    [InlineData("A.Wild.test", 2)]
    [InlineData("b.wild.test", 1)]
    [InlineData("c.b.wild.test", 0)]
    [InlineData("wild.test", 0)]
    [InlineData("named.test", 3)]
    [InlineData("other.test", 0)]
    [InlineData("", 0)]
    public void The_name_that_a_client_asks_for_chooses_exact_before_wildcard_else_the_first(string name, int expected)
    {
        TestCertificate[] all = [s_first, s_wild, s_exact, s_named];
        foreach (var version in new[] { "", "tls_maximum_protocol_version: TLSv1_2" })
        {
            var pair = new TlsPair(Common(Certificates(all.Select(c => Certificate(c)).ToArray())), Client(version));
            for (var i = 0; i < 2; i++)
                Assert.Equal(all[expected].Der, pair.Handshake(name).ServerCertificate);
        }
    }

    [Fact]
    public void N17_each_certificate_goes_with_its_own_chain_and_the_kind_of_key_that_the_client_can_use()
    {
        using var rsaKey = RSA.Create(2048);
        var middle = new TestCertificates("middle", s_root);
        var rsa = s_root.Issue(["shop.test"], rsaKey);
        var ec = middle.Issue(["shop.test"]);
        var server = Common(Certificates(Certificate(ec, middle.Pem + s_root.Pem), Certificate(rsa)));
        var byEc = new TlsPair(server, Client()).Handshake("shop.test");
        Assert.Equal(ec.Der, byEc.ServerCertificate);
        Assert.Equal(2, byEc.CertificatesSent);
        var byRsa = new TlsPair(server, Client("signature_algorithms: [ rsa_pss_rsae_sha256, ecdsa_secp384r1_sha384 ]")).Handshake("shop.test");
        Assert.True(byRsa.Succeeded, byRsa.ToString());
        Assert.Equal(rsa.Der, byRsa.ServerCertificate);
        Assert.Equal(1, byRsa.CertificatesSent);
    }

    [Fact]
    public void A_full_scan_finds_a_key_that_the_client_can_use()
    {
        using var rsaKey = RSA.Create(2048);
        var rsa = s_root.Issue(["other.test"], rsaKey);
        string Server(string more) => $"{more}{Common(Certificates(Certificate(s_first), Certificate(rsa)))}";
        const string OnlyRsa = "signature_algorithms: [ rsa_pss_rsae_sha256, ecdsa_secp384r1_sha384 ]";
        Assert.False(new TlsPair(Server(""), Client(OnlyRsa)).Handshake("unknown.test").Succeeded);
        Assert.Equal(rsa.Der, new TlsPair(Server("full_scan_certs_on_sni_mismatch: true, "), Client(OnlyRsa)).Handshake("unknown.test").ServerCertificate);
        // Without a name all are looked at anyway.
        Assert.Equal(rsa.Der, new TlsPair(Server(""), Client(OnlyRsa)).Handshake("").ServerCertificate);
    }

    [Theory]
    [InlineData(false, "")]
    [InlineData(true, "")]
    [InlineData(false, "tls_maximum_protocol_version: TLSv1_2")]
    [InlineData(true, "tls_maximum_protocol_version: TLSv1_2")]
    public void Only_what_is_needed_is_sent_no_root_and_no_chain_of_the_librarys_own(bool withRoot, string version)
    {
        var chain = withRoot ? s_root.Pem : "";
        var trusts = $"validation_context: {{ trusted_ca: {Pem(s_root.Pem)} }}";
        var outcome = new TlsPair($"require_client_certificate: true, {Common(Certificates(Certificate(s_first, chain)), trusts)}",
            Common(Certificates(Certificate(s_exact, chain)), trusts, $"tls_params: {{ {version} }}")).Handshake();
        Assert.True(outcome.Succeeded, outcome.ToString());
        Assert.Equal(1, outcome.CertificatesSent);
    }

    [Fact]
    public void A_certificate_that_vouches_for_itself_is_sent()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new System.Security.Cryptography.X509Certificates.CertificateRequest("CN=self", key, HashAlgorithmName.SHA256);
        using var self = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        var pem = self.ExportCertificatePem() + "\n";
        var server = Common(Certificates($"{{ certificate_chain: {Pem(pem)}, private_key: {Pem(key.ExportPkcs8PrivateKeyPem() + "\n")} }}"));
        Assert.Equal(1, new TlsPair(server, Common($"validation_context: {{ trusted_ca: {Pem(pem)} }}")).Handshake().CertificatesSent);
    }
}
