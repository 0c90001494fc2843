using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Tulle.Native;

namespace Tulle.LocalPods;

/// <summary>The socket of one pod.</summary>
/// <param name="Path">Where it is.</param>
/// <param name="Identity">Whose keys are served there.</param>
/// <param name="NetworkNamespace">Number of the only network namespace whose processes are served.</param>
/// <param name="User">The only user that is served.</param>
internal sealed record PodSocket(string Path, string Identity, ulong NetworkNamespace, int User);

/// <summary>One listener of Kestrel's that is fed from a unix socket per pod; pods come and go while it runs.</summary>
internal sealed class PodSockets : IConnectionListenerFactory, IConnectionListenerFactorySelector, IConnectionListener
{
    private sealed class Place : EndPoint
    {
        public override string ToString() => "the sockets of the pods";
    }

    private const int SolSocket = 1, SoPeerCred = 17, CredentialBytes = 12;

    private readonly Channel<ConnectionContext> _accepted = Channel.CreateBounded<ConnectionContext>(16);
    private readonly ConcurrentDictionary<string, Socket> _open = new(StringComparer.Ordinal);
    private readonly SocketConnectionContextFactory _contexts = new(new SocketConnectionFactoryOptions(), NullLogger.Instance);

    public static EndPoint EndPoint { get; } = new Place();

    EndPoint IConnectionListener.EndPoint => EndPoint;

    public bool CanBind(EndPoint endpoint) => endpoint is Place;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) => ValueTask.FromResult<IConnectionListener>(this);

    public void Open(PodSocket pod)
    {
        Close(pod.Path);
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        File.Delete(pod.Path);
        listener.Bind(new UnixDomainSocketEndPoint(pod.Path));
        File.SetUnixFileMode(pod.Path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _ = Libc.ChangeOwner(pod.Path, pod.User, pod.User);
        listener.Listen(16);
        _open[pod.Path] = listener;
        _ = AcceptAsync(listener, pod);
    }

    public void Close(string path)
    {
        if (_open.TryRemove(path, out var listener))
            listener.Dispose();
    }

    private async Task AcceptAsync(Socket listener, PodSocket pod)
    {
        while (true)
        {
            Socket socket;
            try
            {
                socket = await listener.AcceptAsync();
            }
            catch (Exception error) when (error is ObjectDisposedException or OperationCanceledException)
            {
                return;
            }
            catch (SocketException error) when (_open.ContainsKey(pod.Path))
            {
                Console.Error.WriteLine($"{pod.Path}: cannot accept: {error.Message}; trying again");
                await Task.Delay(100);
                continue;
            }
            catch (SocketException)
            {
                return;
            }
            if (!IsAllowed(socket, pod))
            {
                socket.Dispose();
                continue;
            }
            var connection = _contexts.Create(socket);
            connection.Features.Set(pod);
            await _accepted.Writer.WriteAsync(connection);
        }
    }

    /// <summary>The kernel says who connected: the pod's proxy is the pod's user in the pod's network, and nobody else is.</summary>
    private static bool IsAllowed(Socket socket, PodSocket pod)
    {
        Span<byte> credentials = stackalloc byte[CredentialBytes];
        try
        {
            if (socket.GetRawSocketOption(SolSocket, SoPeerCred, credentials) < CredentialBytes)
                return false;
        }
        catch (SocketException)
        {
            return false;
        }
        var pid = BinaryPrimitives.ReadInt32LittleEndian(credentials);
        var user = BinaryPrimitives.ReadInt32LittleEndian(credentials[4..]);
        var network = Files.InodeOf(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/ns/net"));
        if (user == pod.User && network == pod.NetworkNamespace && network != 0)
            return true;
        Console.Error.WriteLine($"{pod.Path}: process {pid} of user {user} in network {network} asked for the keys of {pod.Identity} and got none");
        return false;
    }

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (await _accepted.Reader.WaitToReadAsync(cancellationToken))
        {
            if (_accepted.Reader.TryRead(out var connection))
                return connection;
        }
        return null;
    }

    public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        foreach (var path in _open.Keys)
            Close(path);
        _accepted.Writer.TryComplete();
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => UnbindAsync();

    public void Dispose() => _contexts.Dispose();
}
