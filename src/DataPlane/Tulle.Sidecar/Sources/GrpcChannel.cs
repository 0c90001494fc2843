using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Channels;
using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Xds;

namespace Tulle.Sidecar;

/// <summary>Where a gRPC service is and how to reach it: taken from a static cluster of the bootstrap.</summary>
internal sealed class GrpcTarget
{
    private readonly List<Address> _addresses = [];
    private readonly List<(string Host, int Port)> _names = [];
    private readonly SslClientAuthenticationOptions? _tls;
    private int _next;

    public GrpcTarget(Node cluster)
    {
        Name = cluster["name"]?.AsText ?? "";
        foreach (var group in cluster.At("load_assignment", "endpoints")?.Items ?? [])
        {
            foreach (var entry in group["lb_endpoints"]?.Items ?? [])
                AddEndpoint(entry.At("endpoint", "address"));
        }
        if (cluster["transport_socket"]?["typed_config"] is { } tls)
            _tls = ReadTls(tls);
    }

    public string Name { get; }

    public bool IsTls => _tls is not null;

    public string Describe => _addresses.Count > 0 ? _addresses[0].ToString() : _names.Count > 0 ? $"{_names[0].Host}:{_names[0].Port}" : "nowhere";

    private void AddEndpoint(Node? address)
    {
        if (address?["pipe"]?["path"]?.AsText is { } path)
        {
            _addresses.Add(Address.Pipe(path));
            return;
        }
        var host = address?["socket_address"]?["address"]?.AsText ?? "";
        var port = (int)(address?["socket_address"]?["port_value"]?.AsInteger ?? 0);
        if (Address.TryParseIp(host, port, out var ip))
            _addresses.Add(ip);
        else if (host.Length > 0)
            _names.Add((host, port));
    }

    private static SslClientAuthenticationOptions ReadTls(Node tls)
    {
        var common = tls["common_tls_context"];
        var options = new SslClientAuthenticationOptions
        {
            TargetHost = tls["sni"]?.AsText ?? "",
            ApplicationProtocols = [SslApplicationProtocol.Http2],
        };
        if (common?.At("validation_context", "trusted_ca", "filename")?.AsText is { } caFile)
        {
            var roots = new X509Certificate2Collection();
            roots.ImportFromPemFile(caFile);
            options.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            options.CertificateChainPolicy.CustomTrustStore.AddRange(roots);
        }
        var pair = common?["tls_certificates"]?.Items is { Count: > 0 } list ? list[0] : null;
        if (pair?.At("certificate_chain", "filename")?.AsText is { } chain && pair.At("private_key", "filename")?.AsText is { } key)
            options.ClientCertificates = [X509Certificate2.CreateFromPemFile(chain, key)];
        return options;
    }

    /// <summary>A connection to the next endpoint in turn.</summary>
    public async ValueTask<Stream> ConnectAsync(CancellationToken stop)
    {
        var index = (uint)Interlocked.Increment(ref _next);
        Stream stream;
        if (_addresses.Count > 0)
        {
            var address = _addresses[(int)(index % (uint)_addresses.Count)];
            var socket = address.Kind == AddressKind.Pipe
                ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
                : new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                EndPoint target = address.Kind == AddressKind.Pipe ? new UnixDomainSocketEndPoint(address.Path!) : new IPEndPoint(IPAddress.Parse(address.IpText()), address.Port);
                await socket.ConnectAsync(target, stop);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
            stream = new NetworkStream(socket, ownsSocket: true);
        }
        else
        {
            if (_names.Count == 0)
                throw new IOException($"cluster {Name} has no endpoint");
            var (host, port) = _names[(int)(index % (uint)_names.Count)];
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            await socket.ConnectAsync(host, port, stop);
            stream = new NetworkStream(socket, ownsSocket: true);
        }
        if (_tls is null)
            return stream;
        var secure = new SslStream(stream);
        await secure.AuthenticateAsClientAsync(_tls, stop);
        return secure;
    }
}

