using Tulle.Base;
using Tulle.Loop;
using Tulle.Snapshot;
using Tulle.Wire.ProxyProtocol;
using Tulle.Wire.Tls;

namespace Tulle.Proxy;

/// <summary>
/// From an accepted socket to a running connection: listener filters look at the first bytes, a filter chain is chosen, TLS is terminated, then HTTP or
/// TCP takes over. One straight-line method; it ends when the connection is handed on.
/// </summary>
internal sealed class ConnectionStarter : Connection
{
    private readonly LoopSocket _socket;
    private readonly Signal _signal = new();
    private readonly SignalTimer _timer;
    private ActiveListener _target;
    private byte[]? _peek;
    private int _start, _length;
    private Transport? _transport; // Once there is one, it owns the socket, and with TLS native memory too.
    private bool _handedOn;

    public ConnectionStarter(ProxyWorker worker, ActiveListener listener, LoopSocket socket, Address remote) : base(worker, listener, new ConnectionFacts())
    {
        _socket = socket;
        _target = listener;
        _timer = new SignalTimer(_signal);
        Facts.Id = worker.NextConnectionId++;
        Facts.Remote = Facts.DirectRemote = remote;
        Facts.StartMicros = worker.Loop.Kernel.WallMicros;
        Facts.Local = worker.Loop.Kernel.LocalAddress(socket.Fd);
    }

    public void Start()
    {
        List(isNew: true);
        _socket.Signal = _signal;
        RunAsync();
    }

    public override void ForceClose()
    {
        if (_handedOn)
            return;
        Finish();
    }

#pragma warning disable VSTHRD100 // The loop is the only caller; every outcome ends in Finish or a hand-over.
    private async void RunAsync()
    {
        try
        {
            await FlowAsync();
        }
        catch (Exception error)
        {
            Fault("the start of a connection", error);
            End();
        }
    }
#pragma warning restore VSTHRD100

    private async ValueTask FlowAsync()
    {
        if (_target.Config.UseOriginalDestination || HasFilter(_target, ListenerFilterKind.OriginalDestination))
            TakeOriginalDestination();
        if (NeedsBytes(_target))
        {
            var limit = _target.Config.FiltersTimeoutMs;
            if (limit > 0)
                Worker.Loop.ArmAfter(_timer, limit);
            SniffResult result;
            while ((result = Sniff()) == SniffResult.Wait)
            {
                await _signal;
                if (!_socket.IsOpen)
                    return;
                if (_timer.IsExpired)
                {
                    Listener.Stats.FiltersTimeout.Add(Worker.Loop.Index);
                    result = _target.Config.ContinueOnTimeout ? SniffResult.Done : SniffResult.Close;
                    break;
                }
            }
            Worker.Loop.Cancel(_timer);
            _timer.Reset();
            if (result == SniffResult.Close)
            {
                Finish();
                return;
            }
        }
        if (Facts.TransportProtocol.Length == 0)
            Facts.TransportProtocol = "raw_buffer";
        var chain = ChainMatching.Find(_target.Config, Facts);
        if (chain is null)
        {
            _target.Stats.NoFilterChain.Add(Worker.Loop.Index);
            ReportNoChain();
            Finish();
            return;
        }
        Facts.ChainName = chain.Name;
        if (chain.Tls is null)
        {
            _transport = new PlainTransport(_socket);
            GiveBytes(_transport);
        }
        else
        {
            var tls = NewTls(chain.Tls);
            if (tls is null)
            {
                Finish();
                return;
            }
            _transport = tls;
            GiveBytes(tls);
            Worker.Loop.ArmAfter(_timer, chain.HandshakeTimeoutMs);
            int step;
            while ((step = tls.Handshake()) == -Errno.EAGAIN)
            {
                await _signal;
                if (!_socket.IsOpen)
                    return;
                if (_timer.IsExpired)
                    break;
            }
            Worker.Loop.Cancel(_timer);
            if (!AcceptPeer(chain.Tls, tls, step))
            {
                Finish();
                return;
            }
        }
        HandOn(chain, _transport);
    }

    private void TakeOriginalDestination()
    {
        if (!Worker.Shared.TryOriginalDestination(_socket.Fd, Facts.Local.Kind, out var destination))
            return;
        Facts.OriginalDestination = destination;
        if (destination == Facts.Local)
            return;
        Facts.Intercepted = Facts.AcceptedOn;
        Facts.Local = destination;
        if (_target.Config.UseOriginalDestination && Worker.FindListener(destination)?.Current is { } other && !ReferenceEquals(other, _target))
            _target = other;
    }

