using Tulle.Base;
using Tulle.Loop;
using Tulle.Snapshot;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>
/// One downstream HTTP/1.1 connection. <see cref="RunAsync"/> is the whole life in one straight line: read a head, carry the exchange, report, again.
/// Each step is synchronous and works on fields, so that the state of a connection is plain data; the only await is on the one signal that the
/// sockets of both sides and the timer raise. Parts: Request (decode, route), Attempt (balance, connect, retry), Response, Reply (local answers).
/// </summary>
internal sealed partial class HttpConnection : Connection, IConnectionWaiter
{
    private readonly FilterChainConfig _chain;
    private readonly HttpManagerConfig _manager;
    private readonly Transport _down;
    private readonly Signal _signal;
    private readonly SignalTimer _timer;
    private readonly Action? _releaseLimit;
    private readonly HttpStats _stats;
    private readonly ListenerHttpStats _listenerStats;

    // Rented together with the first buffer of a request, returned with it: null only while the connection is idle.
    private ExchangeMemory? _exchange;
    private HttpHead _request = null!;
    private HttpHead _response = null!;
    private RequestRecord _record = null!;

    // Received from downstream: [_inStart, _inEnd) is not used up; the head of the current request lies before _bodyBase.
    private byte[]? _in;
    private int _inStart, _inEnd, _bodyBase, _scanned;
    private bool _hadEmptyLine;
    private HeadLimit _lateHead;
    private TurnBudget _budget;

    // To downstream, not yet taken by the transport.
    private byte[]? _out;
    private int _outStart, _outEnd;

    // Made when the connection first has to go on behind the others, then kept.
    private Action? _raise;

    private long _lastActivityMs;
    private long _headStartMs;
    private int _requestCount;
    private bool _keepAlive = true;
    private bool _inRequest;
    private bool _closed;

    public HttpConnection(ProxyWorker worker, ActiveListener listener, ConnectionFacts facts, FilterChainConfig chain, Transport transport, Signal signal, Action? releaseLimit)
        : base(worker, listener, facts)
    {
        _chain = chain;
        _manager = chain.Http!;
        _down = transport;
        _signal = signal;
        _timer = new SignalTimer(signal);
        _releaseLimit = releaseLimit;
        _stats = worker.HttpStatsOf(_manager.StatPrefix);
        _listenerStats = listener.HttpStatsOf(_manager.StatPrefix);
    }

    private int LoopIndex => Worker.Loop.Index;

    /// <summary>The time of this turn's events: what is due is judged by it, after the events that came before it.</summary>
    private long Now => Worker.Loop.NowMs;

    /// <summary>The time now: what is to last counts from it. A turn may have begun long ago.</summary>
    private long Present => Worker.Loop.PresentMs;

    /// <summary>Another step after what else is ready on this loop now.</summary>
    private void ContinueLater() => Worker.Loop.Defer(_raise ??= _signal.Raise);

    public void Start()
    {
        List(isNew: !ReferenceEquals(Facts.CountedIn, Listener));
        _budget.Refill();
        _down.Socket.Signal = _signal;
        _stats.ConnectionTotal.Add(LoopIndex);
        _stats.ConnectionActive.Add(LoopIndex);
        _lastActivityMs = Present;
        _oldAtMs = _manager.MaxConnectionDurationMs > 0 ? _lastActivityMs + _manager.MaxConnectionDurationMs : long.MaxValue;
        RunAsync();
    }

    private async void RunAsync()
    {
        try
        {
            while (true)
            {
                HeadResult head;
                while ((head = HeadStep()) == HeadResult.Wait)
                {
                    await _signal;
                    if (_closed)
                        return;
                    _budget.Refill();
                }
                if (head == HeadResult.End)
                    break;
                BeginRequest(head);
                while (!ExchangeStep())
                {
                    await _signal;
                    if (_closed)
                        return;
                    _budget.Refill();
                }
                if (_tunnel)
                {
                    await RunTunnelAsync();
                    EndRequest();
                    break;
                }
                EndRequest();
                if (!_keepAlive)
                {
                    await LingerAsync();
                    break;
                }
            }
        }
        catch (Exception error)
        {
            Fault("an HTTP connection", error);
        }
        CloseGuarded();
    }

