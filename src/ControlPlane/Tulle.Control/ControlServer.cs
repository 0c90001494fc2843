using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Xds;

namespace Tulle.Control;

/// <summary>The servers: ADS and the certificate API over gRPC (Kestrel, HTTP/2), debug over HTTP. Pushes go to every stream when the model changes.</summary>
internal sealed class ControlServer(ControlOptions options, CertificateAuthority authority)
{
    private const string Ads = "/envoy.service.discovery.v3.AggregatedDiscoveryService/";
    private const string CreateCertificate = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

    /// <summary>Open xDS streams. Source: istiod takes thousands; beyond this new ones are refused with UNAVAILABLE and come back.</summary>
    private const int StreamsMax = 20_000;

    private readonly ConcurrentDictionary<ProxyStream, bool> _streams = new();
    private volatile MeshModel _model = MeshModel.Build(new Resources.ResourceSet(), new MeshSettings(), new AddressAllocator());
    private volatile string _version = "0";
    private long _counter;
    private FolderSource? _source;

    public void Publish(MeshModel model)
    {
        _model = model;
        _version = $"{TimeProvider.System.GetUtcNow():yyyy-MM-dd'T'HH:mm:ss'Z'}/{Interlocked.Increment(ref _counter)}";
        Parallel.ForEach(_streams.Keys, stream => stream.Push(model, _version));
    }

