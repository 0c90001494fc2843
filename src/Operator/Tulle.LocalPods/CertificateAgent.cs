using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Tulle.Base.Documents;
using Tulle.Xds;

namespace Tulle.LocalPods;

/// <summary>
/// The node agent for certificates: makes a key per workload identity, has it signed by the control plane, and hands both to proxies over SDS. Each pod has a
/// socket of its own; whose keys are served there follows from the socket, and who may open it from the kernel: user and network namespace of the caller.
/// Keys never touch a disk. Certificates are renewed at half of their life.
/// </summary>
public sealed class CertificateAgent : IAsyncDisposable
{
    private sealed class Identity
    {
        public required string Name;
        public Dictionary<string, XdsResource> Secrets = [];
        public DateTimeOffset RenewAt;
    }

    private sealed class Stream(bool isDelta, PodSocket socket, System.Threading.Channels.Channel<byte[]> outgoing)
    {
        public readonly XdsServerState State = new(isDelta);
        public readonly string Identity = socket.Identity;
        public readonly int User = socket.User;
        public readonly System.Threading.Channels.Channel<byte[]> Outgoing = outgoing;
    }

    /// <summary>Seconds that the control plane may take to sign. Source: Istio's agent gives its CA client 10 s a try.</summary>
    private const int SignSecondsMax = 10;

    private readonly HttpClient _authority;
    private readonly ConcurrentDictionary<string, Identity> _identities = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<Stream, bool> _streams = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly PodSockets _sockets = new();
    private WebApplication? _app;

    /// <param name="authoritySocket">The control plane's socket for certificates (--ca-socket).</param>
    public CertificateAgent(string authoritySocket)
    {
        _authority = new HttpClient(new SocketsHttpHandler
        {
            ConnectCallback = async (_, stop) =>
            {
                var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await connection.ConnectAsync(new UnixDomainSocketEndPoint(authoritySocket), stop);
                return new NetworkStream(connection, ownsSocket: true);
            },
        })
        {
            DefaultRequestVersion = HttpVersion.Version20,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Timeout = TimeSpan.FromSeconds(SignSecondsMax),
        };
    }