    /// <summary>The flow's last step: what it throws would reach no one and end the process.</summary>
    private void CloseGuarded()
    {
        try
        {
            Close();
        }
        catch (Exception error)
        {
            Fault("the end of an HTTP connection", error);
            _down.Abort();
            Unlist();
        }
    }

    private enum HeadResult : byte
    {
        Wait,
        Ready,
        Malformed,
        End,
    }

    /// <summary>Which limit a head that did not come in time ran into.</summary>
    private enum HeadLimit : byte
    {
        Head,
        Request,
        Idle,
        Duration,
    }

    private ParseStatus _headStatus;

    /// <summary>Reads until a head is complete. An idle connection gives its buffer back before it waits.</summary>
    private HeadResult HeadStep()
    {
        while (true)
        {
            if (_inEnd > _inStart)
            {
                if (_budget.IsSpent)
                    return GoOnLater();
                if (JudgeHead(_in.AsSpan(_inStart, _inEnd - _inStart)) is { } judged)
                    return judged;
            }
            if (!MakeHeadRoom())
            {
                _headStatus = ParseStatus.TooLarge;
                return HeadResult.Malformed;
            }
            if (_budget.IsSpent)
                return GoOnLater();
            var count = _down.Read(_in.AsSpan(_inEnd));
            if (count > 0)
            {
                if (_inEnd == _inStart)
                    _headStartMs = Present;
                _inEnd += count;
                _lastActivityMs = Present;
                _budget.TakeRead(count);
                continue;
            }
            if (count != -Errno.EAGAIN)
                return HeadResult.End;
            var isIdle = _inEnd == _inStart;
            if (isIdle)
            {
                ReturnIn();
            }
            if (Now >= HeadDeadline(isIdle))
            {
                NoteLateHead(isIdle);
                return isIdle ? HeadResult.End : HeadResult.Malformed;
            }
            Arm(HeadDeadline(isIdle));
            return HeadResult.Wait;
        }
    }

    private HeadResult GoOnLater()
    {
        _stats.TurnBudgetSpent.Add(LoopIndex);
        ContinueLater();
        return HeadResult.Wait;
    }

    /// <summary>Looks at what is here of a head; null when more is needed or an empty line was taken off.</summary>
    private HeadResult? JudgeHead(ReadOnlySpan<byte> data)
    {
        // One empty line before a request is ignored (RFC 9112 section 2.2); whatever else does not begin like a request is refused at once.
        if (data[0] == '\r' && !_hadEmptyLine)
        {
            if (data.Length == 1)
                return null;
            if (data[1] == '\n')
            {
                _hadEmptyLine = true;
                _inStart += 2;
                return _inEnd > _inStart ? JudgeHead(data[2..]) : null;
            }
        }
        var length = 0;
        _headStatus = LooksLikeRequest(data) ? Http1Parser.FindHeadEnd(data, ref _scanned, _manager.HeadBytesMax, out length) : ParseStatus.BadRequest;
        if (_headStatus == ParseStatus.NeedMore)
            return null;
        if (_headStatus == ParseStatus.Done)
        {
            _headStatus = Http1Parser.ParseRequest(_in!, _inStart, length, _request, _manager.HeadFieldsMax, _manager.Rules.AllowCustomMethods);
            _inStart += length;
        }
        _scanned = 0;
        _hadEmptyLine = false;
        _bodyBase = _inStart;
        return _headStatus == ParseStatus.Done ? HeadResult.Ready : HeadResult.Malformed;
    }

