using Tulle.Base;
using Tulle.Loop;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>A downstream connection whose bytes are relayed as they are (envoy.filters.network.tcp_proxy).</summary>
internal sealed class TcpConnection : Connection, IPeerListener
{
    private readonly TcpProxyConfig _config;
    private readonly Transport _down;
    private readonly Signal _signal;
    private readonly SignalTimer _timer;
    private readonly TcpStats _stats;
    private readonly RequestRecord _record = new();
    private readonly bool _istioStats;
    private readonly string _exchangeProtocol = "";
    private WorkloadFacts? _peer;
    private bool _isCounted;
    private TcpRelay? _relay;
    private ClusterState? _cluster;
    private UpstreamConnection? _up;
    private HostState? _host;
    private bool _closed;
    private bool _isRelaying;
    private bool _resetsDown, _resetsUp; // The other side was reset: this one must not take what came for complete.
    private SignalTimer? _durationTimer;

    public TcpConnection(ProxyWorker worker, ActiveListener listener, ConnectionFacts facts, FilterChainConfig chain, Transport transport, Signal signal)
        : base(worker, listener, facts)
    {
        _config = chain.Tcp!;
        _down = transport;
        _signal = signal;
        _timer = new SignalTimer(signal);
        _stats = worker.TcpStatsOf(_config.StatPrefix);
        foreach (var filter in chain.Filters)
        {
            _istioStats |= filter.Kind == NetworkFilterKind.Stats;
            if (filter.Kind == NetworkFilterKind.MetadataExchange)
                _exchangeProtocol = filter.ExchangeProtocol;
        }
    }

    private bool IsInbound => Listener.Config.Direction == "INBOUND";

    public void Start()
    {
        List(isNew: !ReferenceEquals(Facts.CountedIn, Listener));
        _down.Socket.Signal = _signal;
        _stats.ConnectionTotal.Add(Worker.Loop.Index);
        FillRecord(_record);
        _record.StartMicros = Facts.StartMicros;
        _record.Peer = _down.Peer;
        if (_config.DurationMaxMs > 0)
        {
            _durationTimer = new SignalTimer(_signal);
            Worker.Loop.ArmAfter(_durationTimer, _config.DurationMaxMs);
        }
        RunAsync();
    }

    private async void RunAsync()
    {
        try
        {
            for (var attempt = 1; attempt <= _config.ConnectAttemptsMax && !_closed; attempt++)
            {
                if (!BeginConnect())
                    break;
                ConnectStatus status;
                while ((status = _up!.Step()) == ConnectStatus.Pending && !_timer.IsExpired)
                {
                    await _signal;
                    if (_closed)
                        return;
                    if (IsTooOld)
                        break;
                    if (_down.Socket.HasError)
                    {
                        status = ConnectStatus.Failed;
                        _record.Reason = FailureReason.DownstreamClosed;
                        break;
                    }
                }
                Worker.Loop.Cancel(_timer);
                if (IsTooOld)
                {
                    NoteDuration();
                    break;
                }
                if (status == ConnectStatus.Ready)
                {
                    await RelayAsync();
                    break;
                }
                NoteConnectFailure(status);
            }
        }
        catch (Exception error)
        {
            Fault("a TCP connection", error);
        }
        End();
    }

    private bool BeginConnect()
    {
        var total = 0;
        foreach (var candidate in _config.Clusters)
            total += candidate.Weight;
        var choice = RouteMatching.PickCluster(_config.Clusters, total, Worker.Loop.Random);
        _record.ClusterName = choice?.Name ?? "";
        _cluster = choice is null ? null : Worker.FindMember(choice.Name);
        if (_cluster is null)
        {
            _stats.NoRoute.Add(Worker.Loop.Index);
            _record.Reason = FailureReason.ClusterNotFound;
            return false;
        }
        _record.Cluster = _cluster.Config;
        _host = _cluster.Config.Discovery == DiscoveryKind.OriginalDestination
            ? _cluster.PickOriginal(Facts.OriginalDestination, Facts.AcceptedOn)
            : _cluster.Pick(choice!.SubsetMatch);
        if (_host is null)
        {
            _cluster.Stats.NoneHealthy.Add(Worker.Loop.Index);
            _record.Reason = FailureReason.NoHealthyUpstream;
            return false;
        }
        _record.UpstreamHost = _host.Address;
        _record.Endpoint = _host.Config.Facts;
        if (!_cluster.Breaker.TryConnection())
        {
            _cluster.Stats.ConnectionOverflow.Add(Worker.Loop.Index);
            _record.Reason = FailureReason.Overflow;
            return false;
        }
        _timer.Reset();
        Worker.Loop.ArmAfter(_timer, _cluster.Config.ConnectTimeoutMs);
        _up = UpstreamConnection.Begin(Worker, _host, [], isPooled: false, _signal, out var failure, out var text);
        if (_up is not null)
            return true;
        _record.Reason = failure.Reason;
        _record.TransportFailure = text;
        return false;
    }

