using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Tulle.Testing;

/// <summary>A certificate authority for tests: certificates of any content, revocation lists, all as PEM.</summary>
public sealed class TestCertificates
{
    private readonly X509Certificate2 _certificate;
    private readonly DateTimeOffset _from = DateTimeOffset.UtcNow.AddMinutes(-5);
    private readonly DateTimeOffset _until = DateTimeOffset.UtcNow.AddDays(30);

    /// <param name="name">Its subject, as CN.</param>
    /// <param name="issuer">Null: signs itself.</param>
    public TestCertificates(string name = "root", TestCertificates? issuer = null)
    {
        var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        _certificate = issuer is null ? request.CreateSelfSigned(_from, _until.AddDays(1)) : issuer.Sign(request, _from, _until, Serial()).CopyWithPrivateKey(key);
        Pem = _certificate.ExportCertificatePem() + "\n";
        Issuer = issuer;
    }

    public string Pem { get; }

    public TestCertificates? Issuer { get; }

    private static byte[] Serial()
    {
        var serial = RandomNumberGenerator.GetBytes(8);
        serial[0] &= 0x7F;
        serial[0] |= 0x01;
        return serial;
    }

    private X509Certificate2 Sign(CertificateRequest request, DateTimeOffset from, DateTimeOffset until, byte[] serial)
    {
        var generator = X509SignatureGenerator.CreateForECDsa(_certificate.GetECDsaPrivateKey()!);
        return request.Create(_certificate.SubjectName, generator, from, until, serial);
    }

    /// <summary>A certificate with these subject alternative names: a value with "://" is a URI, one of digits and dots an address, else a DNS name.</summary>
    public TestCertificate Issue(string[] names, AsymmetricAlgorithm? key = null, DateTimeOffset? until = null, X500DistinguishedName? subject = null,
        X509KeyUsageFlags? usage = null, DateTimeOffset? from = null, X509Extension? extension = null)
    {
        key ??= ECDsa.Create(ECCurve.NamedCurves.nistP256);
        subject ??= new X500DistinguishedName("");
        var request = key is RSA rsa ? new CertificateRequest(subject, rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
            : new CertificateRequest(subject, (ECDsa)key, HashAlgorithmName.SHA256);
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (var name in names)
        {
            if (name.Contains("://", StringComparison.Ordinal))
                alternatives.AddUri(new Uri(name));
            else if (System.Net.IPAddress.TryParse(name, out var address))
                alternatives.AddIpAddress(address);
            else
                alternatives.AddDnsName(name);
        }
        if (names.Length > 0)
            request.CertificateExtensions.Add(alternatives.Build(critical: true));
        if (usage is { } flags)
            request.CertificateExtensions.Add(new X509KeyUsageExtension(flags, true));
        if (extension is not null)
            request.CertificateExtensions.Add(extension);
        var serial = Serial();
        var certificate = Sign(request, from ?? _from, until ?? _until, serial);
        var keyPem = (key is RSA r ? r.ExportPkcs8PrivateKeyPem() : ((ECDsa)key).ExportPkcs8PrivateKeyPem()) + "\n";
        return new TestCertificate(certificate.ExportCertificatePem() + "\n", keyPem, serial, key, certificate.RawData);
    }

    /// <summary>A revocation list of this authority.</summary>
    public string Revoke(params TestCertificate[] revoked)
    {
        var builder = new CertificateRevocationListBuilder();
        foreach (var certificate in revoked)
            builder.AddEntry(certificate.Serial);
        var list = builder.Build(_certificate, 1, _until, HashAlgorithmName.SHA256, thisUpdate: _from);
        return PemEncoding.WriteString("X509 CRL", list) + "\n";
    }

    public string RevokeAuthority(TestCertificates authority)
    {
        var builder = new CertificateRevocationListBuilder();
        builder.AddEntry(authority._certificate);
        return PemEncoding.WriteString("X509 CRL", builder.Build(_certificate, 2, _until, HashAlgorithmName.SHA256, thisUpdate: _from)) + "\n";
    }
}

/// <summary>A certificate of <see cref="TestCertificates"/> with its key.</summary>
public sealed record TestCertificate(string Pem, string KeyPem, byte[] Serial, AsymmetricAlgorithm Key, byte[] Der)
{
    public byte[] PemBytes => Encoding.ASCII.GetBytes(Pem);

    public byte[] KeyBytes => Encoding.ASCII.GetBytes(KeyPem);

    public string EncryptedKeyPem(string password)
    {
        var parameters = new PbeParameters(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 1000);
        return (Key is RSA rsa ? rsa.ExportEncryptedPkcs8PrivateKeyPem(password, parameters) : ((ECDsa)Key).ExportEncryptedPkcs8PrivateKeyPem(password, parameters)) + "\n";
    }
}
