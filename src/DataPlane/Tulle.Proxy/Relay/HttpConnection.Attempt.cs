using Tulle.Base;
using Tulle.Snapshot;
using Tulle.Wire;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>The attempts: pick a host, get a connection, send the request, and again when that is allowed.</summary>
internal sealed partial class HttpConnection
{
    private enum AttemptPhase : byte
    {
        None,
        BackOff,
        Queued,

        /// <summary>A connection that became free is ours; the next step uses it.</summary>
        Handed,

        /// <summary>A permit for a connection is ours; the next step connects.</summary>
        Granted,
        Connecting,
        Active,
    }

    private AttemptPhase _phase;
    private ConnectionWait? _wait;
    private UpstreamConnection? _up;
    private HostState? _upHost;
    private HostState? _pool; // Where the connection comes from: the host, or its pool for HIGH requests.
    private HostChoice? _hosts;
    private int _attempts;

    // A byte of the request went to the kernel in this attempt; the clock of the answer runs.
    private bool _requestSent, _clockRuns;
    private bool _ended;
    private bool _countedRequest, _countedPending, _countedRetry, _wasReused;
    private long _routeDeadline = long.MaxValue, _requestDeadline = long.MaxValue, _maxDeadline = long.MaxValue, _tryDeadline = long.MaxValue;

    // Of the attempt: when its whole life ends, and since when it has a connection (MaxValue: it has none).
    private long _attemptDeadline = long.MaxValue, _tryStartMs = long.MaxValue;
    private long _backOffUntil, _connectDeadline = long.MaxValue;
    private long _attemptStartMicros;

    // To upstream, not yet taken by the transport.
    private byte[]? _upOut;
    private int _upOutStart, _upOutEnd;

    // Trailer fields of the request, encoded.
    private List<(byte[] Name, byte[] Value)>? _trailers;

    private void KeepTrailer(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) => (_trailers ??= []).Add((name.ToArray(), value.ToArray()));

    private void NextAttempt()
    {
        var cluster = _cluster!;
        _attempts++;
        _requestSent = false;
        // Waiting for a connection takes from the route's time; sending a long request does not.
        if (!_clockRuns)
            _routeDeadline = AnswerDeadline();
        _record.Attempts = _attempts;
        var retry = _action!.Retry;
        if (!Breaker.TryRequest())
        {
            FailAttempt(FailureReason.Overflow, "");
            return;
        }
        _countedRequest = true;
        cluster.Stats.RequestTotal.Add(LoopIndex);
        cluster.Stats.RequestActive.Add(LoopIndex);
        _upHost = cluster.Config.Discovery == DiscoveryKind.OriginalDestination
            ? cluster.PickOriginal(Facts.OriginalDestination, Facts.AcceptedOn)
            : cluster.Pick(_subset, retry, retry is { ChoosesHosts: true } ? _hosts ??= new HostChoice() : null);
        if (_upHost is null)
        {
            cluster.Stats.NoneHealthy.Add(LoopIndex);
            EndAttempt(reuse: false);
            Reply(503, "no healthy upstream"u8, FailureReason.NoHealthyUpstream);
            return;
        }
        _upHost.ActiveRequests++;
        _upHost.RequestTotal++;
        _record.UpstreamHost = _upHost.Address;
        _record.Endpoint = _upHost.Config.Facts;
        _record.TransportFailure = "";
        _attemptStartMicros = Worker.Loop.Kernel.WallMicros;
        _pool = _action.IsHighPriority ? _upHost.High : _upHost;
        if (_pool.TakeIdle(ConnectionChoice, PoolOwner) is { } idle)
        {
            _up = idle;
            _wasReused = true;
            idle.Use(_signal);
            Activate();
            return;
        }
        RequestConnection(cluster);
    }

