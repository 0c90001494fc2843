using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Tulle.Control;

/// <summary>
/// The mesh's own CA: a self-signed root that signs workload certificates. The name in a certificate is the caller's authenticated identity, never what
/// the request says.
/// </summary>
internal sealed class CertificateAuthority : IDisposable
{
    /// <summary>Days of the root. Source: Istio's self-signed root, 3,650 days.</summary>
    private const int RootDays = 3650;

    /// <summary>Default life of a workload certificate. Source: Istio DEFAULT_WORKLOAD_CERT_TTL, 24 h.</summary>
    private static readonly TimeSpan LeafDefault = TimeSpan.FromHours(24);

    /// <summary>Longest life that is granted. Source: Istio MAX_WORKLOAD_CERT_TTL, 90 days.</summary>
    private static readonly TimeSpan LeafMax = TimeSpan.FromDays(90);

    private readonly X509Certificate2 _root;
    private readonly TimeProvider _time;

    private CertificateAuthority(X509Certificate2 root, TimeProvider time)
    {
        _root = root;
        _time = time;
        RootPem = root.ExportCertificatePem() + "\n";
    }

    public string RootPem { get; }

    public static CertificateAuthority Open(string folder, string trustDomain, TimeProvider time)
    {
        var certFile = Path.Combine(folder, "root-cert.pem");
        var keyFile = Path.Combine(folder, "root-key.pem");
        if (folder.Length > 0 && File.Exists(certFile) && File.Exists(keyFile))
            return new CertificateAuthority(X509Certificate2.CreateFromPemFile(certFile, keyFile), time);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"O={trustDomain}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        var now = time.GetUtcNow();
        var root = request.CreateSelfSigned(now.AddMinutes(-5), now.AddDays(RootDays));
        if (folder.Length > 0)
        {
            Directory.CreateDirectory(folder);
            File.WriteAllText(keyFile, key.ExportPkcs8PrivateKeyPem());
            File.SetUnixFileMode(keyFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            File.WriteAllText(certFile, root.ExportCertificatePem());
        }
        return new CertificateAuthority(root, time);
    }

    /// <summary>Signs a request for an identity; the chain is leaf first, root last.</summary>
    /// <exception cref="CryptographicException">The request is not a PKCS #10 request, or its signature does not verify.</exception>
    public IReadOnlyList<string> Sign(string csrPem, string identity, TimeSpan asked)
    {
        var request = CertificateRequest.LoadSigningRequestPem(csrPem, HashAlgorithmName.SHA256, CertificateRequestLoadOptions.Default);
        var clean = new CertificateRequest(new X500DistinguishedName(""), request.PublicKey, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddUri(new Uri(identity));
        clean.CertificateExtensions.Add(names.Build(critical: true));
        clean.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        clean.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature | X509KeyUsageFlags.KeyEncipherment, true));
        clean.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1"), new Oid("1.3.6.1.5.5.7.3.2")], false));
        clean.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(_root, true, false));
        var life = asked <= TimeSpan.Zero ? LeafDefault : asked < LeafMax ? asked : LeafMax;
        var now = _time.GetUtcNow();
        Span<byte> serial = stackalloc byte[16];
        RandomNumberGenerator.Fill(serial);
        serial[0] &= 0x7F;
        using var leaf = clean.Create(_root.SubjectName, X509SignatureGenerator.CreateForECDsa(_root.GetECDsaPrivateKey()!), now.AddMinutes(-2), Earlier(now + life, _root.NotAfter), serial);
        return [leaf.ExportCertificatePem() + "\n", RootPem];
    }

    private static DateTimeOffset Earlier(DateTimeOffset a, DateTimeOffset b) => a < b ? a : b;

    /// <summary>A certificate for the control plane's own TLS port.</summary>
    public X509Certificate2 ServerCertificate(IEnumerable<string> names)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=istiod", key, HashAlgorithmName.SHA256);
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (var name in names)
            alternatives.AddDnsName(name);
        alternatives.AddIpAddress(System.Net.IPAddress.Loopback);
        request.CertificateExtensions.Add(alternatives.Build());
        var now = _time.GetUtcNow();
        using var leaf = request.Create(_root.SubjectName, X509SignatureGenerator.CreateForECDsa(_root.GetECDsaPrivateKey()!), now.AddMinutes(-2), now.AddDays(365), RandomNumberGenerator.GetBytes(12));
        using var withKey = leaf.CopyWithPrivateKey(key);
        return X509CertificateLoader.LoadPkcs12(withKey.Export(X509ContentType.Pkcs12), null);
    }

    /// <summary>Whether a client's certificate was signed here and is in force; its SPIFFE id then.</summary>
    public string? IdentityOf(X509Certificate2 certificate)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(_root);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        if (!chain.Build(certificate))
            return null;
        foreach (var extension in certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>())
        {
            var text = Encoding.ASCII.GetString(extension.RawData);
            var at = text.IndexOf("spiffe://", StringComparison.Ordinal);
            if (at >= 0)
                return new string(text[at..].TakeWhile(c => c is > ' ' and < (char)127).ToArray());
        }
        return null;
    }

    public void Dispose() => _root.Dispose();
}
