using System.Net;
using System.Net.Sockets;

namespace Tulle.LocalPods;

/// <summary>A port of this machine that leads to a pod.</summary>
internal sealed class PortForward : IDisposable
{
    private readonly TcpListener _listener;
    private readonly Func<IPEndPoint?> _target;

    public PortForward(string listen, Func<IPEndPoint?> target)
    {
        Listen = listen;
        _target = target;
        _listener = new TcpListener(IPEndPoint.Parse(listen));
    }

    public string Listen { get; }

    /// <exception cref="CommandException">The port is taken.</exception>
    public void Start()
    {
        try
        {
            _listener.Start(1024);
        }
        catch (SocketException error)
        {
            throw new CommandException($"cannot listen on {Listen}: {error.Message}; end the process that has the port, or change the annotation tulle.dev/publish");
        }
        _ = Task.Run(AcceptAsync);
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            Socket client;
            try
            {
                client = await _listener.AcceptSocketAsync();
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                return;
            }
            _ = Task.Run(() => ServeAsync(client));
        }
    }

    private async Task ServeAsync(Socket client)
    {
        using (client)
        {
            if (_target() is not { } target)
                return;
            using var server = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                client.NoDelay = true;
                await server.ConnectAsync(target);
                await Task.WhenAll(CopyAsync(client, server), CopyAsync(server, client));
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                // One side went away: the other is closed with it.
            }
        }
    }

    private static async Task CopyAsync(Socket from, Socket to)
    {
        var buffer = new byte[16 * 1024];
        int count;
        while ((count = await from.ReceiveAsync(buffer)) > 0)
        {
            for (var sent = 0; sent < count;)
                sent += await to.SendAsync(buffer.AsMemory(sent, count - sent));
        }
        to.Shutdown(SocketShutdown.Send);
    }

    public void Dispose() => _listener.Dispose();
}
