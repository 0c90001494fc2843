using System.Diagnostics;
using Tulle.Proxy;
using Tulle.Testing;
using static Tulle.Sidecar.Tests.Tls.TlsFieldTests;

namespace Tulle.Sidecar.Tests.Tls;

/// <summary>A chain that was verified is remembered: only when it was accepted, only while it is in its time, only in the context that verified it.</summary>
public class VerifiedChainTests
{
    private readonly TestCertificates _root = new();

    private string Server(string more = "", TestCertificates? root = null) => $"require_client_certificate: true, disable_stateless_session_resumption: true, "
        + Common(Certificates(Certificate((root ?? _root).Issue(["server.test"]))), $"validation_context: {{ trusted_ca: {Pem(_root.Pem)}{more} }}");

    private string Client(TestCertificate certificate) => $"max_session_keys: 0, {Common(Certificates(Certificate(certificate)), $"validation_context: {{ trusted_ca: {Pem(_root.Pem)} }}")}";

    [Fact]
    public void A_peer_that_comes_again_is_not_verified_again()
    {
        var pair = new TlsPair(Server(), Client(_root.Issue(["spiffe://x/a"])));
        for (var i = 0; i < 3; i++)
            Assert.True(pair.Handshake() is { Succeeded: true, Resumed: false });
        Assert.Equal((2, 1), TlsContexts.Prepare(pair.Server).Verifications);
        Assert.Equal((2, 1), TlsContexts.Prepare(pair.Client).Verifications);
    }

    [Fact]
    public void Names_are_checked_every_time()
    {
        var certificate = _root.Issue(["spiffe://x/a"]);
        var pair = new TlsPair(Server(", match_typed_subject_alt_names: [ { san_type: URI, matcher: { exact: \"spiffe://x/b\" } } ]"), Client(certificate));
        for (var i = 0; i < 3; i++)
            Assert.NotNull(pair.Handshake().ServerRefuses);
    }

    [Fact]
    public void What_was_refused_is_not_remembered()
    {
        var pair = new TlsPair(Server(), Client(new TestCertificates("other").Issue(["spiffe://x/a"])));
        for (var i = 0; i < 3; i++)
            Assert.NotNull(pair.Handshake().ServerRefuses);
        Assert.Equal(0, TlsContexts.Prepare(pair.Server).Verifications.Remembered);
    }

    [Fact]
    public void A_certificate_that_ends_is_refused_from_then_on()
    {
        var pair = new TlsPair(Server(), Client(_root.Issue(["spiffe://x/a"], until: DateTimeOffset.UtcNow.AddSeconds(2))));
        Assert.True(pair.Handshake().Succeeded);
        var deadline = Stopwatch.StartNew();
        var outcome = pair.Handshake();
        while (outcome.Succeeded)
        {
            Assert.True(deadline.Elapsed < TimeSpan.FromSeconds(60), "it is accepted long after its end");
            outcome = pair.Handshake();
        }
        Assert.Contains("certificate has expired", outcome.ServerRefuses, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_bundle_or_revocation_list_is_another_context_which_remembers_nothing()
    {
        var certificate = _root.Issue(["spiffe://x/a"]);
        var server = _root.Issue(["server.test"]);
        string With(string trust, string more = "") => $"require_client_certificate: true, disable_stateless_session_resumption: true, "
            + Common(Certificates(Certificate(server)), $"validation_context: {{ trusted_ca: {Pem(trust)}{more} }}");
        Assert.True(new TlsPair(With(_root.Pem), Client(certificate)).Handshake().Succeeded);
        Assert.NotNull(new TlsPair(With(new TestCertificates("new").Pem), Client(certificate)).Handshake().ServerRefuses);
        Assert.Contains("revoked", new TlsPair(With(_root.Pem, $", crl: {Pem(_root.Revoke(certificate))}"), Client(certificate)).Handshake().ServerRefuses, StringComparison.Ordinal);
        Assert.True(new TlsPair(With(_root.Pem), Client(certificate)).Handshake().Succeeded);
    }
}
