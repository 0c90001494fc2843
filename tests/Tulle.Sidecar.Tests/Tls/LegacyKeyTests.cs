using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Tulle.Native;
using Tulle.Testing;
using static Tulle.Sidecar.Tests.Tls.TlsFieldTests;

namespace Tulle.Sidecar.Tests.Tls;

/// <summary>The older key methods act on the whole process: .NET's own keys and TLS must go on as before, whenever they were made.</summary>
public class LegacyKeyTests
{
    [Fact]
    public async Task NET_keys_and_TLS_work_beside_the_older_methods()
    {
        using var before = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var rsa = RSA.Create(2048);
        var root = new TestCertificates();
        var server = Common(Certificates(Certificate(root.Issue(["server.test"]))));
        Assert.True(new TlsPair(server, Common($"validation_context: {{ trusted_ca: {Pem(root.Pem)} }}")).Handshake().Succeeded);
        if (TlsLibrary.Number >> 20 is 0x300 or 0x301)
            Assert.True(TlsLibrary.UsesLegacyKeyMethods);
        foreach (var key in new[] { before, ECDsa.Create(ECCurve.NamedCurves.nistP384), ECDsa.Create(ECCurve.NamedCurves.nistP256) })
        {
            var signature = key.SignData("text"u8, HashAlgorithmName.SHA256);
            using var other = ECDsa.Create(key.ExportParameters(false));
            Assert.True(other.VerifyData("text"u8, signature, HashAlgorithmName.SHA256));
            Assert.False(other.VerifyData("other"u8, signature, HashAlgorithmName.SHA256));
        }
        Assert.True(rsa.VerifyData("text"u8, rsa.SignData("text"u8, HashAlgorithmName.SHA256, RSASignaturePadding.Pss), HashAlgorithmName.SHA256, RSASignaturePadding.Pss));
        using var alice = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        using var bob = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        Assert.Equal(alice.DeriveRawSecretAgreement(bob.PublicKey), bob.DeriveRawSecretAgreement(alice.PublicKey));
        foreach (AsymmetricAlgorithm key in new AsymmetricAlgorithm[] { ECDsa.Create(ECCurve.NamedCurves.nistP256), RSA.Create(2048) })
            await StreamsAsync(root.Issue(["server.test"], key));
    }

    private static async Task StreamsAsync(TestCertificate issued)
    {
        using var certificate = X509Certificate2.CreateFromPem(issued.Pem, issued.KeyPem);
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        using var client = new System.Net.Sockets.TcpClient();
        var connecting = client.ConnectAsync((System.Net.IPEndPoint)listener.LocalEndpoint);
        using var accepted = await listener.AcceptTcpClientAsync();
        await connecting;
        await using var there = new SslStream(accepted.GetStream());
        await using var here = new SslStream(client.GetStream(), false, (_, _, _, _) => true);
        await Task.WhenAll(there.AuthenticateAsServerAsync(certificate), here.AuthenticateAsClientAsync("server.test")).WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal(SslProtocols.Tls13, here.SslProtocol);
    }
}
