using System.Net;
using System.Net.Sockets;
using Tulle.Base;

namespace Tulle.Sidecar;

/// <summary>
/// The admin port: a small HTTP/1.1 server on ordinary sockets, one request a connection. It is not on the path of user traffic; it is kept this small
/// because a web framework would cost the sidecar more memory and start-up time than everything else in it.
/// </summary>
internal sealed class AdminServer : IDisposable
{
    /// <summary>
    /// Open admin connections. Source: one scraper and a few people; a flood must not take descriptors from the data plane. When one more comes, the
    /// oldest that has not asked yet is closed, else the oldest: half requests keep nobody out.
    /// </summary>
    private const int ConnectionsMax = 64;

    private readonly Socket _listener;
    private readonly AdminHandlers _handlers;
    private readonly LinkedList<AdminConnection> _open = new(); // Under its own lock; in the order of their coming.

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
            Socket socket;
            try
            {
                socket = await _listener.AcceptAsync();
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (SocketException error) when (error.SocketErrorCode is SocketError.OperationAborted or SocketError.Interrupted)
            {
                return;
            }
            catch (SocketException)
            {
                // A client that left in the queue, or no descriptors for a moment: the port must not go silent for it.
                await Task.Delay(100);
                continue;
            }
            var connection = new AdminConnection(socket, _handlers);
            MakeRoomFor(connection);
            _ = Task.Run(() => ServeAsync(connection));
        }
    }

    private void MakeRoomFor(AdminConnection connection)
    {
        AdminConnection? victim = null;
        lock (_open)
        {
            if (_open.Count >= ConnectionsMax)
            {
                victim = _open.FirstOrDefault(c => !c.HasAsked) ?? _open.First!.Value;
                _open.Remove(victim);
            }
            _open.AddLast(connection);
        }
        victim?.Dispose();
    }

    private async Task ServeAsync(AdminConnection connection)
    {
        try
        {
            await connection.ServeAsync();
        }
        catch (Exception error) when (error is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The asker went away, or had to make room; there is nobody to tell.
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            Invariant.Report("an admin request failed", error);
        }
        finally
        {
            lock (_open)
                _open.Remove(connection);
            connection.Dispose();
        }
    }

    public void Dispose() => _listener.Dispose();
}
