using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Tulle.Native;

namespace Tulle.LocalPods;

/// <summary>
/// Opens sockets inside a pod's network namespace: one thread enters it (setns) and makes the sockets there; a socket keeps its namespace for life, so
/// everything after goes on as usual.
/// </summary>
internal sealed class NamespaceDialer : IDisposable
{
    private readonly BlockingCollection<TaskCompletionSource<Socket>> _requests = [];

    public NamespaceDialer(string networkNamespace)
    {
        var thread = new Thread(() => Run($"/run/netns/{networkNamespace}")) { IsBackground = true, Name = "dial-" + networkNamespace };
        thread.Start();
    }

    private void Run(string path)
    {
        var result = Libc.EnterNetworkNamespace(path);
        foreach (var request in _requests.GetConsumingEnumerable())
        {
            if (result < 0)
                request.TrySetException(new SocketException());
            else
                request.TrySetResult(new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true });
        }
    }

    public async Task<Socket> ConnectAsync(IPEndPoint target, CancellationToken stop)
    {
        var made = new TaskCompletionSource<Socket>(TaskCreationOptions.RunContinuationsAsynchronously);
        try
        {
            _requests.Add(made, stop);
        }
        catch (InvalidOperationException)
        {
            throw new SocketException((int)SocketError.NetworkDown, "the pod has ended");
        }
        var socket = await made.Task.WaitAsync(stop);
        try
        {
            await socket.ConnectAsync(target, stop);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>The thread leaves, and with it the last reference to a namespace whose name is gone.</summary>
    public void Dispose() => _requests.CompleteAdding();
}