/// <summary>
/// One bidirectional gRPC stream over HTTP/2. HttpClient carries it: this is control-plane traffic, far from the request path. Messages are read by one
/// task and written through a bounded queue.
/// </summary>
internal sealed class GrpcStream : IDisposable
{
    /// <summary>Requests waiting to be written. Source: one per type and update; 1,024 is far above any burst.</summary>
    private const int QueueMax = 1024;

    private readonly Channel<byte[]> _outgoing = Channel.CreateBounded<byte[]>(QueueMax);
    private readonly HttpMessageInvoker _client;
    private readonly GrpcTarget _target;
    private readonly string _method;

    public GrpcStream(GrpcTarget target, string method)
    {
        _target = target;
        _method = method;
        _client = new HttpMessageInvoker(new SocketsHttpHandler
        {
            ConnectCallback = (_, stop) => target.ConnectAsync(stop),
            EnableMultipleHttp2Connections = false,
            KeepAlivePingDelay = TimeSpan.FromSeconds(30),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(10),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(5),
            UseProxy = false,
        });
    }

    public bool Send(byte[] message) => _outgoing.Writer.TryWrite(GrpcFraming.Frame(message));

    /// <summary>Opens the stream and delivers messages until it ends; the return value says why it ended.</summary>
    public async Task<string> RunAsync(Action onOpen, Action<byte[]> onMessage, CancellationToken stop)
    {
        // Connected already (ConnectCallback brings TLS itself), so the scheme is http to HttpClient in both cases.
        using var request = new HttpRequestMessage(HttpMethod.Post, $"http://{_target.Name.Replace('_', '-')}{_method}")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new StreamingContent(_outgoing.Reader),
        };
        request.Headers.TE.Add(new TransferCodingWithQualityHeaderValue("trailers"));
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/grpc");
        onOpen();
        using var response = await _client.SendAsync(request, stop);
        if (response.StatusCode != HttpStatusCode.OK)
            return $"HTTP {(int)response.StatusCode}";
        if (response.Headers.TryGetValues("grpc-status", out var early))
            return $"grpc-status {string.Join(",", early)} {Message(response.Headers)}";
        await using var body = await response.Content.ReadAsStreamAsync(stop);
        var buffer = new byte[64 * 1024];
        var length = 0;
        while (true)
        {
            if (length == buffer.Length)
                Array.Resize(ref buffer, buffer.Length * 2);
            var count = await body.ReadAsync(buffer.AsMemory(length), stop);
            if (count == 0)
                break;
            length += count;
            length = Deliver(buffer, length, onMessage);
        }
        return response.TrailingHeaders.TryGetValues("grpc-status", out var status) ? $"grpc-status {string.Join(",", status)} {Message(response.TrailingHeaders)}" : "the server closed the stream";
    }

    private static string Message(HttpHeaders headers) => headers.TryGetValues("grpc-message", out var text) ? Uri.UnescapeDataString(string.Join(",", text)) : "";

    private static int Deliver(byte[] buffer, int length, Action<byte[]> onMessage)
    {
        ReadOnlySpan<byte> rest = buffer.AsSpan(0, length);
        while (GrpcFraming.TryTake(ref rest, out var message, GrpcFraming.ResponseBytesMax))
            onMessage(message.ToArray());
        rest.CopyTo(buffer);
        return rest.Length;
    }

    public void Dispose()
    {
        _outgoing.Writer.TryComplete();
        _client.Dispose();
    }

    /// <summary>A request body that stays open and takes messages from a queue.</summary>
    private sealed class StreamingContent(ChannelReader<byte[]> messages) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.FlushAsync();
            await foreach (var message in messages.ReadAllAsync())
            {
                await stream.WriteAsync(message);
                await stream.FlushAsync();
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = -1;
            return false;
        }
    }
}