    private void NoteConnectFailure(ConnectStatus status)
    {
        if (_record.Reason == FailureReason.None)
            _record.Reason = status == ConnectStatus.Pending ? FailureReason.ConnectTimeout : _up!.Failure.Reason;
        if (status == ConnectStatus.Pending)
            _cluster!.Stats.ConnectTimeout.Add(Worker.Loop.Index);
        _record.TransportFailure = _up!.FailureText;
        if (_record.Reason != FailureReason.DownstreamClosed)
            OutlierDetector.Failed(Worker, _host!, status == ConnectStatus.Pending ? 504 : 503);
        _up.Close();
        _up = null;
    }

    private async ValueTask RelayAsync()
    {
        var up = _up!;
        OutlierDetector.Connected(Worker, _host!, isAnswer: true);
        _record.Reason = FailureReason.None;
        _record.UpstreamLocal = up.Local;
        _record.UpstreamPeer = up.Transport.Peer;
        _host!.ActiveRequests++;
        _host.RequestTotal++;
        var relay = new TcpRelay(Worker.Loop, _down, up.Transport, _signal, _config.IdleTimeoutMs);
        Exchange(relay);
        _relay = relay;
        Worker.Relaying.Add(this);
        _isRelaying = true;
        switch (await relay.RunAsync(_durationTimer))
        {
            case RelayEnd.IdleTimeout:
                _stats.IdleTimeout.Add(Worker.Loop.Index);
                break;
            case RelayEnd.DurationTimeout:
                NoteDuration();
                break;
            case RelayEnd.UpstreamReset:
                _record.Reason = FailureReason.UpstreamReset;
                _resetsDown = true;
                break;
            case RelayEnd.DownstreamReset:
                _resetsUp = true;
                break;
        }
        EndRelaying();
    }

    private bool IsTooOld => _durationTimer is { IsExpired: true };

    private void NoteDuration()
    {
        _record.Reason = FailureReason.MaxDuration;
        _stats.MaxConnect.Add(Worker.Loop.Index);
    }

    /// <summary>The last numbers of a relay, once, before its record is written: at its end, or when it is closed from outside.</summary>
    private void EndRelaying()
    {
        if (!_isRelaying)
            return;
        _isRelaying = false;
        Worker.Relaying.Remove(this);
        _host!.ActiveRequests--;
        CountOpened();
        CountBytes();
        if (_istioStats)
            Worker.Metrics.CountTcp(Worker, _record, IsInbound, _peer, closed: 1);
    }

    /// <summary>Adds what the relay has moved since the last time to the numbers: at the end, and whenever somebody looks.</summary>
    public void CountBytes()
    {
        if (!_isCounted)
            return;
        var received = _relay!.BytesToUpstream - _record.BytesReceived;
        var sent = _relay.BytesToDownstream - _record.BytesSent;
        _record.BytesReceived += received;
        _record.BytesSent += sent;
        var loop = Worker.Loop.Index;
        _stats.BytesReceived.Add(loop, received);
        _stats.BytesSent.Add(loop, sent);
        _cluster!.Stats.BytesSent.Add(loop, received);
        _cluster.Stats.BytesReceived.Add(loop, sent);
        if (_istioStats)
            Worker.Metrics.CountTcp(Worker, _record, IsInbound, _peer, received: received, sent: sent);
    }

    /// <summary>Sidecars that agreed on it by ALPN tell each other their workloads first; the connection is counted when the one is known whom this side reports.</summary>
    private void Exchange(TcpRelay relay)
    {
        var own = Worker.Snapshot.Node.PeerExchange;
        var upProtocol = _cluster!.Config.ExchangeProtocol;
        var withDown = _exchangeProtocol.Length > 0 && _down.Peer?.Alpn == _exchangeProtocol;
        var withUp = upProtocol.Length > 0 && _up!.Transport.Peer?.Alpn == upProtocol;
        if (!(IsInbound ? withDown : withUp))
            CountOpened();
        if (withDown)
            relay.Exchange(withUpstream: false, own, IsInbound ? this : null);
        if (withUp)
            relay.Exchange(withUpstream: true, own, IsInbound ? null : this);
    }

    public void OnPeer(ReadOnlySpan<byte> told)
    {
        if (told.Length > 0)
            _peer = Worker.TcpPeers.Find(told, (IsInbound ? _down.Peer : _record.UpstreamPeer)?.Identity is not null);
        CountOpened();
    }

    private void CountOpened()
    {
        if (_istioStats && !_isCounted)
            Worker.Metrics.CountTcp(Worker, _record, IsInbound, _peer, opened: 1);
        _isCounted = true;
    }

    public override void ForceClose() => Close();

    /// <summary>The host failed and the cluster wants connections to it to end (close_connections_on_host_health_failure).</summary>
    public void OnHostFailed(HostState host)
    {
        if (ReferenceEquals(host, _host))
            Close();
    }

    private void Close()
    {
        if (_closed)
            return;
        _closed = true;
        EndRelaying();
        _record.EndMicros = Worker.Loop.Kernel.WallMicros;
        Worker.Loop.Cancel(_timer);
        if (_durationTimer is not null)
            Worker.Loop.Cancel(_durationTimer);
        if (_resetsUp)
            _up?.Transport.Abort();
        _up?.Close();
        _up = null;
        if (_resetsDown)
            _down.Abort();
        else
            _down.Close();
        Worker.WriteLog(_config.AccessLogs, _record);
        Unlist();
        // The waiting flow, if any, must see that it is over.
        _signal.Raise();
    }
}
