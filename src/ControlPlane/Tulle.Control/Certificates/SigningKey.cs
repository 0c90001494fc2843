using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Tulle.Control;

/// <summary>The CA's certificate with its key, and the certificates between it and the root.</summary>
/// <param name="Certificate">Certificate of the key that signs, with the key.</param>
/// <param name="Between">PEM of the certificates that lead from it to the root, without the root; usually empty.</param>
/// <param name="Root">The root that everybody trusts; the same as <paramref name="Certificate"/> for a self-signed CA.</param>
internal sealed record SigningKey(X509Certificate2 Certificate, string Between, X509Certificate2 Root) : IDisposable
{
    public X509SignatureGenerator Generator() => Certificate.GetECDsaPrivateKey() is { } elliptic ? X509SignatureGenerator.CreateForECDsa(elliptic)
        : X509SignatureGenerator.CreateForRSA(Certificate.GetRSAPrivateKey()!, RSASignaturePadding.Pkcs1);

    public void Dispose()
    {
        if (!ReferenceEquals(Root, Certificate))
            Root.Dispose();
        Certificate.Dispose();
    }

    /// <summary>
    /// Reads root-cert.pem with root-key.pem, or, as Istio's plugged-in CA, ca-cert.pem with ca-key.pem, cert-chain.pem and root-cert.pem. Null when there
    /// is neither.
    /// </summary>
    /// <exception cref="InvalidDataException">What is there cannot sign.</exception>
    public static SigningKey? Read(string folder, DateTimeOffset now)
    {
        var isPlugged = File.Exists(Path.Combine(folder, "ca-cert.pem"));
        var (certFile, keyFile) = isPlugged ? ("ca-cert.pem", "ca-key.pem") : ("root-cert.pem", "root-key.pem");
        var hasCert = File.Exists(Path.Combine(folder, certFile));
        var hasKey = File.Exists(Path.Combine(folder, keyFile));
        if (!hasCert && !hasKey)
            return null;
        if (hasCert != hasKey)
            throw new InvalidDataException($"{folder}: {(hasCert ? certFile : keyFile)} is there and {(hasCert ? keyFile : certFile)} is not; add it, or take the other away for a new CA");
        try
        {
            var certificate = X509Certificate2.CreateFromPemFile(Path.Combine(folder, certFile), Path.Combine(folder, keyFile));
            var root = isPlugged ? X509Certificate2.CreateFromPem(File.ReadAllText(Path.Combine(folder, "root-cert.pem"))) : certificate;
            var chainFile = Path.Combine(folder, "cert-chain.pem");
            var key = new SigningKey(certificate, isPlugged ? Without(File.Exists(chainFile) ? File.ReadAllText(chainFile) : certificate.ExportCertificatePem(), root) : "", root);
            key.Check(Path.Combine(folder, certFile), now);
            return key;
        }
        catch (Exception error) when (error is CryptographicException or ArgumentException or IOException or UnauthorizedAccessException)
        {
            throw new InvalidDataException($"{Path.Combine(folder, certFile)} with {keyFile} cannot be used: {error.Message}", error);
        }
    }

    private static string Without(string chainPem, X509Certificate2 root)
    {
        var chain = new X509Certificate2Collection();
        chain.ImportFromPem(chainPem);
        return string.Concat(chain.Where(c => !c.RawDataMemory.Span.SequenceEqual(root.RawDataMemory.Span)).Select(c => c.ExportCertificatePem() + "\n"));
    }

    private void Check(string file, DateTimeOffset now)
    {
        if (Certificate.GetECDsaPrivateKey() is null && Certificate.GetRSAPrivateKey() is null)
            throw new InvalidDataException($"{file}: the key is neither RSA nor elliptic; other kinds cannot sign here");
        if (Certificate.GetRSAPrivateKey() is { KeySize: < 2048 } weak)
            throw new InvalidDataException($"{file}: an RSA key of {weak.KeySize} bits is too weak to sign with, 2048 are needed");
        if (Certificate.Extensions.OfType<X509BasicConstraintsExtension>().FirstOrDefault() is not { CertificateAuthority: true })
            throw new InvalidDataException($"{file}: the certificate is none of a CA (basicConstraints)");
        foreach (var certificate in new[] { Certificate, Root })
        {
            if (now >= certificate.NotAfter.ToUniversalTime())
                throw new InvalidDataException($"{file}: the certificate ended on {certificate.NotAfter.ToUniversalTime():yyyy-MM-dd}");
            if (now < certificate.NotBefore.ToUniversalTime())
                throw new InvalidDataException($"{file}: the certificate begins on {certificate.NotBefore.ToUniversalTime():yyyy-MM-dd}");
        }
    }

    /// <summary>Share of its life that is left, for the word in time that a new root is needed.</summary>
    public double LifeLeft(DateTimeOffset now) => (Certificate.NotAfter.ToUniversalTime() - now) / (Certificate.NotAfter - Certificate.NotBefore);

    /// <summary>A new self-signed root, kept in a folder when one is given.</summary>
    public static SigningKey Create(string folder, string trustDomain, int days, DateTimeOffset now)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"O={trustDomain}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        var root = request.CreateSelfSigned(now.AddMinutes(-5), now.AddDays(days));
        if (folder.Length > 0)
        {
            Directory.CreateDirectory(folder);
            // The key first: a certificate without its key is told at the next start, a key alone would be too, and neither is taken for a CA.
            Store(Path.Combine(folder, "root-key.pem"), key.ExportPkcs8PrivateKeyPem());
            Store(Path.Combine(folder, "root-cert.pem"), root.ExportCertificatePem());
        }
        return new SigningKey(root, "", root);
    }

    /// <summary>Never readable by others, not even for a moment, and never half there.</summary>
    private static void Store(string file, string text)
    {
        var temporary = file + ".new";
        File.Delete(temporary);
        using (var stream = new FileStream(temporary, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        {
            stream.Write(System.Text.Encoding.ASCII.GetBytes(text));
            stream.Flush(flushToDisk: true);
        }
        File.Move(temporary, file, overwrite: true);
    }
}
