using System.Net.Sockets;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Tulle.Native;

namespace Tulle.Control;

/// <summary>The servers: ADS and the certificate API over gRPC (Kestrel, HTTP/2), debug over HTTP/1.1. Who calls is settled here, once per request.</summary>
internal sealed class ControlServer(ControlOptions options, CertificateAuthority authority, XdsService xds, CertificateService certificates, DebugPages debug)
{
    private const string Ads = "/envoy.service.discovery.v3.AggregatedDiscoveryService/";
    private const string CreateCertificate = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

    /// <summary>Connections at once. Source: one per proxy, and as many proxies as there may be streams; excess is closed at once.</summary>
    private const int ConnectionsMax = XdsService.StreamsMax + 100;

    private static readonly ulong s_network = PeerCredentials.NetworkNamespaceOf(Environment.ProcessId);

    private sealed record AgentFeature;

    private sealed record DebugFeature;

    /// <exception cref="IOException">An address cannot be listened on.</exception>
    public async Task RunAsync(CancellationToken stop)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(Configure);
        await using var app = builder.Build();
        app.Run(HandleAsync);
        foreach (var address in options.Xds.Append(options.CaSocket).Append(options.Debug).Where(a => a.StartsWith("unix:", StringComparison.Ordinal)))
            ListenAddress.Parse(address, mayBeSocket: true).Address!.ClearSocket();
        try
        {
            await app.StartAsync(stop);
        }
        catch (SocketException error)
        {
            throw new IOException(error.Message, error);
        }
        Console.Error.WriteLine($"tulle-control: serving {string.Join(", ", options.Xds.Append(options.XdsTls).Where(a => a.Length > 0))}");
        var ticking = xds.TickAsync(stop);
        await Task.WhenAny(Task.Delay(Timeout.Infinite, stop), ticking);
        xds.End();
        using var limit = new CancellationTokenSource(1000);
        await app.StopAsync(limit.Token);
    }

    private void Configure(KestrelServerOptions kestrel)
    {
        kestrel.Limits.MaxConcurrentConnections = ConnectionsMax;
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
        if (options.CaSocket.Length > 0)
            Listen(kestrel, options.CaSocket, listen => Mark(listen, HttpProtocols.Http2, new AgentFeature()));
        if (options.Debug.Length > 0)
            Listen(kestrel, options.Debug, listen => Mark(listen, HttpProtocols.Http1AndHttp2, new DebugFeature()));
    }

    private static void Listen(KestrelServerOptions kestrel, string text, Action<ListenOptions> configure)
    {
        var address = ListenAddress.Parse(text, mayBeSocket: true).Address!;
        if (address.EndPoint is { } endPoint)
            kestrel.Listen(endPoint, configure);
        else
            kestrel.ListenUnixSocket(address.SocketPath, configure);
    }

    /// <summary>A connection carries the mark of the address that it came in by.</summary>
    private static void Mark<T>(ListenOptions listen, HttpProtocols protocols, T mark)
        where T : class
    {
        listen.Protocols = protocols;
        listen.Use(next => connection =>
        {
            connection.Features.Set(mark);
            return next(connection);
        });
    }

    private void ListenTls(ListenOptions listen)
    {
        listen.Protocols = HttpProtocols.Http2;
        listen.UseHttps(new HttpsConnectionAdapterOptions
        {
            ServerCertificateSelector = (_, _) => authority.ServerCertificate,
            ClientCertificateMode = ClientCertificateMode.RequireCertificate,
            ClientCertificateValidation = (certificate, _, _) => authority.IdentityOf(certificate) is not null,
        });
    }

    private Caller CallerOf(HttpContext context)
    {
        if (context.Features.Get<IConnectionSocketFeature>()?.Socket is not { } socket || socket.AddressFamily != AddressFamily.Unix)
            return context.Connection.ClientCertificate is { } certificate ? new Caller(CallerWay.Tls, authority.IdentityOf(certificate) ?? "") : Caller.Nobody;
        if (PeerCredentials.Of(socket) is not var (pid, user))
            return Caller.Nobody;
        // The mode of the file keeps others out; this holds even if somebody changes it. A pod may run as root, but not in our network.
        var network = PeerCredentials.NetworkNamespaceOf(pid);
        var isOwner = (user == 0 || user == Files.EffectiveUser) && network == s_network && network != 0;
        var way = context.Features.Get<AgentFeature>() is null ? CallerWay.Socket : isOwner ? CallerWay.Agent : CallerWay.Plain;
        return new Caller(way, "", user, network) { IsOwner = isOwner };
    }

    private Task HandleAsync(HttpContext context)
    {
        var path = context.Request.Path.Value ?? "";
        var caller = CallerOf(context);
        var isDebug = context.Features.Get<DebugFeature>() is not null;
        var isAgent = context.Features.Get<AgentFeature>() is not null;
        if (path == CreateCertificate)
            return certificates.SignAsync(context, caller);
        if (path == Ads + "StreamAggregatedResources" && !isAgent)
            return xds.ServeAsync(context, caller, isDelta: false);
        if (path == Ads + "DeltaAggregatedResources" && !isAgent)
            return xds.ServeAsync(context, caller, isDelta: true);
        // Beside the debug address only the owner of a unix socket may ask: what the mesh consists of is nobody else's business.
        var isPage = path == "/ready" || (caller.IsOwner && path.StartsWith("/debug/", StringComparison.Ordinal));
        return isDebug || isPage ? debug.ServeAsync(context, path) : Unknown(context, path);
    }

    private static Task Unknown(HttpContext context, string path)
    {
        GrpcCall.End(context, 12, $"method {(path.Length <= 200 ? path : path[..200])} is not served here");
        return Task.CompletedTask;
    }
}