    private static bool HasFilter(ActiveListener listener, ListenerFilterKind kind)
    {
        foreach (var filter in listener.Config.Filters)
        {
            if (filter.Kind == kind)
                return true;
        }
        return false;
    }

    private bool NeedsBytes(ActiveListener listener)
    {
        foreach (var filter in listener.Config.Filters)
        {
            if (filter.Kind != ListenerFilterKind.OriginalDestination && filter.RunsOn(Facts.Local.Port))
                return true;
        }
        return false;
    }

    private enum SniffResult : byte
    {
        Wait,
        Done,
        Close,
    }

    /// <summary>Runs the listener filters on the bytes that are here.</summary>
    private SniffResult Sniff()
    {
        var ended = false;
        while (MakeRoom())
        {
            var count = _socket.Read(_peek.AsSpan(_length));
            if (count == -Errno.EAGAIN)
                break;
            if (count <= 0)
            {
                ended = true;
                break;
            }
            _length += count;
        }
        var data = _peek.AsSpan(_start, _length - _start);
        foreach (var filter in _target.Config.Filters)
        {
            if (filter.Kind == ListenerFilterKind.OriginalDestination || !filter.RunsOn(Facts.Local.Port))
                continue;
            var result = filter.Kind switch
            {
                ListenerFilterKind.ProxyProtocol => SniffProxyProtocol(filter, ref data),
                ListenerFilterKind.TlsInspector => SniffTls(data),
                _ => SniffHttp(data),
            };
            if (result == SniffResult.Done)
                continue;
            // Neither the end nor a full buffer leaves anything to wait for.
            return result == SniffResult.Wait && (ended || _length == BufferPool.Medium) ? SniffResult.Close : result;
        }
        return SniffResult.Done;
    }

    /// <summary>Room behind the bytes that are here: 4 KiB for the many whose first bytes are few, 16 KiB when they are needed, and no more.</summary>
    private bool MakeRoom()
    {
        if (_peek is null)
        {
            _peek = Worker.Loop.Buffers.Rent(BufferPool.Small);
            return true;
        }
        if (_length < _peek.Length)
            return true;
        if (_peek.Length >= BufferPool.Medium)
            return false;
        var larger = Worker.Loop.Buffers.Rent(BufferPool.Medium);
        _peek.AsSpan(0, _length).CopyTo(larger);
        Worker.Loop.Buffers.Return(_peek);
        _peek = larger;
        return true;
    }

    private bool _proxyDone;

    private SniffResult SniffProxyProtocol(ListenerFilterConfig filter, ref Span<byte> data)
    {
        if (_proxyDone)
            return SniffResult.Done;
        var version = ProxyProtocolHeader.Version(data);
        var isRefused = (version == 1 && filter.RefusesVersion1) || (version == 2 && filter.RefusesVersion2);
        if (version == 0 || isRefused)
        {
            _proxyDone = filter.AllowsWithoutHeader;
            return filter.AllowsWithoutHeader ? SniffResult.Done : SniffResult.Close;
        }
        var status = ProxyProtocolHeader.Parse(data, out var length, out var source, out var destination);
        if (status == SniffStatus.NeedMore)
            return SniffResult.Wait;
        if (status != SniffStatus.Done)
            return SniffResult.Close;
        _proxyDone = true;
        _start += length;
        data = data[length..];
        if (source.IsIp)
        {
            Facts.Remote = source;
            Facts.Intercepted = Facts.AcceptedOn;
            Facts.Local = destination;
        }
        return SniffResult.Done;
    }

    private SniffResult SniffTls(ReadOnlySpan<byte> data)
    {
        if (Facts.TransportProtocol.Length > 0)
            return SniffResult.Done;
        switch (ClientHello.Parse(data, out var hello))
        {
            case SniffStatus.NeedMore:
                return SniffResult.Wait;
            case SniffStatus.Done:
                Facts.TransportProtocol = "tls";
                Facts.ServerName = hello!.ServerName;
                Facts.ApplicationProtocols = hello.ApplicationProtocols;
                return SniffResult.Done;
            default:
                Facts.TransportProtocol = "raw_buffer";
                return SniffResult.Done;
        }
    }

    private static readonly string[] Http1Protocols = ["http/1.1"];
    private static readonly string[] Http10Protocols = ["http/1.0"];
    private static readonly string[] H2cProtocols = ["h2c"];

