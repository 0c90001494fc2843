using System.Net;
using System.Net.Sockets;
using System.Text;
using Tulle.Base;

namespace Tulle.Sidecar;

/// <summary>
/// The admin port: a small HTTP/1.1 server on ordinary sockets, one request a connection. It is not on the path of user traffic; it is kept this small
/// because a web framework would cost the sidecar more memory and start-up time than everything else in it.
/// </summary>
internal sealed class AdminServer : IDisposable
{
    /// <summary>Open admin connections. Source: one scraper and a few people; a flood must not take descriptors from the data plane.</summary>
    private const int ConnectionsMax = 64;

    private const int HeadBytesMax = 16 * 1024;

    private readonly Socket _listener;
    private readonly AdminHandlers _handlers;
    private readonly SemaphoreSlim _permits = new(ConnectionsMax);

    private AdminServer(Socket listener, ProxyHost host)
    {
        _listener = listener;
        _handlers = new AdminHandlers(host);
    }

    public static AdminServer? Start(ProxyHost host, Address address)
    {
        var isPipe = address.Kind == AddressKind.Pipe;
        var listener = isPipe ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(address.Kind == AddressKind.V6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            EndPoint target = isPipe ? new UnixDomainSocketEndPoint(address.Path!) : new IPEndPoint(IPAddress.Parse(address.IpText()), address.Port);
            listener.Bind(target);
            listener.Listen(ConnectionsMax);
        }
        catch (SocketException error)
        {
            Log.Write("critical", "admin", $"cannot listen on {address}: {error.Message}; another process may have the port");
            listener.Dispose();
            return null;
        }
        var server = new AdminServer(listener, host);
        _ = Task.Run(server.AcceptAsync);
        return server;
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            Socket connection;
            try
            {
                await _permits.WaitAsync();
                connection = await _listener.AcceptAsync();
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                return;
            }
            _ = Task.Run(() => ServeAsync(connection));
        }
    }

    private async Task ServeAsync(Socket connection)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        try
        {
            using (connection)
            {
                var head = await ReadHeadAsync(connection, limit.Token);
                if (head is null)
                    return;
                var line = head.Split("\r\n")[0].Split(' ');
                var reply = line.Length == 3 ? await _handlers.HandleAsync(line[0], line[1]) : new AdminReply(400, "bad request\n");
                var body = Encoding.UTF8.GetBytes(reply.Text);
                var text = $"HTTP/1.1 {reply.Status} {(reply.Status == 200 ? "OK" : "Error")}\r\ncontent-type: {reply.ContentType}\r\ncontent-length: {body.Length}\r\n"
                    + "cache-control: no-cache, max-age=0\r\nx-content-type-options: nosniff\r\nconnection: close\r\nserver: envoy\r\n\r\n";
                await SendAsync(connection, Encoding.ASCII.GetBytes(text), limit.Token);
                if (line[0] != "HEAD")
                    await SendAsync(connection, body, limit.Token);
                connection.Shutdown(SocketShutdown.Send);
            }
        }
        catch (Exception error) when (error is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The asker went away; there is nobody to tell.
        }
        finally
        {
            _permits.Release();
        }
    }

    private static async Task<string?> ReadHeadAsync(Socket connection, CancellationToken limit)
    {
        var buffer = new byte[HeadBytesMax];
        var length = 0;
        while (length < buffer.Length)
        {
            var count = await connection.ReceiveAsync(buffer.AsMemory(length), limit);
            if (count == 0)
                return null;
            length += count;
            var end = buffer.AsSpan(0, length).IndexOf("\r\n\r\n"u8);
            if (end >= 0)
                return Encoding.ASCII.GetString(buffer, 0, end);
        }
        return null;
    }

    private static async Task SendAsync(Socket connection, byte[] bytes, CancellationToken limit)
    {
        for (var sent = 0; sent < bytes.Length;)
            sent += await connection.SendAsync(bytes.AsMemory(sent), limit);
    }

    public void Dispose()
    {
        _listener.Dispose();
        _permits.Dispose();
    }
}

/// <summary>An answer of the admin port.</summary>
internal sealed record AdminReply(int Status, string Text, string ContentType = "text/plain; charset=UTF-8")
{
    public static AdminReply Json(Base.Documents.Node node) => new(200, Base.Documents.NodeJson.Write(node, indented: true) + "\n", "application/json");
}
