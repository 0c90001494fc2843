using Tulle.Base;
using Tulle.Loop;
using Tulle.Snapshot;

namespace Tulle.Proxy;

public enum ConnectStatus : byte
{
    Pending,
    Ready,
    Failed,
}

/// <summary>One connection to an endpoint: connecting, in use by one request, or idle in its host's pool.</summary>
public sealed class UpstreamConnection : ISocketOwner
{
    private readonly ProxyWorker _worker;
    private readonly ActionTimer _idleTimer;
    private readonly TlsClientConfig? _tls;
    private readonly string _requiredName = "";
    private bool _tcpReady;
    private readonly bool _isPooled;
    private bool _counted;

    private UpstreamConnection(ProxyWorker worker, HostState host, LoopSocket socket, TlsClientConfig? tls, IReadOnlyList<string> alpn, bool isPooled)
    {
        _worker = worker;
        _isPooled = isPooled;
        Host = host;
        _tls = tls;
        AlpnChoice = alpn;
        _idleTimer = new ActionTimer(OnIdleTimeout);
        PoolGeneration = host.PoolGeneration;
        Transport = MakeTransport(worker, socket, tls, alpn, host.Config.Hostname, out _requiredName);
    }

    /// <summary>TLS under the name that the request chose, else the endpoint's own, else the configured one.</summary>
    /// <param name="requiredName">What the certificate must be for; empty for anything.</param>
    internal static Transport MakeTransport(
        ProxyWorker worker, LoopSocket socket, TlsClientConfig? tls, IReadOnlyList<string> alpn, string hostname, out string requiredName)
    {
        requiredName = "";
        if (tls is null)
            return new PlainTransport(socket);
        var name = tls.ServerNameOfEndpoint && hostname.Length > 0 ? hostname : tls.ServerName;
        requiredName = tls.VerifiesServerName ? name : "";
        if (alpn is NamedProtocols named)
        {
            if (named.IsServerName)
                name = named.Name;
            // A request without a host asks for a name that no certificate has.
            if (named.IsRequired)
                requiredName = named.Name.Length > 0 ? named.Name : " ";
        }
        var contexts = worker.Shared.Tls;
        return new TlsTransport(socket, contexts.Client(tls), name, contexts.AlpnWire(tls, alpn), contexts.Resumption(worker.Loop.Index, tls, name));
    }

    public HostState Host { get; }

    public Transport Transport { get; }

    public LoopSocket Socket => Transport.Socket;

    /// <summary>ALPN list that the HTTP manager asked for: connections are reused only under the same.</summary>
    public IReadOnlyList<string> AlpnChoice { get; }

    /// <summary>The downstream connection whose own it is (connection_pool_per_downstream_connection); null: everybody's.</summary>
    internal object? PoolOwner { get; set; }

    /// <summary>The host's when it was opened: a host that failed since takes it back no more.</summary>
    public int PoolGeneration { get; }

    /// <summary>Requests sent on it so far.</summary>
    public int Requests;

    public Address Local { get; private set; }

    /// <summary>Why connecting failed.</summary>
    public Failure Failure { get; private set; }

    public string FailureText { get; private set; } = "";

    /// <summary>Rented while a response is being read.</summary>
    public byte[]? In;

    public int InStart, InEnd;