    private void RequestConnection(ClusterState cluster)
    {
        var loop = LoopIndex;
        cluster.Stats.RequestPendingTotal.Add(loop);
        if (!Breaker.TryPending())
        {
            cluster.Stats.RequestPendingOverflow.Add(loop);
            FailAttempt(FailureReason.Overflow, "");
            return;
        }
        _countedPending = true;
        cluster.Stats.RequestPendingActive.Add(loop);
        if (_pool!.TryPermit(ConnectionChoice, PoolOwner))
        {
            BeginConnect();
            return;
        }
        _pool.Waiting.Add(_wait ??= new ConnectionWait(this), _pool, ConnectionChoice, PoolOwner);
        _phase = AttemptPhase.Queued;
    }

    private void BeginConnect()
    {
        _wasReused = false;
        // Whatever comes of it, the permit is no longer this attempt's to give back.
        _phase = AttemptPhase.None;
        _up = UpstreamConnection.Begin(Worker, _pool!, ConnectionChoice, isPooled: true, _signal, out var failure, out var text);
        if (_up is null)
        {
            FailAttempt(failure.Reason, text);
            return;
        }
        if (PoolOwner is not null)
            OwnConnection(_up);
        _phase = AttemptPhase.Connecting;
        _connectDeadline = Present + _cluster!.Config.ConnectTimeoutMs;
    }

    public void OnConnection(UpstreamConnection connection)
    {
        _up = connection;
        _wasReused = true;
        connection.Use(_signal);
        _phase = AttemptPhase.Handed;
        ContinueLater();
    }

    public void OnPermit()
    {
        _phase = AttemptPhase.Granted;
        ContinueLater();
    }

    private void EndPending()
    {
        if (!_countedPending)
            return;
        _countedPending = false;
        Breaker.EndPending();
        _cluster!.Stats.RequestPendingActive.Add(LoopIndex, -1);
    }

    private bool StepConnect()
    {
        var status = _up!.Step();
        if (status == ConnectStatus.Pending)
        {
            if (Now < _connectDeadline || _due != Due.Acts)
                return false;
            _cluster!.Stats.ConnectTimeout.Add(LoopIndex);
            FailAttempt(FailureReason.ConnectTimeout, "");
            return true;
        }
        if (status == ConnectStatus.Failed)
        {
            FailAttempt(_up.Failure.Reason, _up.FailureText);
            return true;
        }
        _cluster!.Stats.ConnectionHttp1.Add(LoopIndex);
        Activate();
        return true;
    }

    /// <summary>The connection is ours: send the head, with what is here of the body in the same write.</summary>
    private void Activate()
    {
        EndPending();
        _phase = AttemptPhase.Active;
        _connectDeadline = long.MaxValue;
        var up = _up!;
        up.Requests++;
        _tryStartMs = Present;
        if (_cluster!.Config.MaxStreamDurationMs > 0)
            _attemptDeadline = _tryStartMs + _cluster.Config.MaxStreamDurationMs;
        if (!_clockRuns)
            _routeDeadline = long.MaxValue;
        else
            StartTryClock();
        OutlierDetector.Connected(Worker, up.Host, isAnswer: false);
        _record.UpstreamLocal = up.Local;
        _record.UpstreamPeer = up.Transport.Peer;
        if (_host is { AttemptCountInRequest: true })
        {
            Span<byte> number = stackalloc byte[12];
            var writer = new ByteWriter(number);
            writer.AddNumber(_attempts);
            _request.Set(KnownHeader.EnvoyAttemptCount, writer.Written);
        }
        if (_request.Method == RequestMethod.Connect && _action!.TerminateConnect)
        {
            StartConnectTunnel();
            return;
        }
        var staged = new ByteWriter(Worker.Loop.Staging);
        HeadEncoder.WriteRequest(ref staged, _request, _upgrade, _action!, up.Host.Config.Hostname);
        if (staged.Overflowed)
        {
            FailAttempt(FailureReason.UpstreamProtocol, "the request head is too large");
            return;
        }
        var canJoin = _bodyLeft > 0 && _replayLength == 0 && _inEnd > _inStart && !_sendContinue;
        if (canJoin)
        {
            var count = (int)Math.Min(_bodyLeft, Math.Min(_inEnd - _inStart, 16 * 1024));
            var piece = _in.AsSpan(_inStart, count);
            staged.Add(piece);
            _inStart += count;
            _bodyLeft -= count;
            _record.BytesReceived += count;
            if (_canReplay)
                AppendReplay(piece);
            if (_bodyLeft == 0)
                NoteRequestComplete();
        }
        WriteUp(staged.Written);
        if (_replayLength > 0 && !canJoin)
            SendBody(_replay.AsSpan(0, _replayLength));
        if (_requestComplete && _request.IsChunked)
            EmitLastChunk();
    }