    /// <summary>The first byte of a request is a token character: anything else (TLS, binary) is refused at once.</summary>
    private static bool LooksLikeRequest(ReadOnlySpan<byte> data) => data[0] is >= (byte)'A' and <= (byte)'Z' or >= (byte)'a' and <= (byte)'z';

    /// <summary>Room for more of a head; false when the buffer has grown beyond every head that may be and still there is none.</summary>
    private bool MakeHeadRoom()
    {
        if (_in is null)
        {
            _in = Worker.Loop.Buffers.Rent(BufferPool.Small);
            _inStart = _inEnd = 0;
            _exchange ??= Worker.Exchanges.Rent();
            _request = _exchange.Request;
            _response = _exchange.Response;
            _record = _exchange.Record;
            return true;
        }
        if (_inEnd < _in.Length)
            return true;
        if (_inStart > 0)
        {
            _in.AsSpan(_inStart, _inEnd - _inStart).CopyTo(_in);
            _inEnd -= _inStart;
            _inStart = 0;
            return true;
        }
        if (_in.Length > _manager.HeadBytesMax)
            return false;
        GrowIn(_in.Length * 4);
        return true;
    }

    private void GrowIn(int bytes)
    {
        var grown = Worker.Loop.Buffers.Rent(bytes);
        _in.AsSpan(0, _inEnd).CopyTo(grown);
        Worker.Loop.Buffers.Return(_in!);
        _in = grown;
        _request.Rebase(grown);
    }

    private void ReturnIn()
    {
        if (_in is null)
            return;
        Worker.Loop.Buffers.Return(_in);
        _in = null;
        _inStart = _inEnd = _bodyBase = 0;
        Worker.Exchanges.Return(_exchange!);
        _exchange = null;
        _request = _response = null!;
        _record = null!;
    }

    /// <summary>When an idle connection ends, or when the head that began must have come.</summary>
    private long HeadDeadline(bool isIdle)
    {
        var limit = isIdle ? _manager.IdleTimeoutMs : HeadLimitMs(out _);
        var deadline = limit > 0 ? (isIdle ? _lastActivityMs : _headStartMs) + limit : long.MaxValue;
        return isIdle ? Math.Min(deadline, AgeDeadline()) : deadline;
    }

    private long HeadLimitMs(out HeadLimit which)
    {
        var (head, request) = (_manager.HeadTimeoutMs, _manager.RequestTimeoutMs);
        which = head > 0 && (request <= 0 || head <= request) ? HeadLimit.Head : request > 0 ? HeadLimit.Request : HeadLimit.Idle;
        var limit = which switch { HeadLimit.Head => head, HeadLimit.Request => request, _ => _manager.StreamIdleTimeoutMs };
        if (_manager.MaxStreamDurationMs is var longest and > 0 && (limit <= 0 || longest < limit))
            (which, limit) = (HeadLimit.Duration, longest);
        return limit;
    }

    private void Arm(long deadline)
    {
        _timer.Reset();
        if (deadline == long.MaxValue)
            Worker.Loop.Cancel(_timer);
        else
            Worker.Loop.Arm(_timer, Math.Max(deadline, Now + 1));
    }

    private void NoteLateHead(bool isIdle)
    {
        if (isIdle)
        {
            if (Now < AgeDeadline())
                _stats.ConnectionIdleTimeout.Add(LoopIndex);
            else
                _ = IsOld();
            return;
        }
        HeadLimitMs(out _lateHead);
        (_lateHead switch { HeadLimit.Head => _stats.HeadTimeout, HeadLimit.Request => _stats.RequestTimeout, HeadLimit.Duration => _stats.RequestMaxDuration, _ => _stats.RequestIdleTimeout }).Add(LoopIndex);
        _request.Reset(_in!);
        _headStatus = ParseStatus.NeedMore;
    }