    /// <summary>
    /// Begins to connect; null when not even that worked (<paramref name="failure"/>). The caller holds a permit: of the host when the connection is
    /// <paramref name="isPooled"/>, else of the breaker alone. It is the connection's from now on, and given back when there is none.
    /// </summary>
    public static UpstreamConnection? Begin(
        ProxyWorker worker, HostState host, IReadOnlyList<string> alpn, bool isPooled, Signal signal, out Failure failure, out string text)
    {
        var cluster = host.Cluster;
        var fd = worker.Loop.Kernel.Connect(host.Address, cluster.Config.BindAddressFor(host.Address), worker.Shared.UpstreamMark);
        if (fd < 0)
        {
            failure = new Failure(FailureSide.Upstream, FailureStage.Connect, FailureReason.ConnectFailed, Retry: true, -fd);
            text = $"immediate connect error: {Errno.Text(-fd)}";
            cluster.Stats.ConnectFail.Add(worker.Loop.Index);
            host.Main.ConnectFails++;
            GivePermit(host, isPooled);
            return null;
        }
        // What the kernel does not take is no reason to be without the connection.
        if (cluster.Config.KeepAlive is { } keepAlive && host.Address.IsIp)
            _ = worker.Loop.Kernel.KeepAlive(fd, keepAlive.Probes, keepAlive.TimeSeconds, keepAlive.IntervalSeconds);
        var socket = new LoopSocket(worker.Loop, fd) { Signal = signal };
        UpstreamConnection connection;
        try
        {
            connection = new UpstreamConnection(worker, host, socket, ChooseTls(cluster.Config, host.Config.Facts.TransportMatch), alpn, isPooled);
        }
        catch (InvalidOperationException error)
        {
            // A certificate or key that OpenSSL refuses: the connection cannot be made, and must not cost a descriptor each time.
            socket.Close();
            failure = new Failure(FailureSide.Upstream, FailureStage.Connect, FailureReason.TlsFailed, Retry: true);
            text = $"TLS_error: {error.Message}";
            cluster.Stats.TlsFail.Add(worker.Loop.Index);
            cluster.Stats.ConnectFail.Add(worker.Loop.Index);
            host.Main.ConnectFails++;
            GivePermit(host, isPooled);
            return null;
        }
        socket.Start(assumeWritable: false);
        var loop = worker.Loop.Index;
        cluster.Stats.ConnectionTotal.Add(loop);
        cluster.Stats.ConnectionActive.Add(loop);
        host.Main.ConnectionTotal++;
        host.Main.Connections++;
        connection._counted = true;
        failure = default;
        text = "";
        return connection;
    }

    private static void GivePermit(HostState host, bool isPooled)
    {
        if (isPooled)
        {
            host.GivePermit();
            return;
        }
        host.Cluster.Breaker.EndConnection();
        host.Cluster.Waiting.Serve(host);
    }

    /// <summary>The first transport match whose metadata the endpoint has; otherwise the cluster's own.</summary>
    internal static TlsClientConfig? ChooseTls(ClusterConfig cluster, IReadOnlyDictionary<string, string> facts)
    {
        foreach (var choice in cluster.TransportMatches)
        {
            var fits = true;
            foreach (var (key, value) in choice.Match)
                fits &= facts.TryGetValue(key, out var has) && has == value;
            if (fits)
                return choice.Tls;
        }
        return cluster.Tls;
    }

    /// <summary>One step of connecting: TCP, then TLS, then the peer's names.</summary>
    public ConnectStatus Step()
    {
        if (!_tcpReady)
        {
            if (!Socket.IsWritable && !Socket.HasError)
                return ConnectStatus.Pending;
            var error = _worker.Loop.Kernel.SocketError(Socket.Fd);
            if (error != 0)
                return Fail(FailureReason.ConnectFailed, error, $"delayed connect error: {Errno.Text(error)}");
            _tcpReady = true;
            Local = _worker.Loop.Kernel.LocalAddress(Socket.Fd);
        }
        if (Transport is not TlsTransport tls)
            return ConnectStatus.Ready;
        if (tls.Peer is not null)
            return ConnectStatus.Ready;
        var result = tls.Handshake();
        if (result == -Errno.EAGAIN)
            return ConnectStatus.Pending;
        if (result < 0)
        {
            Host.Cluster.Stats.TlsFail.Add(_worker.Loop.Index);
            return Fail(FailureReason.TlsFailed, -result, $"TLS_error: {tls.Error}");
        }
        Host.Cluster.Stats.TlsHandshake.Add(_worker.Loop.Index);
        if (tls.Peer!.IsResumed)
            Host.Cluster.Stats.TlsReused.Add(_worker.Loop.Index);
        if (PeerNames.Accepts(_tls!, tls.Peer, _requiredName, _worker.Loop.Kernel.WallMicros) is { } refusal)
        {
            Host.Cluster.Stats.TlsFail.Add(_worker.Loop.Index);
            return Fail(FailureReason.TlsFailed, 0, $"TLS_error: {refusal}");
        }
        return ConnectStatus.Ready;
    }