    private SniffResult SniffHttp(ReadOnlySpan<byte> data)
    {
        if (Facts.TransportProtocol == "tls" || Facts.ApplicationProtocols.Count > 0)
            return SniffResult.Done;
        var preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8;
        if (data.Length > 0 && preface.StartsWith(data[..Math.Min(data.Length, preface.Length)]))
        {
            if (data.Length < preface.Length)
                return SniffResult.Wait;
            Facts.ApplicationProtocols = H2cProtocols;
            return SniffResult.Done;
        }
        var space = data.IndexOf((byte)' ');
        if (data.Length > 0 && (space == 0 || (space < 0 && data.Length > 20) || (space > 0 && Wire.Http1.RequestMethods.Find(data[..space]) == Wire.Http1.RequestMethod.Unknown)
            || data[..(space < 0 ? data.Length : space)].IndexOfAnyExceptInRange((byte)'-', (byte)'Z') >= 0))
        {
            return SniffResult.Done;
        }
        var end = data.IndexOf("\r\n"u8);
        if (end < 0)
            return data.Length < 8192 ? SniffResult.Wait : SniffResult.Done;
        var line = data[..end];
        if (line.EndsWith(" HTTP/1.1"u8))
            Facts.ApplicationProtocols = Http1Protocols;
        else if (line.EndsWith(" HTTP/1.0"u8))
            Facts.ApplicationProtocols = Http10Protocols;
        return SniffResult.Done;
    }

    private void GiveBytes(Transport transport)
    {
        if (_peek is null)
            return;
        if (_length > _start)
            transport.Preload(_peek, _start, _length);
        else
            Worker.Loop.Buffers.Return(_peek);
        _peek = null;
    }

    private TlsTransport? NewTls(TlsServerConfig config)
    {
        try
        {
            return new TlsTransport(_socket, Worker.Shared.Tls.Server(config), Facts.ServerName);
        }
        catch (InvalidOperationException)
        {
            // A secret that OpenSSL refuses was rejected at configuration time; reaching this means it is not here yet.
            _target.Stats.TlsConnectionError.Add(Worker.Loop.Index);
            return null;
        }
    }

    private bool AcceptPeer(TlsServerConfig config, TlsTransport tls, int step)
    {
        var loop = Worker.Loop.Index;
        if (step < 0 || _timer.IsExpired)
        {
            _target.Stats.TlsConnectionError.Add(loop);
            return false;
        }
        if (PeerNames.Accepts(config, tls.Peer, "", Worker.Loop.Kernel.WallMicros) is not null)
        {
            _target.Stats.TlsVerifyFailed.Add(loop);
            return false;
        }
        _target.Stats.TlsHandshake.Add(loop);
        if (tls.Peer!.IsResumed)
            _target.Stats.TlsReused.Add(loop);
        if (Facts.ServerName.Length == 0)
            Facts.ServerName = tls.Peer!.ServerName;
        return true;
    }

    private void HandOn(FilterChainConfig chain, Transport transport)
    {
        _handedOn = true;
        var stays = ReferenceEquals(_target, Listener);
        Facts.CountedIn = stays ? Listener : null;
        Unlist(isEnd: !stays);
        if (!NetworkFilters.Allow(Worker, chain, Facts, transport.Peer, out var delayMs))
        {
            NetworkFilters.Release(Worker, Facts);
            if (delayMs > 0)
            {
                new LastWords(Worker, _target, Facts, transport, _signal, [], delayMs).Start();
                return;
            }
            transport.Close();
            CountEnd(stays);
            return;
        }
        if (chain.DirectResponse is { } text)
        {
            new LastWords(Worker, _target, Facts, transport, _signal, text, 0).Start();
        }
        else if (chain.Http is not null)
        {
            new HttpConnection(Worker, _target, Facts, chain, transport, _signal, null).Start();
        }
        else if (chain.Tcp is not null)
        {
            new TcpConnection(Worker, _target, Facts, chain, transport, _signal).Start();
        }
        else
        {
            NetworkFilters.Release(Worker, Facts);
            transport.Close();
            CountEnd(stays);
        }
    }

    private void CountEnd(bool counted)
    {
        if (!counted)
            return;
        Listener.Stats.ConnectionActive.Add(Worker.Loop.Index, -1);
        Listener.Stats.ConnectionDestroy.Add(Worker.Loop.Index);
    }

    private void ReportNoChain()
    {
        if (_target.Config.AccessLogs.Count == 0)
            return;
        var record = new RequestRecord { StartMicros = Facts.StartMicros, Reason = FailureReason.NoFilterChain, Details = "filter_chain_not_found" };
        record.EndMicros = Worker.Loop.Kernel.WallMicros;
        FillRecord(record);
        Worker.WriteLog(_target.Config.AccessLogs, record);
    }

    private void Finish()
    {
        if (_peek is not null)
            Worker.Loop.Buffers.Return(_peek);
        _peek = null;
        Worker.Loop.Cancel(_timer);
        _transport?.Close();
        _socket.Close();
        Unlist();
    }
}