    private long AnswerDeadline() => _action!.TimeoutMs > 0 && !_upgrade ? Present + _action.TimeoutMs : long.MaxValue;

    private void StartTryClock()
    {
        if (_action!.Retry is { PerTryTimeoutMs: > 0 } retry)
            _tryDeadline = Present + retry.PerTryTimeoutMs;
    }

    /// <summary>The last byte of the request is here: from now on the time for the answer runs (Envoy starts both clocks here, not at the head).</summary>
    private void NoteRequestComplete()
    {
        _requestComplete = true;
        _requestDeadline = long.MaxValue;
        _record.RequestEndMicros = Worker.Loop.Kernel.WallMicros;
        if (_clockRuns || _localReply || _responseComplete || _action is null)
            return;
        _clockRuns = true;
        _routeDeadline = AnswerDeadline();
        if (_phase == AttemptPhase.Active && !_responseStarted)
            StartTryClock();
    }

    /// <summary>Sends body bytes in the framing of the request.</summary>
    private void SendBody(ReadOnlySpan<byte> data)
    {
        if (!_request.IsChunked)
        {
            WriteUp(data);
            return;
        }
        while (!data.IsEmpty)
        {
            var piece = data[..Math.Min(data.Length, 64 * 1024)];
            var staged = new ByteWriter(Worker.Loop.Staging);
            staged.AddHex(piece.Length);
            staged.Add("\r\n"u8);
            staged.Add(piece);
            staged.Add("\r\n"u8);
            WriteUp(staged.Written);
            data = data[piece.Length..];
        }
    }

    private void EmitLastChunk()
    {
        if (_localReply || _phase != AttemptPhase.Active)
            return;
        var joined = new ChunkWriter(Worker.Loop.Staging, isChunked: true);
        AddLastChunk(ref joined);
        WriteUp(joined.Finish());
    }

    private void AddLastChunk(ref ChunkWriter joined)
    {
        joined.BeginLast(writeSize: true);
        if (_trailers is not null)
        {
            foreach (var (name, value) in _trailers)
                joined.AddTrailer(name, value);
        }
        joined.End();
    }

    private void WriteUp(ReadOnlySpan<byte> data)
    {
        if (_upOutEnd == _upOutStart)
        {
            var sent = _up!.Transport.Write(data);
            if (sent == data.Length)
            {
                _requestSent = true;
                _cluster!.Stats.BytesSent.Add(LoopIndex, sent);
                return;
            }
            if (sent < 0 && sent != -Errno.EAGAIN)
            {
                // The reset shows when the answer is read: what the upstream said before it may still be there.
                return;
            }
            if (sent > 0)
            {
                _requestSent = true;
                _cluster!.Stats.BytesSent.Add(LoopIndex, sent);
                data = data[sent..];
            }
        }
        BufferQueue.Append(Worker.Loop.Buffers, ref _upOut, ref _upOutStart, ref _upOutEnd, data);
    }

    private bool FlushUp()
    {
        if (_phase != AttemptPhase.Active || _up is null)
            return false;
        if (_up.Transport.HasUnsent && _up.Transport.Flush() < 0)
            return false;
        if (_upOutEnd == _upOutStart)
            return false;
        var sent = _up.Transport.Write(_upOut.AsSpan(_upOutStart, _upOutEnd - _upOutStart));
        if (sent <= 0)
            return false;
        _requestSent = true;
        _cluster!.Stats.BytesSent.Add(LoopIndex, sent);
        _lastActivityMs = Present;
        BufferQueue.Consume(Worker.Loop.Buffers, ref _upOut, ref _upOutStart, ref _upOutEnd, sent);
        return true;
    }