    private void BeginRequest(HeadResult head)
    {
        _inRequest = true;
        _requestCount++;
        _budget.TakeRequest();
        _stats.RequestTotal.Add(LoopIndex);
        _stats.RequestHttp1.Add(LoopIndex);
        _stats.RequestActive.Add(LoopIndex);
        _record.Reset();
        _record.StartMicros = Worker.Loop.Kernel.WallMicros;
        FillRecord(_record);
        _record.Peer = _down.Peer;
        _record.Request = _request;
        _record.Protocol = _request.MinorVersion == 0 ? "HTTP/1.0" : "HTTP/1.1";
        _lastActivityMs = Present;
        ResetExchange();
        if (head == HeadResult.Malformed)
            ReplyMalformed();
        else
            StartExchange();
    }

    /// <summary>After the last byte: statistics, log, pool, and ready for the next.</summary>
    private void EndRequest()
    {
        _record.EndMicros = Worker.Loop.Kernel.WallMicros;
        if (_record.RequestEndMicros == 0 && _requestComplete)
            _record.RequestEndMicros = _record.EndMicros;
        var loop = LoopIndex;
        _stats.RequestActive.Add(loop, -1);
        _stats.RequestCompleted.Add(loop);
        _listenerStats.RequestCompleted.Add(loop);
        if (_record.Status is >= 100 and < 600)
        {
            _stats.RequestClass[_record.Status / 100 - 1].Add(loop);
            _listenerStats.RequestClass[_record.Status / 100 - 1].Add(loop);
        }
        if (_manager.IstioStats)
            Worker.Metrics.CountHttp(Worker, _record, _manager, _sourceWorkload, _destinationWorkload);
        Worker.WriteLog(_manager.AccessLogs, _record);
        EndAttempt(reuse: _responseComplete && _requestComplete);
        ReleaseReplay();
        _request.Release();
        _response.Release();
        _inRequest = false;
        _keepAlive &= _requestComplete && _responseComplete;
        if (_inStart == _inEnd)
            _inStart = _inEnd = 0;
        // What is here already is the begin of the next head, whose time begins now.
        _headStartMs = _lastActivityMs = Present;
    }

    /// <summary>Bytes read from a client that was refused. Enough for what was on its way; a flood is left to the socket's own window.</summary>
    private const int LingerBytesMax = 64 * 1024;

    /// <summary>After a last answer: say FIN, then let the peer close first, so that it never loses the answer to a reset.</summary>
    private async ValueTask LingerAsync()
    {
        if (_record.Reason is FailureReason.DownstreamClosed || !_down.Socket.IsOpen || _abort)
            return;
        _ = _down.ShutdownWrite();
        var deadline = Present + _manager.DelayedCloseMs;
        if (_manager.DelayedCloseMs == 0)
            return;
        var left = LingerBytesMax;
        while (Now < deadline)
        {
            var count = _down.HasUnsent ? _down.Flush() : 0;
            if (count is < 0 and not -Errno.EAGAIN)
                return;
            while (left > 0 && (count = _down.Read(Worker.Loop.Staging.AsSpan(0, left))) > 0)
                left -= count;
            if ((left > 0 && count != -Errno.EAGAIN) || _down.Socket.IsPeerClosed || _down.Socket.HasError)
                return;
            Arm(deadline);
            await _signal;
            if (_closed)
                return;
        }
    }

    public override void ForceClose()
    {
        _stats.ConnectionDrainClose.Add(LoopIndex);
        Close();
    }

    private bool _abort;

    private void Close()
    {
        if (_closed)
            return;
        _closed = true;
        if (_inRequest)
        {
            _responseComplete = false;
            EndRequest();
        }
        CloseOwn();
        Worker.Loop.Cancel(_timer);
        ReturnIn();
        if (_out is not null)
            Worker.Loop.Buffers.Return(_out);
        _out = null;
        if (_abort)
            _down.Abort();
        else
            _down.Close();
        _releaseLimit?.Invoke();
        _stats.ConnectionActive.Add(LoopIndex, -1);
        _stats.ConnectionDestroy.Add(LoopIndex);
        Unlist();
    }
}
