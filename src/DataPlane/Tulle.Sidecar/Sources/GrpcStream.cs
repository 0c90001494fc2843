using System.Net;
using System.Net.Http.Headers;
using System.Threading.Channels;
using Tulle.Xds;

namespace Tulle.Sidecar;

/// <summary>
/// One bidirectional gRPC stream over HTTP/2. HttpClient carries it: this is control-plane traffic, far from the request path. Messages are read by one
/// task and written through a bounded queue.
/// </summary>
internal sealed class GrpcStream : IDisposable
{
    /// <summary>Requests waiting to be written. Source: one per type and update; 1,024 is far above any burst. One more ends the stream.</summary>
    public const int QueueMax = 1024;

    private readonly Channel<byte[]> _outgoing = Channel.CreateBounded<byte[]>(QueueMax);
    private readonly HttpMessageInvoker _client;
    private readonly string _method;
    private readonly CancellationTokenSource _end;

    public GrpcStream(GrpcTarget target, string method, CancellationToken stop)
    {
        _method = method;
        _end = CancellationTokenSource.CreateLinkedTokenSource(stop);
        _client = new HttpMessageInvoker(new SocketsHttpHandler
        {
            ConnectCallback = (_, limit) => target.ConnectAsync(limit),
            EnableMultipleHttp2Connections = false,
            KeepAlivePingDelay = TimeSpan.FromSeconds(30),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(10),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(5),
            UseProxy = false,
        });
    }

    /// <summary>Why this side ended the stream; null: it did not.</summary>
    public string? EndReason { get; private set; }

    /// <summary>False when the queue is full.</summary>
    public bool Send(byte[] message) => _outgoing.Writer.TryWrite(GrpcFraming.Frame(message));

    public void End(string why)
    {
        EndReason ??= why;
        try
        {
            _end.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It ended by itself in this moment.
        }
    }

    /// <summary>Opens the stream and delivers messages until it ends; the return value says why it ended.</summary>
    public async Task<string> RunAsync(Action onOpen, Action<byte[]> onMessage)
    {
        var stop = _end.Token;
        // Connected already (ConnectCallback brings TLS itself), so the scheme is http to HttpClient in both cases. The authority is no cluster name:
        // these may hold letters that no authority may.
        using var request = new HttpRequestMessage(HttpMethod.Post, $"http://xds{_method}")
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
        _end.Dispose();
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