    private ConnectStatus Fail(FailureReason reason, int error, string text)
    {
        Failure = new Failure(FailureSide.Upstream, FailureStage.Connect, reason, Retry: true, error);
        FailureText = text;
        Host.Cluster.Stats.ConnectFail.Add(_worker.Loop.Index);
        Host.Main.ConnectFails++;
        return ConnectStatus.Failed;
    }

    /// <summary>Taken from the pool for a request.</summary>
    public void Use(Signal signal)
    {
        Socket.Owner = null;
        Socket.Signal = signal;
        _worker.Loop.Cancel(_idleTimer);
    }

    /// <summary>Back to the pool after a complete exchange; to a waiting request if there is one.</summary>
    public void Release()
    {
        ReturnBuffer();
        var max = Host.Cluster.Config.RequestsPerConnectionMax;
        if (max > 0 && Requests >= max)
        {
            Host.Cluster.Stats.ConnectionMaxRequests.Add(_worker.Loop.Index);
            Close();
            return;
        }
        if (Host.IsRemoved || PoolGeneration != Host.PoolGeneration || !IsClean())
        {
            Close();
            return;
        }
        Socket.Signal = null;
        Socket.Owner = this;
        var waiting = Host.Waiting;
        if (!waiting.IsEmpty && waiting.Hand(this))
            return;
        // Whoever still waits wants another host: a connection that would lie idle gives him its permit.
        if (!waiting.IsEmpty || !Host.PutIdle(this))
        {
            Close();
            return;
        }
        var idle = Host.Cluster.Config.IdleTimeoutMs;
        if (idle > 0)
            _worker.Loop.ArmAfter(_idleTimer, idle);
    }

    /// <summary>
    /// Nothing is unread and the peer is there. What came after an answer is nobody's: it would be read as the answer to the next request. The edge that
    /// told of it may be used up, so the flags and, where they say that something may be there, a read decide.
    /// </summary>
    public bool IsClean()
    {
        if (!Socket.IsOpen || Socket.IsPeerClosed || Socket.HasError || Transport.HasUnsent)
            return false;
        if (!Transport.CanRead)
            return true;
        // TLS tickets and key updates are legal on an idle connection: they are read over.
        Span<byte> none = stackalloc byte[1];
        return Transport.Read(none) == -Errno.EAGAIN;
    }

    /// <summary>Something happened on an idle connection: the peer closed it, or sent what nobody asked for. Both end it.</summary>
    public void OnReady(LoopSocket socket)
    {
        if (!IsClean())
            CloseIdle();
    }

    public void OnFault(LoopSocket socket) => CloseIdle();

    private void OnIdleTimeout()
    {
        Host.Cluster.Stats.ConnectionIdleTimeout.Add(_worker.Loop.Index);
        CloseIdle();
    }

    public void CloseIdle()
    {
        Host.RemoveIdle(this);
        Close();
    }

    public void ReturnBuffer()
    {
        if (In is null)
            return;
        _worker.Loop.Buffers.Return(In);
        In = null;
        InStart = InEnd = 0;
    }

    public void Close()
    {
        if (!_counted)
            return;
        _counted = false;
        ReturnBuffer();
        _worker.Loop.Cancel(_idleTimer);
        Transport.Close();
        var loop = _worker.Loop.Index;
        Host.Cluster.Stats.ConnectionActive.Add(loop, -1);
        Host.Cluster.Stats.ConnectionDestroy.Add(loop);
        Host.Main.Connections--;
        GivePermit(Host, _isPooled);
    }
}
