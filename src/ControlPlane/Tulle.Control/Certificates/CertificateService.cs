using System.Security.Cryptography;
using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Xds;

namespace Tulle.Control;

/// <summary>
/// CreateCertificate. Whose certificate it is follows from who calls, never from the request: over TLS it is the owner of the client certificate. Only the
/// node agent, on a socket of its own that nobody else can open, names the workload it asks for.
/// </summary>
internal sealed class CertificateService(ControlOptions options, CertificateAuthority authority)
{
    /// <summary>Seconds a caller may take for its request.</summary>
    private static readonly TimeSpan FirstWithin = TimeSpan.FromSeconds(30);

    public async Task SignAsync(HttpContext context, Caller caller)
    {
        Node? request = null;
        try
        {
            await GrpcCall.ReadAsync(context, FirstWithin, message => request = ProtoReader.Read("istio.v1.auth.IstioCertificateRequest", message, ProtoReader.RequestValuesMax));
        }
        catch (Exception error) when (error is ProtoException or TimeoutException)
        {
            GrpcCall.End(context, 3, error.Message);
            return;
        }
        if (request is null)
        {
            GrpcCall.End(context, 3, "there is no request");
            return;
        }
        var identity = IdentityFor(caller, request["metadata"]?["ImpersonatedIdentity"]?.AsText ?? "");
        if (!SpiffeId.TryParse(identity, out var parsed) || parsed.TrustDomain != options.TrustDomain)
        {
            GrpcCall.End(context, caller.Way == CallerWay.Agent ? 3 : 16, caller.Way == CallerWay.Agent
                ? $"\"{identity}\" is no identity of this mesh: spiffe://{options.TrustDomain}/ns/NAMESPACE/sa/ACCOUNT is expected"
                : "the caller has no identity of this mesh: certificates are issued over TLS with a client certificate, or to the node agent on its own socket");
            return;
        }
        await AnswerAsync(context, request, identity);
    }

    private static string IdentityFor(Caller caller, string named) => caller.Way switch
    {
        CallerWay.Agent => named,
        CallerWay.Tls => caller.Identity,
        _ => "",
    };

    private async Task AnswerAsync(HttpContext context, Node request, string identity)
    {
        try
        {
            var seconds = Math.Clamp(request["validity_duration"]?.AsInteger ?? 0, 0, (long)CertificateAuthority.LeafMax.TotalSeconds);
            var chain = authority.Sign(request["csr"]?.AsText ?? "", identity, TimeSpan.FromSeconds(seconds));
            var reply = ProtoWriter.Write("istio.v1.auth.IstioCertificateResponse", Node.Map(("cert_chain", Node.List(chain.Select(Node.FromString).ToList()))));
            context.Response.ContentType = "application/grpc";
            context.Response.DeclareTrailer("grpc-status");
            await context.Response.Body.WriteAsync(GrpcFraming.Frame(reply));
            GrpcCall.End(context, 0);
        }
        catch (Exception error) when (error is CryptographicException or ArgumentException or InvalidOperationException)
        {
            GrpcCall.End(context, 3, $"the signing request cannot be used: {error.Message}");
        }
    }
}