    public async Task StartAsync()
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton<IConnectionListenerFactory>(_sockets);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Limits.MinResponseDataRate = null;
            kestrel.Listen(PodSockets.EndPoint, listen => listen.Protocols = HttpProtocols.Http2);
        });
        _app = builder.Build();
        _app.Run(HandleAsync);
        await _app.StartAsync();
        _ = Task.Run(RenewAsync);
    }

    /// <summary>Makes sure that an identity has a certificate.</summary>
    public async Task PrepareAsync(string identity)
    {
        if (_identities.ContainsKey(identity))
            return;
        var entry = new Identity { Name = identity };
        await IssueAsync(entry);
        _identities[identity] = entry;
    }

    /// <summary>Serves an identity's keys at a path, to one user in one network namespace only.</summary>
    public void Open(string path, string identity, ulong networkNamespace, int user) => _sockets.Open(new PodSocket(path, identity, networkNamespace, user));

    public void Close(string path) => _sockets.Close(path);

    private async Task IssueAsync(Identity identity)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("O=tulle", key, HashAlgorithmName.SHA256);
        var message = ProtoWriter.Write("istio.v1.auth.IstioCertificateRequest", Node.Map(
            ("csr", request.CreateSigningRequestPem()), ("validity_duration", 86400), ("metadata", Node.Map(("ImpersonatedIdentity", identity.Name)))));
        using var content = new ByteArrayContent(GrpcFraming.Frame(message));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/grpc");
        using var call = new HttpRequestMessage(HttpMethod.Post, "http://tulle-control/istio.v1.auth.IstioCertificateService/CreateCertificate")
        {
            Content = content,
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        call.Headers.TE.Add(new TransferCodingWithQualityHeaderValue("trailers"));
        using var response = await _authority.SendAsync(call);
        var body = await response.Content.ReadAsByteArrayAsync();
        var chain = Take(body)?["cert_chain"]?.Items.Select(c => c.AsText).ToList();
        if (chain is not { Count: > 1 })
        {
            var why = response.Headers.TryGetValues("grpc-message", out var text) ? Uri.UnescapeDataString(string.Join(",", text)) : $"HTTP {(int)response.StatusCode}";
            throw new CommandException($"the control plane signed no certificate for {identity.Name}: {why}");
        }
        using var leaf = X509Certificate2.CreateFromPem(chain[0]);
        var life = leaf.NotAfter.ToUniversalTime() - leaf.NotBefore.ToUniversalTime();
        identity.RenewAt = new DateTimeOffset(leaf.NotBefore.ToUniversalTime()) + life / 2;
        identity.Secrets = new Dictionary<string, XdsResource>(StringComparer.Ordinal)
        {
            ["default"] = Resource("default", Node.Map(("name", "default"), ("tls_certificate", Node.Map(
                ("certificate_chain", Node.Map(("inline_bytes", Base64(string.Concat(chain.Take(chain.Count - 1)))))),
                ("private_key", Node.Map(("inline_bytes", Base64(key.ExportPkcs8PrivateKeyPem())))))))),
            ["ROOTCA"] = Resource("ROOTCA", Node.Map(("name", "ROOTCA"), ("validation_context", Node.Map(("trusted_ca", Node.Map(("inline_bytes", Base64(chain[^1])))))))),
        };
    }

    private static Node? Take(byte[] body)
    {
        ReadOnlySpan<byte> rest = body;
        return GrpcFraming.TryTake(ref rest, out var message, GrpcFraming.ResponseBytesMax) ? ProtoReader.Read("istio.v1.auth.IstioCertificateResponse", message) : null;
    }

    private static string Base64(string text) => Convert.ToBase64String(Encoding.ASCII.GetBytes(text));

    private static XdsResource Resource(string name, Node tree)
    {
        var bytes = ProtoWriter.Write("envoy.extensions.transport_sockets.tls.v3.Secret", tree);
        return new XdsResource(name, Convert.ToHexStringLower(SHA256.HashData(bytes).AsSpan(0, 8)), XdsTypes.Secret, bytes);
    }

    private async Task RenewAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(TimeSpan.FromSeconds(5), _stop.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            // Files may have been replaced; what did not change is not sent.
            PushAll();
            foreach (var identity in _identities.Values.Where(i => TimeProvider.System.GetUtcNow() >= i.RenewAt))
            {
                try
                {
                    await IssueAsync(identity);
                    PushAll();
                }
                catch (Exception error)
                {
                    // Whatever it was: a renewal that is given up ends the mesh's mTLS a day later.
                    Console.Error.WriteLine($"certificate of {identity.Name} cannot be renewed yet: {error.Message}; trying again");
                }
            }
        }
    }

    private void PushAll()
    {
        foreach (var stream in _streams.Keys)
            Push(stream);
    }

    private async Task HandleAsync(HttpContext context)
    {
        var path = context.Request.Path.Value ?? "";
        var isDelta = path.EndsWith("/DeltaSecrets", StringComparison.Ordinal);
        context.Response.ContentType = "application/grpc";
        if (!isDelta && !path.EndsWith("/StreamSecrets", StringComparison.Ordinal))
        {
            context.Response.Headers["grpc-status"] = "12";
            return;
        }
        if (context.Features.Get<PodSocket>() is not { } socket)
        {
            context.Response.Headers["grpc-status"] = "16";
            return;
        }
        var stream = new Stream(isDelta, socket, System.Threading.Channels.Channel.CreateBounded<byte[]>(64));
        _streams[stream] = true;
        await context.Response.StartAsync();
        var writing = WriteAsync(context, stream);
        try
        {
            var buffer = new byte[16 * 1024];
            var length = 0;
            while (true)
            {
                if (length == buffer.Length)
                    Array.Resize(ref buffer, length * 2);
                var count = await context.Request.Body.ReadAsync(buffer.AsMemory(length), context.RequestAborted);
                if (count == 0)
                    break;
                length = Consume(stream, buffer, length + count);
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ProtoException or XdsRefusedException)
        {
            // The proxy ended or spoke nonsense; it will come back.
        }
        finally
        {
            _streams.TryRemove(stream, out _);
            stream.Outgoing.Writer.TryComplete();
        }
        await writing;
    }

    private int Consume(Stream stream, byte[] buffer, int length)
    {
        ReadOnlySpan<byte> rest = buffer.AsSpan(0, length);
        while (GrpcFraming.TryTake(ref rest, out var message, GrpcFraming.RequestBytesMax))
        {
            lock (stream)
                stream.State.OnRequest(message);
            Push(stream);
        }
        rest.CopyTo(buffer);
        return rest.Length;
    }

    private void Push(Stream stream)
    {
        lock (stream)
        {
            if (!_identities.TryGetValue(stream.Identity, out var identity) || !stream.State.Wants(XdsTypes.Secret))
                return;
            var files = stream.State.NamesOf(XdsTypes.Secret).Where(FileSecrets.IsOne).ToList();
            var all = identity.Secrets;
            if (files.Count > 0)
            {
                all = new Dictionary<string, XdsResource>(all, StringComparer.Ordinal);
                foreach (var secret in files.Select(f => FileSecrets.Make(f, stream.User)).OfType<XdsResource>())
                    all[secret.Name] = secret;
            }
            var version = identity.RenewAt.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
            // A reader so slow that nothing more fits comes back to a new stream, and is given everything there.
            if (stream.State.Push(XdsTypes.Secret, all, version) is { } response && !stream.Outgoing.Writer.TryWrite(GrpcFraming.Frame(response)))
                stream.Outgoing.Writer.TryComplete();
        }
    }

    private static async Task WriteAsync(HttpContext context, Stream stream)
    {
        try
        {
            await foreach (var message in stream.Outgoing.Reader.ReadAllAsync(context.RequestAborted))
            {
                await context.Response.Body.WriteAsync(message, context.RequestAborted);
                await context.Response.Body.FlushAsync(context.RequestAborted);
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            context.Abort();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        foreach (var stream in _streams.Keys)
            stream.Outgoing.Writer.TryComplete();
        if (_app is not null)
        {
            await _app.StopAsync(new CancellationTokenSource(500).Token);
            await _app.DisposeAsync();
        }
        _sockets.Dispose();
        _authority.Dispose();
        _stop.Dispose();
    }
}
