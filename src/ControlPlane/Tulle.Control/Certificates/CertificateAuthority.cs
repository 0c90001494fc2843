using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Tulle.Control;

/// <summary>
/// The mesh's own CA: signs workload certificates. The name in a certificate is the caller's authenticated identity, never what the request says.
/// </summary>
internal sealed class CertificateAuthority : IDisposable
{
    /// <summary>Days of the root. Source: Istio's self-signed root, 3,650 days.</summary>
    private const int RootDays = 3650;

    /// <summary>Default life of a workload certificate. Source: Istio DEFAULT_WORKLOAD_CERT_TTL, 24 h.</summary>
    private static readonly TimeSpan LeafDefault = TimeSpan.FromHours(24);

    /// <summary>Longest life that is granted. Source: Istio MAX_WORKLOAD_CERT_TTL, 90 days.</summary>
    public static readonly TimeSpan LeafMax = TimeSpan.FromDays(90);

    /// <summary>Life of the control plane's own server certificate; a new one is made at half of it. Source: as a workload's.</summary>
    private static readonly TimeSpan ServerLife = TimeSpan.FromHours(24);

    /// <summary>Smallest RSA key that is signed. Source: NIST SP 800-131A, 2048 bits.</summary>
    private const int RsaBitsMin = 2048;

    private readonly SigningKey _key;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private X509Certificate2? _server;
    private DateTimeOffset _renewAt;

    private CertificateAuthority(SigningKey key, TimeProvider time)
    {
        _key = key;
        _time = time;
        RootPem = key.Root.ExportCertificatePem() + "\n";
    }

    public string RootPem { get; }

    /// <summary>Names in the control plane's own certificate.</summary>
    public IReadOnlyList<string> ServerNames { get; init; } = ["localhost", "istiod.istio-system.svc", "tulle-control"];

    /// <exception cref="InvalidDataException">The folder's certificate and key cannot be used.</exception>
    public static CertificateAuthority Open(string folder, string trustDomain, TimeProvider time)
    {
        var now = time.GetUtcNow();
        var key = (folder.Length > 0 ? SigningKey.Read(folder, now) : null) ?? SigningKey.Create(folder, trustDomain, RootDays, now);
        if (key.LifeLeft(now) < 0.2)
            Console.Error.WriteLine($"ca: the CA's certificate ends on {key.Certificate.NotAfter.ToUniversalTime():yyyy-MM-dd}; put a new one beside it in time, workloads must trust both meanwhile");
        return new CertificateAuthority(key, time);
    }

    /// <summary>Signs a request for an identity; the chain is leaf first, root last.</summary>
    /// <exception cref="CryptographicException">The request is not a PKCS #10 request, or its signature does not verify.</exception>
    /// <exception cref="ArgumentException">The request's key is one that nobody should trust.</exception>
    public IReadOnlyList<string> Sign(string csrPem, string identity, TimeSpan asked)
    {
        var request = CertificateRequest.LoadSigningRequestPem(csrPem, HashAlgorithmName.SHA256, CertificateRequestLoadOptions.Default);
        CheckKey(request.PublicKey);
        var clean = new CertificateRequest(new X500DistinguishedName(""), request.PublicKey, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddUri(new Uri(identity));
        clean.CertificateExtensions.Add(names.Build(critical: true));
        clean.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        clean.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature | X509KeyUsageFlags.KeyEncipherment, true));
        clean.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1"), new Oid("1.3.6.1.5.5.7.3.2")], false));
        var life = asked <= TimeSpan.Zero ? LeafDefault : asked < LeafMax ? asked : LeafMax;
        using var leaf = Create(clean, life);
        return _key.Between.Length > 0 ? [leaf.ExportCertificatePem() + "\n", _key.Between, RootPem] : [leaf.ExportCertificatePem() + "\n", RootPem];
    }

    private static void CheckKey(PublicKey key)
    {
        if (key.GetRSAPublicKey() is { } rsa)
        {
            if (rsa.KeySize < RsaBitsMin)
                throw new ArgumentException($"an RSA key of {rsa.KeySize} bits is too weak, {RsaBitsMin} are needed");
            return;
        }
        if (key.GetECDsaPublicKey() is null)
            throw new ArgumentException("the key is neither RSA nor elliptic");
    }

    private X509Certificate2 Create(CertificateRequest request, TimeSpan life)
    {
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(_key.Certificate, true, false));
        var now = _time.GetUtcNow();
        var begin = Later(now.AddMinutes(-2), _key.Certificate.NotBefore.ToUniversalTime());
        Span<byte> serial = stackalloc byte[16];
        RandomNumberGenerator.Fill(serial);
        serial[0] &= 0x7F;
        return request.Create(_key.Certificate.SubjectName, _key.Generator(), begin, Earlier(now + life, _key.Certificate.NotAfter.ToUniversalTime()), serial);
    }

    private static DateTimeOffset Earlier(DateTimeOffset a, DateTimeOffset b) => a < b ? a : b;

    private static DateTimeOffset Later(DateTimeOffset a, DateTimeOffset b) => a > b ? a : b;

    /// <summary>The certificate of the control plane's own TLS port; a new one is made in time.</summary>
    public X509Certificate2 ServerCertificate
    {
        get
        {
            lock (_lock)
            {
                if (_server is null || _time.GetUtcNow() >= _renewAt)
                {
                    // The old one is not disposed: handshakes may be using it.
                    _server = MakeServerCertificate();
                    _renewAt = _time.GetUtcNow() + ServerLife / 2;
                }
                return _server;
            }
        }
    }

    private X509Certificate2 MakeServerCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=istiod", key, HashAlgorithmName.SHA256);
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (var name in ServerNames)
            alternatives.AddDnsName(name);
        alternatives.AddIpAddress(System.Net.IPAddress.Loopback);
        request.CertificateExtensions.Add(alternatives.Build());
        using var leaf = Create(request, ServerLife);
        using var withKey = leaf.CopyWithPrivateKey(key);
        return X509CertificateLoader.LoadPkcs12(withKey.Export(X509ContentType.Pkcs12), null);
    }

    /// <summary>The SPIFFE id of a client's certificate when it was signed here, is in force and has exactly one URI name; else null.</summary>
    public string? IdentityOf(X509Certificate2 certificate)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(_key.Root);
        chain.ChainPolicy.ExtraStore.Add(_key.Certificate);
        if (_key.Between.Length > 0)
            chain.ChainPolicy.ExtraStore.ImportFromPem(_key.Between);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.VerificationTime = _time.GetUtcNow().UtcDateTime;
        if (!chain.Build(certificate))
            return null;
        // SPIFFE X.509-SVID section 2: exactly one URI name; of several none is the right one.
        return AlternativeNames.UrisOf(certificate) is [var only] && only.StartsWith("spiffe://", StringComparison.Ordinal) ? only : null;
    }

    public void Dispose()
    {
        _key.Dispose();
        _server?.Dispose();
    }
}