    /// <summary>Lets go of the attempt: the connection goes back to the pool or is closed, permits are given back.</summary>
    private void EndAttempt(bool reuse)
    {
        EndPending();
        if (_phase == AttemptPhase.Queued)
            _pool!.Waiting.Remove(_wait!);
        else if (_phase == AttemptPhase.Granted)
            _pool!.GivePermit();
        if (_upOut is not null)
            Worker.Loop.Buffers.Return(_upOut);
        _upOut = null;
        _upOutStart = _upOutEnd = 0;
        if (_up is { } up)
        {
            _up = null;
            if ((reuse && _upReusable && !_tunnel) || _phase == AttemptPhase.Handed)
                up.Release();
            else
                up.Close();
        }
        if (_upHost is not null)
            _upHost.ActiveRequests--;
        _upHost = _pool = null;
        if (_countedRequest)
        {
            _countedRequest = false;
            Breaker.EndRequest();
            _cluster!.Stats.RequestActive.Add(LoopIndex, -1);
        }
        if (_countedRetry)
        {
            _countedRetry = false;
            Breaker.EndRetry();
        }
        _phase = AttemptPhase.None;
        _tryDeadline = _connectDeadline = _attemptDeadline = _tryStartMs = long.MaxValue;
        // The next answer is read from its begin, whatever was here of this one.
        _responseScanned = _responseBase = 0;
    }

    /// <summary>The attempt ended without an answer: another one, or an answer of our own.</summary>
    private void FailAttempt(FailureReason reason, string transportFailure)
    {
        var host = _upHost;
        var stats = _cluster!.Stats;
        if (host is not null && reason != FailureReason.Overflow)
        {
            host.RequestError++;
            OutlierDetector.Failed(Worker, host, 503);
            stats.RequestReset.Add(LoopIndex);
            CountUpstreamCode(503);
        }
        var mayRepeat = _wasReused && reason == FailureReason.UpstreamClosed && !_responseStarted
            && !_request.IsChunked && _request.ContentLength <= 0 && RetryRules.IsIdempotent(_request.Method);
        EndAttempt(reuse: false);
        _record.TransportFailure = transportFailure;
        if (_responseStarted)
        {
            _record.Reason = reason;
            _record.Details = reason == FailureReason.UpstreamProtocol || reason == FailureReason.UpstreamClosed
                ? $"upstream_reset_after_response_started{{{Failures.ResetWords(reason).Replace(' ', '_')}}}" : Failures.Details(reason);
            _keepAlive = false;
            _ended = true;
            return;
        }
        if (reason != FailureReason.Overflow && RetryRules.OnReset(_action!.Retry, reason, _requestSent, mayRepeat) && TryRetry())
            return;
        ReplyUpstreamFailure(reason, transportFailure);
    }

    private bool TryRetry(HttpHead? answer = null)
    {
        var retry = _action!.Retry!;
        var stats = _cluster!.Stats;
        if (_attempts > retry.RetriesMax)
        {
            stats.RequestRetryLimit.Add(LoopIndex);
            _record.ExtraReason = FailureReason.RetryLimit;
            return false;
        }
        if (!_canReplay)
            return false;
        // A retry holds its permit until it has ended: this is where the one before has.
        if (_countedRetry)
            Breaker.EndRetry();
        _countedRetry = false;
        if (!Breaker.TryRetry())
        {
            stats.RequestRetryOverflow.Add(LoopIndex);
            return false;
        }
        _countedRetry = true;
        stats.RequestRetry.Add(LoopIndex);
        _backOffUntil = Present + RetryRules.BackOffMs(retry, _attempts, answer, Worker.Loop.Kernel.WallMicros, Worker.Loop.Random);
        _phase = AttemptPhase.BackOff;
        return true;
    }
}
