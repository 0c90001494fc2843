using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Tulle.Control.Tests;

/// <summary>What the CA signs, what it reads, and what it keeps.</summary>
public sealed class CertificateTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-ca-").FullName;
    private readonly ManualTime _time = new();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static string Request(AsymmetricAlgorithm key) => (key is RSA rsa ? new CertificateRequest("O=a", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
        : new CertificateRequest("O=a", (ECDsa)key, HashAlgorithmName.SHA256)).CreateSigningRequestPem();

    private static X509Certificate2 Issue(X509Certificate2 issuer, Action<CertificateRequest> shape, DateTimeOffset now)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=x", key, HashAlgorithmName.SHA256);
        shape(request);
        using var leaf = request.Create(issuer, now.AddMinutes(-1), now.AddHours(1), [1, 2, 3]);
        return leaf.CopyWithPrivateKey(key);
    }

    private X509Certificate2 OwnRoot() => X509Certificate2.CreateFromPemFile(Path.Combine(_folder, "root-cert.pem"), Path.Combine(_folder, "root-key.pem"));

    private static Action<CertificateRequest> Names(params string[] names) => request =>
    {
        var builder = new SubjectAlternativeNameBuilder();
        foreach (var name in names)
        {
            if (name.StartsWith("dns:", StringComparison.Ordinal))
                builder.AddDnsName(name[4..]);
            else
                builder.AddUri(new Uri(name));
        }
        request.CertificateExtensions.Add(builder.Build());
    };

    [Theory]
    [InlineData("spiffe://cluster.local/ns/a/sa/b", "spiffe://cluster.local/ns/a/sa/b", "dns:example.com")]
    [InlineData("spiffe://cluster.local/ns/a/sa/b", "dns:example.com", "spiffe://cluster.local/ns/a/sa/b")]
    [InlineData(null, "dns:x")]
    [InlineData(null, "https://example.com/spiffe://cluster.local/ns/a/sa/b")]
    [InlineData(null, "spiffe://cluster.local/ns/a/sa/b", "spiffe://cluster.local/ns/a/sa/c")]
    public void A11_an_identity_is_the_one_uri_name_and_nothing_that_looks_like_one(string? expected, params string[] names)
    {
        using var authority = CertificateAuthority.Open(_folder, "cluster.local", _time);
        using var root = OwnRoot();
        using var leaf = Issue(root, Names(names), _time.GetUtcNow());
        Assert.Equal(expected, authority.IdentityOf(leaf));
    }

    [Fact]
    public void A11_a_dns_name_that_contains_an_identity_is_none()
    {
        using var authority = CertificateAuthority.Open(_folder, "cluster.local", _time);
        using var root = OwnRoot();
        // dNSName [2]: the bytes are there, in the wrong kind of name.
        var text = Encoding.ASCII.GetBytes("spiffe://cluster.local/ns/a/sa/b");
        var raw = new byte[] { 0x30, (byte)(text.Length + 2), 0x82, (byte)text.Length }.Concat(text).ToArray();
        using var leaf = Issue(root, r => r.CertificateExtensions.Add(new X509Extension("2.5.29.17", raw, false)), _time.GetUtcNow());
        Assert.Null(authority.IdentityOf(leaf));
    }

    [Fact]
    public void A12_an_rsa_root_signs()
    {
        using (var key = RSA.Create(2048))
        {
            var request = new CertificateRequest("O=root", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
            request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
            request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
            using var root = request.CreateSelfSigned(_time.GetUtcNow().AddDays(-1), _time.GetUtcNow().AddDays(10));
            File.WriteAllText(Path.Combine(_folder, "root-cert.pem"), root.ExportCertificatePem());
            File.WriteAllText(Path.Combine(_folder, "root-key.pem"), key.ExportPkcs8PrivateKeyPem());
        }
        Signs("spiffe://cluster.local/ns/a/sa/b", 2);
    }

    [Fact]
    public void A12_a_plugged_in_ca_signs_with_its_chain()
    {
        var other = Directory.CreateDirectory(Path.Combine(_folder, "root")).FullName;
        CertificateAuthority.Open(other, "cluster.local", _time).Dispose();
        using var root = X509Certificate2.CreateFromPemFile(Path.Combine(other, "root-cert.pem"), Path.Combine(other, "root-key.pem"));
        using var between = Issue(root, r =>
        {
            r.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
            r.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(r.PublicKey, false));
        }, _time.GetUtcNow());
        File.WriteAllText(Path.Combine(_folder, "ca-cert.pem"), between.ExportCertificatePem());
        File.WriteAllText(Path.Combine(_folder, "ca-key.pem"), between.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem());
        File.WriteAllText(Path.Combine(_folder, "cert-chain.pem"), between.ExportCertificatePem() + "\n" + root.ExportCertificatePem());
        File.WriteAllText(Path.Combine(_folder, "root-cert.pem"), root.ExportCertificatePem());
        Signs("spiffe://cluster.local/ns/a/sa/b", 3);
    }

    private void Signs(string identity, int length)
    {
        using var authority = CertificateAuthority.Open(_folder, "cluster.local", _time);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var chain = authority.Sign(Request(key), identity, TimeSpan.Zero);
        Assert.Equal(length, chain.Count);
        using var leaf = X509Certificate2.CreateFromPem(chain[0]);
        Assert.Equal(identity, authority.IdentityOf(leaf));
    }

    [Theory]
    [InlineData("root-key.pem", null)]
    [InlineData("root-cert.pem", null)]
    [InlineData("root-key.pem", "nonsense")]
    public void A12_a_ca_that_cannot_sign_is_told_at_the_start(string file, string? text)
    {
        CertificateAuthority.Open(_folder, "cluster.local", _time).Dispose();
        File.Delete(Path.Combine(_folder, file));
        if (text is not null)
            File.WriteAllText(Path.Combine(_folder, file), text);
        Assert.Contains("root-", Assert.Throws<InvalidDataException>(() => CertificateAuthority.Open(_folder, "cluster.local", _time)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A12_a_key_of_another_certificate_and_a_certificate_that_ended_are_told()
    {
        var other = Directory.CreateDirectory(Path.Combine(_folder, "other")).FullName;
        CertificateAuthority.Open(other, "cluster.local", _time).Dispose();
        CertificateAuthority.Open(_folder, "cluster.local", _time).Dispose();
        File.Copy(Path.Combine(other, "root-key.pem"), Path.Combine(_folder, "root-key.pem"), overwrite: true);
        Assert.Throws<InvalidDataException>(() => CertificateAuthority.Open(_folder, "cluster.local", _time));
        _time.Advance(TimeSpan.FromDays(3651));
        Assert.Contains("ended", Assert.Throws<InvalidDataException>(() => CertificateAuthority.Open(other, "cluster.local", _time)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A13_keys_are_their_owners_alone_and_whole()
    {
        CertificateAuthority.Open(_folder, "cluster.local", _time).Dispose();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_folder, "root-key.pem")));
        Assert.Equal(["root-cert.pem", "root-key.pem"], Directory.EnumerateFiles(_folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        // The same root again: what was stored is what signs.
        using var again = CertificateAuthority.Open(_folder, "cluster.local", _time);
        Assert.Equal(File.ReadAllText(Path.Combine(_folder, "root-cert.pem")) + "\n", again.RootPem);
    }

    [Fact]
    public void A14_the_servers_certificate_is_renewed_and_never_outlives_its_root()
    {
        using var authority = CertificateAuthority.Open(_folder, "cluster.local", _time);
        var first = authority.ServerCertificate;
        Assert.Same(first, authority.ServerCertificate);
        for (var day = 0; day < 400; day += 20)
        {
            _time.Advance(TimeSpan.FromDays(20));
            var now = authority.ServerCertificate;
            Assert.True(now.NotAfter.ToUniversalTime() > _time.GetUtcNow());
        }
        _time.Advance(TimeSpan.FromDays(3650 - 400) - TimeSpan.FromHours(2));
        using var root = OwnRoot();
        Assert.True(authority.ServerCertificate.NotAfter <= root.NotAfter);
    }

    [Fact]
    public void A14_weak_keys_are_not_signed()
    {
        using var authority = CertificateAuthority.Open("", "cluster.local", _time);
        using var weak = RSA.Create(1024);
        Assert.Contains("1024", Assert.Throws<ArgumentException>(() => authority.Sign(Request(weak), "spiffe://cluster.local/ns/a/sa/b", TimeSpan.Zero)).Message, StringComparison.Ordinal);
    }
}
