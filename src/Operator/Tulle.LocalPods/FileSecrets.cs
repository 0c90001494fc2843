using System.Security.Cryptography;
using Tulle.Base.Documents;
using Tulle.Native;
using Tulle.Xds;

namespace Tulle.LocalPods;

/// <summary>
/// Certificates and roots that configuration names by files of the pod, as Istio's agent serves them: "file-cert:CERTIFICATE~KEY", "file-root:FILE" and
/// "file-root:system". They are read with the rights of the proxy that asks, which is not the agent's.
/// </summary>
internal static class FileSecrets
{
    private const string CertificatePrefix = "file-cert:", RootPrefix = "file-root:";

    /// <summary>Bytes of one file. Source: the system's roots are 0.3 MB.</summary>
    private const int FileBytesMax = 4 * 1024 * 1024;

    /// <summary>Where distributions keep the roots that they trust; the first that is there.</summary>
    private static readonly string[] s_system = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];

    public static bool IsOne(string name) => name.StartsWith(CertificatePrefix, StringComparison.Ordinal) || name.StartsWith(RootPrefix, StringComparison.Ordinal);

    /// <summary>The secret, or null when a file is not there, is not the user's to read, or is too large.</summary>
    public static XdsResource? Make(string name, int user)
    {
        try
        {
            var tree = name.StartsWith(RootPrefix, StringComparison.Ordinal) ? Root(name[RootPrefix.Length..], user) : Certificate(name[CertificatePrefix.Length..].Split('~'), user);
            if (tree is null)
                return null;
            var bytes = ProtoWriter.Write("envoy.extensions.transport_sockets.tls.v3.Secret", tree.With("name", name));
            return new XdsResource(name, Convert.ToHexStringLower(SHA256.HashData(bytes).AsSpan(0, 8)), XdsTypes.Secret, bytes);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            return null;
        }
    }

    private static Node? Root(string file, int user)
    {
        var path = file == "system" ? Array.Find(s_system, File.Exists) : file;
        return path is null ? null : Node.Map(("validation_context", Node.Map(("trusted_ca", Read(path, user)))));
    }

    private static Node? Certificate(string[] files, int user) => files.Length != 2 ? null
        : Node.Map(("tls_certificate", Node.Map(("certificate_chain", Read(files[0], user)), ("private_key", Read(files[1], user)))));

    private static Node Read(string path, int user)
    {
        if (!Path.IsPathFullyQualified(path) || new FileInfo(path).Length > FileBytesMax)
            throw new IOException($"{path} is no absolute path, or larger than {FileBytesMax} bytes");
        return Node.Map(("inline_bytes", Convert.ToBase64String(Files.ReadAs(user, path))));
    }
}
