using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Tulle.Base.Documents;

namespace Tulle.Cli;

/// <summary>The sample server and test upstream: says who it is, what it saw, and calls others on the way.</summary>
internal static class EchoCommand
{
    public const string Help = """
        tulle echo: a server that tells who it is, which headers and peer it saw. HTTP/1.1, h2c, TLS and TCP.

        Usage: tulle echo [--http=PORT] [--h2c=PORT] [--tls=PORT] [--tcp=PORT] [--name=NAME] [--call=URL]... [flags]

          --http=PORT       HTTP/1.1 (and h2c by upgrade of prior knowledge on --h2c)
          --h2c=PORT        HTTP/2 without TLS
          --tls=PORT        HTTPS with a certificate made at the start
          --tcp=PORT        answers each line with "NAME line"
          --name=NAME       who it says it is
          --call=URL        called for every request (http:// or tcp://); the answers are in the reply
          --delay=MS        waits before it answers
          --fail=PERCENT    answers 503 that often
          --bind=ADDRESS    default 0.0.0.0

        A request may steer its own answer: header x-echo: status=503;delay=100;bytes=1000;drip=5;close

        Paths: /ready answers 200; /count how many requests came; everything else is echoed as JSON.

        Example:
          tulle echo --http=8080 --name=web-v1 --call=http://cart:9080/ &
          curl -s localhost:8080/hello
        """;

    public static async Task<int> RunAsync(Arguments arguments, CancellationToken stop)
    {
        var server = new EchoServer(arguments);
        await server.RunAsync(stop);
        return 0;
    }
}

internal sealed class EchoServer
{
    /// <summary>Headers that are passed on to calls, so that a trace and a canary choice hold along the way.</summary>
    private static readonly string[] Passed = ["x-request-id", "x-canary", "traceparent", "tracestate", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "b3"];