    public async Task RunAsync(FolderSource source, CancellationToken stop)
    {
        _source = source;
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Limits.MinResponseDataRate = null;
            kestrel.Limits.Http2.KeepAlivePingDelay = TimeSpan.FromSeconds(30);
            kestrel.Limits.Http2.InitialConnectionWindowSize = 1 << 20;
            kestrel.Limits.Http2.InitialStreamWindowSize = 1 << 20;
            foreach (var address in options.Xds)
                Listen(kestrel, address, listen => listen.Protocols = HttpProtocols.Http2);
            if (options.XdsTls.Length > 0)
                Listen(kestrel, options.XdsTls, ListenTls);
            if (options.Debug.Length > 0)
                Listen(kestrel, options.Debug, listen => listen.Protocols = HttpProtocols.Http1);
        });
        await using var app = builder.Build();
        app.Run(HandleAsync);
        await app.StartAsync(stop);
        foreach (var address in options.Xds.Where(x => x.StartsWith("unix:", StringComparison.Ordinal)))
            File.SetUnixFileMode(address[5..], UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Console.Error.WriteLine($"tulle-control: serving {string.Join(", ", options.Xds.Append(options.XdsTls).Where(a => a.Length > 0))}");
        await Task.Delay(Timeout.Infinite, stop).ContinueWith(_ => { }, TaskScheduler.Default);
        foreach (var stream in _streams.Keys)
            stream.End();
        await app.StopAsync(new CancellationTokenSource(1000).Token);
    }

    private void ListenTls(ListenOptions listen)
    {
        listen.Protocols = HttpProtocols.Http2;
        listen.UseHttps(new HttpsConnectionAdapterOptions
        {
            ServerCertificate = authority.ServerCertificate(["localhost", "istiod.istio-system.svc", "tulle-control"]),
            ClientCertificateMode = ClientCertificateMode.RequireCertificate,
            ClientCertificateValidation = (certificate, _, _) => authority.IdentityOf(certificate) is not null,
        });
    }

    private static void Listen(KestrelServerOptions kestrel, string address, Action<ListenOptions> configure)
    {
        if (address.StartsWith("unix:", StringComparison.Ordinal))
        {
            File.Delete(address[5..]);
            kestrel.ListenUnixSocket(address[5..], configure);
            return;
        }
        var colon = address.LastIndexOf(':');
        var host = address[..colon].Trim('[', ']');
        kestrel.Listen(host.Length == 0 ? IPAddress.Any : IPAddress.Parse(host == "localhost" ? "127.0.0.1" : host), int.Parse(address[(colon + 1)..], CultureInfo.InvariantCulture), configure);
    }

    private Task HandleAsync(HttpContext context)
    {
        var path = context.Request.Path.Value ?? "";
        if (path == Ads + "StreamAggregatedResources")
            return ServeAsync(context, isDelta: false);
        if (path == Ads + "DeltaAggregatedResources")
            return ServeAsync(context, isDelta: true);
        if (path == CreateCertificate)
            return SignAsync(context);
        if (context.Request.Protocol == "HTTP/2" && !path.StartsWith("/debug/", StringComparison.Ordinal))
            return FailAsync(context, 12, $"method {path} is not served here");
        return DebugAsync(context, path);
    }

    private static Task FailAsync(HttpContext context, int status, string message)
    {
        context.Response.ContentType = "application/grpc";
        context.Response.Headers["grpc-status"] = status.ToString(CultureInfo.InvariantCulture);
        context.Response.Headers["grpc-message"] = Uri.EscapeDataString(message);
        return Task.CompletedTask;
    }

    private async Task ServeAsync(HttpContext context, bool isDelta)
    {
        if (_streams.Count >= StreamsMax)
        {
            await FailAsync(context, 14, $"{StreamsMax} streams are open already");
            return;
        }
        var stream = new ProxyStream(isDelta);
        _streams[stream] = true;
        context.Response.ContentType = "application/grpc";
        context.Response.DeclareTrailer("grpc-status");
        await context.Response.StartAsync();
        var writing = WriteAsync(context, stream);
        try
        {
            await ReadAsync(context, message => stream.OnRequest(message, _model, _version));
        }
        catch (Exception error) when (error is IOException or ProtoException or OperationCanceledException or Microsoft.AspNetCore.Connections.ConnectionResetException)
        {
            if (error is ProtoException)
                Console.Error.WriteLine($"xds: a request cannot be decoded: {error.Message}");
        }
        _streams.TryRemove(stream, out _);
        stream.End();
        await writing;
        if (!context.RequestAborted.IsCancellationRequested)
            context.Response.AppendTrailer("grpc-status", "0");
    }

    private static async Task WriteAsync(HttpContext context, ProxyStream stream)
    {
        try
        {
            await foreach (var message in stream.Outgoing.ReadAllAsync(context.RequestAborted))
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

    private delegate void MessageHandler(ReadOnlySpan<byte> message);

    private static async Task ReadAsync(HttpContext context, MessageHandler onMessage)
    {
        var buffer = new byte[16 * 1024];
        var length = 0;
        while (true)
        {
            if (length == buffer.Length)
                Array.Resize(ref buffer, buffer.Length * 2);
            var count = await context.Request.Body.ReadAsync(buffer.AsMemory(length), context.RequestAborted);
            if (count == 0)
                return;
            length += count;
            length = Take(buffer, length, onMessage);
        }
    }

    private static int Take(byte[] buffer, int length, MessageHandler onMessage)
    {
        ReadOnlySpan<byte> rest = buffer.AsSpan(0, length);
        while (GrpcFraming.TryTake(ref rest, out var message))
            onMessage(message);
        rest.CopyTo(buffer);
        return rest.Length;
    }

    /// <summary>CreateCertificate. Over a unix socket the caller is this machine's node agent and names the workload; over TLS it is the certificate's owner.</summary>
    private async Task SignAsync(HttpContext context)
    {
        Node? request = null;
        await ReadAsync(context, message => request = ProtoReader.Read("istio.v1.auth.IstioCertificateRequest", message));
        var viaSocket = context.Connection.LocalIpAddress is null;
        var wanted = request?["metadata"]?["ImpersonatedIdentity"]?.AsText ?? "";
        var identity = viaSocket ? wanted : context.Connection.ClientCertificate is { } certificate ? authority.IdentityOf(certificate) ?? "" : "";
        if (request is null || !identity.StartsWith($"spiffe://{options.TrustDomain}/", StringComparison.Ordinal))
        {
            await FailAsync(context, 16, "the caller has no identity of this mesh");
            return;
        }
        try
        {
            var chain = authority.Sign(request["csr"]?.AsText ?? "", identity, TimeSpan.FromSeconds(request["validity_duration"]?.AsInteger ?? 0));
            var reply = ProtoWriter.Write("istio.v1.auth.IstioCertificateResponse", Node.Map(("cert_chain", Node.List(chain.Select(Node.FromString).ToList()))));
            context.Response.ContentType = "application/grpc";
            await context.Response.Body.WriteAsync(GrpcFraming.Frame(reply));
            context.Response.AppendTrailer("grpc-status", "0");
        }
        catch (Exception error) when (error is CryptographicException or ArgumentException)
        {
            await FailAsync(context, 3, $"the signing request cannot be used: {error.Message}");
        }
    }

    private Task DebugAsync(HttpContext context, string path)
    {
        switch (path)
        {
            case "/ready":
                return context.Response.WriteAsync("ready\n");
            case "/debug/syncz":
                context.Response.ContentType = "application/json";
                return context.Response.WriteAsync(NodeJson.Write(Node.List(_streams.Keys.Where(s => s.Node is not null).Select(s => s.Describe()).ToList()), indented: true));
            case "/debug/names":
                context.Response.ContentType = "application/json";
                return context.Response.WriteAsync(NodeJson.Write(Node.Map(_model.Services.Where(s => s.Address.Length > 0).Select(s => new KeyValuePair<string, Node>(s.Host, s.Address)).ToList())));
            case "/debug/findings":
                context.Response.ContentType = "application/json";
                return context.Response.WriteAsync(NodeJson.Write(Node.List((_source?.Findings.All ?? []).Select(f => Node.Map(
                    ("severity", f.Severity.ToString()), ("position", f.Position.ToString()), ("subject", f.Subject), ("path", f.Path), ("message", f.Message))).ToList()), indented: true));
            default:
                context.Response.StatusCode = 404;
                return context.Response.WriteAsync($"{path} is not here; try /ready, /debug/syncz, /debug/findings\n");
        }
    }
}