    private readonly Arguments _arguments;
    private readonly string _name;
    private readonly IPAddress _bind;
    private readonly int _delayMs;
    private readonly int _failPercent;
    private readonly IReadOnlyList<Uri> _calls;
    private readonly HttpClient _client = new(new SocketsHttpHandler { UseProxy = false, PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30), UseCookies = false, ActivityHeadersPropagator = null }) { Timeout = TimeSpan.FromSeconds(10) };
    private readonly ConcurrentBag<Socket> _idleTcp = [];
    private long _count;

    public EchoServer(Arguments arguments)
    {
        _arguments = arguments;
        _name = arguments.Text("--name", Environment.MachineName);
        _bind = IPAddress.TryParse(arguments.Text("--bind", "0.0.0.0"), out var address) ? address : throw new UsageException("--bind needs an IP address");
        _delayMs = arguments.Number("--delay", 0, 0, 600_000);
        _failPercent = arguments.Number("--fail", 0, 0, 100);
        _calls = arguments.All("--call").Select(c => Uri.TryCreate(c, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "tcp" ? uri : throw new UsageException($"--call={c}: http://… or tcp://… is expected")).ToList();
        if (!arguments.Has("--http") && !arguments.Has("--h2c") && !arguments.Has("--tls") && !arguments.Has("--tcp"))
            throw new UsageException("nothing to serve: give at least one of --http, --h2c, --tls, --tcp");
    }

    public async Task RunAsync(CancellationToken stop)
    {
        var tasks = new List<Task>();
        if (_arguments.Has("--tcp"))
            tasks.Add(ServeTcpAsync(_arguments.Number("--tcp", 0, 1, 65535), stop));
        if (_arguments.Has("--http") || _arguments.Has("--h2c") || _arguments.Has("--tls"))
            tasks.Add(ServeHttpAsync(stop));
        await Task.WhenAll(tasks);
    }

    private async Task ServeHttpAsync(CancellationToken stop)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            if (_arguments.Has("--http"))
                kestrel.Listen(_bind, _arguments.Number("--http", 0, 1, 65535), l => l.Protocols = HttpProtocols.Http1);
            if (_arguments.Has("--h2c"))
                kestrel.Listen(_bind, _arguments.Number("--h2c", 0, 1, 65535), l => l.Protocols = HttpProtocols.Http2);
            if (_arguments.Has("--tls"))
                kestrel.Listen(_bind, _arguments.Number("--tls", 0, 1, 65535), l => l.UseHttps(SelfSigned()));
        });
        await using var app = builder.Build();
        app.Run(HandleAsync);
        await app.StartAsync(stop);
        try
        {
            await Task.Delay(Timeout.Infinite, stop);
        }
        catch (OperationCanceledException)
        {
            // Asked to stop: requests in flight get a moment.
        }
        await app.StopAsync(new CancellationTokenSource(2000).Token);
    }

    private static X509Certificate2 SelfSigned()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=tulle-echo", key, HashAlgorithmName.SHA256);
        var now = TimeProvider.System.GetUtcNow();
        using var certificate = request.CreateSelfSigned(now.AddMinutes(-1), now.AddDays(30));
        return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null);
    }

    private async Task HandleAsync(HttpContext context)
    {
        var path = context.Request.Path.Value ?? "/";
        if (path == "/ready")
            return;
        if (path == "/count")
        {
            await context.Response.WriteAsync(Interlocked.Read(ref _count).ToString(CultureInfo.InvariantCulture));
            return;
        }
        Interlocked.Increment(ref _count);
        var orders = Orders(context.Request.Headers["x-echo"].ToString());
        var delay = orders.TryGetValue("delay", out var text) && int.TryParse(text, CultureInfo.InvariantCulture, out var ms) ? ms : _delayMs;
        if (delay > 0)
            await Task.Delay(delay, context.RequestAborted);
        if (orders.ContainsKey("close"))
        {
            context.Abort();
            return;
        }
        var length = await DrainAsync(context);
        var status = orders.TryGetValue("status", out var code) && int.TryParse(code, CultureInfo.InvariantCulture, out var given) ? given : _failPercent > 0 && Random.Shared.Next(100) < _failPercent ? 503 : 200;
        context.Response.StatusCode = status;
        if (orders.TryGetValue("bytes", out var size) && int.TryParse(size, CultureInfo.InvariantCulture, out var bytes))
        {
            await context.Response.Body.WriteAsync(new byte[Math.Clamp(bytes, 0, 64 << 20)]);
            return;
        }
        var calls = new List<Node>();
        foreach (var call in _calls)
            calls.Add(await CallAsync(call, context.Request.Headers));
        if (status == 200 && calls.Exists(c => c["error"] is not null))
            context.Response.StatusCode = 502;
        var body = NodeJson.WriteUtf8(Describe(context, length, calls));
        context.Response.ContentType = "application/json";
        if (!orders.TryGetValue("drip", out var drip) || !int.TryParse(drip, CultureInfo.InvariantCulture, out var pieces) || pieces < 2)
        {
            context.Response.ContentLength = body.Length;
            await context.Response.Body.WriteAsync(body);
            return;
        }
        foreach (var piece in body.Chunk(Math.Max(1, body.Length / pieces)))
        {
            await context.Response.Body.WriteAsync(piece);
            await context.Response.Body.FlushAsync();
            await Task.Delay(20);
        }
    }

    private static async Task<long> DrainAsync(HttpContext context)
    {
        var buffer = new byte[8192];
        long total = 0;
        int count;
        while ((count = await context.Request.Body.ReadAsync(buffer)) > 0)
            total += count;
        return total;
    }

    private static Dictionary<string, string> Orders(string text) => text.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
        .Select(p => p.Split('=', 2)).GroupBy(p => p[0], StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.First().Length > 1 ? g.First()[1] : "", StringComparer.Ordinal);

    private Node Describe(HttpContext context, long length, List<Node> calls)
    {
        var headers = context.Request.Headers.Select(h => new KeyValuePair<string, Node>(h.Key.ToLowerInvariant(), h.Value.ToString())).ToList();
        return Node.Map(
            ("name", _name),
            ("method", context.Request.Method),
            ("path", context.Request.Path.Value + context.Request.QueryString.Value),
            ("protocol", context.Request.Protocol),
            ("remote", context.Connection.RemoteIpAddress?.ToString() ?? ""),
            ("peer", PeerOf(context.Request.Headers["x-forwarded-client-cert"].ToString())),
            ("bodyBytes", length),
            ("headers", Node.Map(headers)),
            ("calls", calls.Count > 0 ? Node.List(calls) : null));
    }

    /// <summary>The SPIFFE id of who called: the last URI of x-forwarded-client-cert, which the sidecar wrote.</summary>
    private static string PeerOf(string forwarded)
    {
        var at = forwarded.LastIndexOf("URI=", StringComparison.Ordinal);
        if (at < 0)
            return "";
        var end = forwarded.AsSpan(at + 4).IndexOfAny(';', ',');
        return end < 0 ? forwarded[(at + 4)..] : forwarded.Substring(at + 4, end);
    }

    private async Task<Node> CallAsync(Uri target, IHeaderDictionary incoming)
    {
        try
        {
            if (target.Scheme == "tcp")
                return await CallTcpAsync(target);
            using var request = new HttpRequestMessage(HttpMethod.Get, target);
            foreach (var name in Passed)
            {
                if (incoming.TryGetValue(name, out var value))
                    request.Headers.TryAddWithoutValidation(name, value.ToString());
            }
            using var response = await _client.SendAsync(request);
            var body = await response.Content.ReadAsByteArrayAsync();
            var answer = response.Content.Headers.ContentType?.MediaType == "application/json" ? NodeJson.Parse(body) : Node.Map(("body", Encoding.UTF8.GetString(body)));
            var brief = Node.Map(("name", answer["name"]), ("peer", answer["peer"]), ("url", target.ToString()), ("status", (int)response.StatusCode), ("calls", answer["calls"]));
            return (int)response.StatusCode < 500 ? brief : brief.With("error", answer["body"] ?? Node.Of($"status {(int)response.StatusCode}"));
        }
        catch (Exception error) when (error is HttpRequestException or SocketException or IOException or TaskCanceledException or DocumentException)
        {
            return Node.Map(("url", target.ToString()), ("error", error.InnerException?.Message ?? error.Message));
        }
    }

    private async Task<Node> CallTcpAsync(Uri target)
    {
        // Connections are kept, as real clients of TCP servers do. One that ended meanwhile is replaced once.
        while (_idleTcp.TryTake(out var kept))
        {
            try
            {
                return await AskTcpAsync(kept, target);
            }
            catch (Exception error) when (error is SocketException or IOException)
            {
                kept.Dispose();
            }
        }
        using var limit = new CancellationTokenSource(10_000);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(target.Host, target.Port, limit.Token);
            return await AskTcpAsync(socket, target);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private async Task<Node> AskTcpAsync(Socket socket, Uri target)
    {
        using var limit = new CancellationTokenSource(10_000);
        await socket.SendAsync("hello\n"u8.ToArray(), limit.Token);
        var buffer = new byte[256];
        var length = 0;
        while (length < buffer.Length && buffer.AsSpan(0, length).IndexOf((byte)'\n') < 0)
        {
            var count = await socket.ReceiveAsync(buffer.AsMemory(length), limit.Token);
            if (count == 0)
                throw new IOException("the server closed before it answered");
            length += count;
        }
        if (_idleTcp.Count < 64)
            _idleTcp.Add(socket);
        else
            socket.Dispose();
        var words = Encoding.ASCII.GetString(buffer, 0, length).Trim().Split(' ', 2);
        return Node.Map(("name", words[0]), ("url", target.ToString()), ("status", words.Length == 2 && words[1] == "hello" ? 200 : 500));
    }

    private async Task ServeTcpAsync(int port, CancellationToken stop)
    {
        var listener = new TcpListener(_bind, port);
        listener.Start(1024);
        using var registration = stop.Register(listener.Stop);
        while (!stop.IsCancellationRequested)
        {
            Socket connection;
            try
            {
                connection = await listener.AcceptSocketAsync(stop);
            }
            catch (Exception error) when (error is SocketException or OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            _ = Task.Run(() => EchoLinesAsync(connection), CancellationToken.None);
        }
    }

    private async Task EchoLinesAsync(Socket connection)
    {
        using (connection)
        await using (var stream = new NetworkStream(connection))
        using (var reader = new StreamReader(stream))
        {
            try
            {
                while (await reader.ReadLineAsync() is { } line)
                {
                    Interlocked.Increment(ref _count);
                    await stream.WriteAsync(Encoding.UTF8.GetBytes($"{_name} {line}\n"));
                }
            }
            catch (IOException)
            {
                // The client went away.
            }
        }
    }
}
