using Tulle.Base;
using Tulle.Loop;
using Tulle.Snapshot;
using Tulle.Wire;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>The response side, and the step that drives both.</summary>
internal sealed partial class HttpConnection
{
    private enum BodyMode : byte
    {
        None,
        Length,
        Chunked,
        UntilClose,
    }

    /// <summary>Bytes of body that join the head in one write. Above it a copy costs more than a second send.</summary>
    private const int JoinBytesMax = 16 * 1024;

    /// <summary>Interim answers (1xx) to one request. Source: none needs many; Envoy has no limit. Excess ends the attempt as a protocol error.</summary>
    private const int InterimAnswersMax = 100;

    private int _interimAnswers, _responseTrailers;

    /// <summary>A deadline that is past acts at the second step that sees it: by then every event that came before it has been looked at.</summary>
    private enum Due : byte
    {
        Not,
        Noted,
        Acts,
    }

    private Due _due;

    private BodyMode _bodyMode;
    private long _responseLeft;
    private ChunkDecoder _responseChunks;
    private int _responseScanned, _responseBase;
    private bool _responseStarted, _responseComplete, _localReply, _upReusable, _downChunked, _lastChunkSent;

    /// <summary>One round over everything that can move now. True when the exchange is over.</summary>
    private bool ExchangeStep()
    {
        CheckDeadlines();
        while (!_ended)
        {
            var moved = FlushDown();
            moved |= FlushUp();
            if (_phase == AttemptPhase.BackOff && Now >= _backOffUntil)
            {
                moved = true;
                _phase = AttemptPhase.None;
                NextAttempt();
            }
            if (_phase == AttemptPhase.Granted)
                BeginConnect();
            if (_phase == AttemptPhase.Handed)
                Activate();
            if (_phase == AttemptPhase.Connecting)
                moved |= StepConnect();
            moved |= PumpRequest();
            moved |= PumpResponse();
            // What the upstream says or does behind the head that opens a tunnel is the tunnel's.
            if (_tunnel)
                break;
            if (_responseComplete && _outEnd == _outStart && !_down.HasUnsent)
                return true;
            if (_budget.IsSpent)
            {
                _stats.TurnBudgetSpent.Add(LoopIndex);
                ContinueLater();
                break;
            }
            if (!moved)
                break;
        }
        if (_ended)
        {
            _ended = false;
            _keepAlive = false;
            // One side is gone already: nothing is relayed.
            _tunnel = false;
            return true;
        }
        if (_tunnel)
            return true;
        // A client that closed while it waits wants no answer any more (HTTP/1 has no half-close in Envoy).
        if ((_down.Socket.IsPeerClosed || _down.Socket.HasError) && !_responseComplete)
        {
            DownstreamGone();
            _ended = false;
            _keepAlive = false;
            return true;
        }
        ArmForExchange();
        return false;
    }

    private long IdleDeadline()
    {
        var limit = _action?.IdleTimeoutMs ?? _manager.StreamIdleTimeoutMs;
        return limit > 0 ? _lastActivityMs + limit : long.MaxValue;
    }

    /// <summary>The earliest of the deadlines that <see cref="CheckDeadlines"/> acts on.</summary>
    private long EarliestDeadline() =>
        Math.Min(
            Math.Min(Math.Min(_routeDeadline, _tryDeadline), Math.Min(_requestDeadline, _maxDeadline)),
            Math.Min(Math.Min(_attemptDeadline, TryIdleDeadline()), IdleDeadline()));

    private long TryIdleDeadline() => _tryStartMs != long.MaxValue && _action?.Retry is { PerTryIdleTimeoutMs: > 0 } retry
        ? Math.Max(_tryStartMs, _lastActivityMs) + retry.PerTryIdleTimeoutMs : long.MaxValue;

    private void ArmForExchange()
    {
        var deadline = Math.Min(_connectDeadline, EarliestDeadline());
        if (_phase == AttemptPhase.BackOff)
            deadline = Math.Min(deadline, _backOffUntil);
        Arm(deadline);
    }

    /// <summary>
    /// Acts on a deadline that is due. The clock decides, not the timer: the events of a busy peer come before timers in every turn, and a timer that
    /// is armed anew at each of them never fires.
    /// </summary>
    private void CheckDeadlines()
    {
        var now = Now;
        if (now < Math.Min(EarliestDeadline(), _connectDeadline))
        {
            _due = Due.Not;
            return;
        }
        if (_due == Due.Not)
        {
            // After a standstill of the process the answer may be here, in an event of this very turn that comes later: it is looked at first.
            _due = Due.Noted;
            ContinueLater();
            return;
        }
        _due = Due.Acts;
        PumpResponse();
        if (_ended || _tunnel || now < EarliestDeadline())
            return;
        if (now >= _requestDeadline && !_requestComplete)
        {
            _stats.RequestTimeout.Add(LoopIndex);
            AbortRequest(FailureReason.RequestTimeout, 408, "request timeout"u8);
        }
        else if (now >= _routeDeadline && !_responseComplete)
        {
            _cluster?.Stats.RequestTimeout.Add(LoopIndex);
            if (_upHost is not null)
            {
                _upHost.RequestTimeouts++;
                _upHost.RequestError++;
                OutlierDetector.Failed(Worker, _upHost, 504);
            }
            if (_cluster is not null)
                CountUpstreamCode(504);
            AbortRequest(FailureReason.ResponseTimeout, _action!.TimeoutStatus, "upstream request timeout"u8);
        }
        else if (now >= _maxDeadline)
        {
            _stats.RequestMaxDuration.Add(LoopIndex);
            AbortRequest(FailureReason.StreamDuration, _requestComplete ? 504 : 408, "downstream duration timeout"u8);
        }
        else if (now >= _attemptDeadline)
        {
            _cluster!.Stats.RequestMaxDuration.Add(LoopIndex);
            if (!RetryLate(FailureReason.UpstreamDuration, isHostsFault: false))
                AbortRequest(FailureReason.UpstreamDuration, _requestComplete ? 504 : 408, "upstream max stream duration reached"u8);
        }
        else if (now >= TryIdleDeadline())
        {
            _cluster!.Stats.RequestPerTryIdleTimeout.Add(LoopIndex);
            if (!RetryLate(FailureReason.PerTryIdle, isHostsFault: true))
                AbortRequest(FailureReason.PerTryIdle, _action!.TimeoutStatus, "upstream request timeout"u8);
        }
        else if (now >= _tryDeadline && !_responseStarted)
        {
            _cluster!.Stats.RequestPerTryTimeout.Add(LoopIndex);
            if (!RetryLate(FailureReason.PerTryTimeout, isHostsFault: true))
                AbortRequest(FailureReason.PerTryTimeout, _action!.TimeoutStatus, "upstream request timeout"u8);
        }
        else if (now >= IdleDeadline())
        {
            _stats.RequestIdleTimeout.Add(LoopIndex);
            AbortRequest(FailureReason.StreamIdle, _requestComplete ? 504 : 408, "stream timeout"u8);
        }
    }

    /// <summary>Another attempt in place of one whose time is over; false: the request ends.</summary>
    private bool RetryLate(FailureReason reason, bool isHostsFault)
    {
        if (isHostsFault && _upHost is not null)
            OutlierDetector.Failed(Worker, _upHost, 504);
        if (_responseStarted || !RetryRules.OnReset(_action!.Retry, reason, requestSent: true, mayRepeat: false))
            return false;
        EndAttempt(reuse: false);
        return TryRetry();
    }

    /// <summary>Reads and forwards the answer. True when something moved.</summary>
    private bool PumpResponse()
    {
        if (_phase != AttemptPhase.Active || _responseComplete || _outEnd > _outStart)
            return false;
        if (_down.HasUnsent)
            return false;
        var up = _up!;
        var moved = false;
        while (!_ended && _phase == AttemptPhase.Active && !_responseComplete && ReferenceEquals(up, _up))
        {
            if (up.InEnd > up.InStart)
            {
                // Half a head or half a trailer line is no progress: without more bytes the connection has to wait, or it would spin.
                if (_responseStarted ? !TakeResponseBody(up) : !TakeResponseHead(up))
                {
                    if (_phase != AttemptPhase.Active || _ended || _tunnel)
                        return true;
                    if (_budget.IsSpent || !ReadUp(up))
                        return moved;
                    continue;
                }
                moved = true;
                if (_outEnd > _outStart || _down.HasUnsent || _tunnel)
                    return true;
                continue;
            }
            if (_budget.IsSpent || !ReadUp(up))
                return moved;
            moved = true;
        }
        return moved;
    }

    private bool ReadUp(UpstreamConnection up)
    {
        if (up.In is null)
        {
            up.In = Worker.Loop.Buffers.Rent(BufferPool.Small);
            up.InStart = up.InEnd = 0;
        }
        if (up.InStart == up.InEnd)
            up.InStart = up.InEnd = _responseBase;
        if (up.In.Length - up.InEnd < 1024)
            MakeResponseRoom(up);
        var count = up.Transport.Read(up.In.AsSpan(up.InEnd));
        if (count > 0)
        {
            up.InEnd += count;
            _lastActivityMs = Present;
            _budget.TakeRead(count);
            _cluster!.Stats.BytesReceived.Add(LoopIndex, count);
            return true;
        }
        if (count == -Errno.EAGAIN)
            return false;
        OnUpstreamEnd(up, count);
        return true;
    }

    private void MakeResponseRoom(UpstreamConnection up)
    {
        // Interim heads that were used up need no room.
        if (!_responseStarted && up.InStart > 0)
        {
            up.In.AsSpan(up.InStart, up.InEnd - up.InStart).CopyTo(up.In);
            up.InEnd -= up.InStart;
            up.InStart = 0;
            if (up.In!.Length - up.InEnd >= 1024)
                return;
        }
        var grown = Worker.Loop.Buffers.Rent(up.In!.Length < BufferPool.Medium ? BufferPool.Medium : up.In.Length < BufferPool.Large ? BufferPool.Large : up.In.Length * 2);
        up.In.AsSpan(0, up.InEnd).CopyTo(grown);
        Worker.Loop.Buffers.Return(up.In);
        up.In = grown;
        if (_responseStarted)
            _response.Rebase(grown);
    }

    private void OnUpstreamEnd(UpstreamConnection up, int result)
    {
        // An encrypted stream that ends without close_notify may have been cut: such a body is not complete (RFC 9112 section 9.8).
        if (_responseStarted && _bodyMode == BodyMode.UntilClose && result == 0 && up.Transport.End != StreamEnd.Truncated)
        {
            _upReusable = false;
            CompleteResponse();
            return;
        }
        var partial = !_responseStarted && up.InEnd > up.InStart;
        var reason = _responseStarted && result == 0 || partial ? FailureReason.UpstreamProtocol
            : result is 0 or -Errno.ECONNRESET or -Errno.EPIPE ? FailureReason.UpstreamClosed : FailureReason.UpstreamReset;
        FailAttempt(reason, "");
    }

    /// <summary>Parses the head when it is complete; false when more is needed or the attempt ended.</summary>
    private bool TakeResponseHead(UpstreamConnection up)
    {
        var data = up.In.AsSpan(up.InStart, up.InEnd - up.InStart);
        var status = data.Length >= 5 && !"HTTP/1."u8.StartsWith(data[..Math.Min(7, data.Length)]) ? ParseStatus.BadRequest
            : Http1Parser.FindHeadEnd(data, ref _responseScanned, _cluster!.Config.ResponseHeadBytesMax, out var length) is var found && found != ParseStatus.Done ? found
            : Http1Parser.ParseResponse(up.In!, up.InStart, length, _response, _cluster!.Config.ResponseFieldsMax);
        if (status == ParseStatus.NeedMore)
            return false;
        _responseScanned = 0;
        if (status != ParseStatus.Done)
        {
            _cluster!.Stats.ConnectionProtocolError.Add(LoopIndex);
            FailAttempt(FailureReason.UpstreamProtocol, "");
            return false;
        }
        up.InStart += _response.Length;
        _responseBase = up.InStart;
        if (_response.Status is >= 100 and < 200 and not 101)
        {
            if (++_interimAnswers > InterimAnswersMax)
            {
                _cluster!.Stats.ConnectionProtocolError.Add(LoopIndex);
                FailAttempt(FailureReason.UpstreamProtocol, "");
                return false;
            }
            // 100 goes on only when the client asked and we did not answer it ourselves; other interim answers are swallowed.
            if (_response.Status == 100 && _manager.Proxy100Continue && _request.ExpectsContinue)
                WriteDown("HTTP/1.1 100 Continue\r\n\r\n"u8);
            _responseBase = 0;
            return true;
        }
        OnResponseHead(up);
        return true;
    }

    private void CountUpstreamCode(int status)
    {
        var stats = _cluster!.Stats;
        stats.RequestCompleted.Add(LoopIndex);
        stats.Code(status).Add(LoopIndex);
        if (status is >= 100 and < 600)
            stats.RequestClass[status / 100 - 1].Add(LoopIndex);
    }

    private void OnResponseHead(UpstreamConnection up)
    {
        var head = _response;
        // Behind a 101 is a tunnel: only to what was asked for, and allowed (RFC 9110 sections 7.8 and 15.2.2).
        if (head.Status == 101 && !(_upgrade && _requestComplete && UpgradeTokens.Answers(head, _request)))
        {
            _cluster!.Stats.ConnectionProtocolError.Add(LoopIndex);
            FailAttempt(FailureReason.UpstreamProtocol, "");
            return;
        }
        CountUpstreamCode(head.Status);
        var host = _upHost!;
        if (head.Status >= 500)
            host.RequestError++;
        else
            host.RequestSuccess++;
        OutlierDetector.Answered(Worker, host, head.Status);
        if (host.Health.IsChecked && head.Find("x-envoy-immediate-health-check-fail"u8) >= 0)
            HealthCheckers.Announced(Worker, host);
        if (!_responseStarted && RetryRules.OnResponse(_action!.Retry, head))
        {
            if (TryRetryAfterResponse())
                return;
        }
        else if (_attempts > 1)
        {
            _cluster!.Stats.RequestRetrySuccess.Add(LoopIndex);
        }
        _responseStarted = true;
        _tryDeadline = long.MaxValue;
        ReleaseReplay();
        _canReplay = false;
        _record.Status = head.Status;
        _record.Details = "via_upstream";
        if (_record.ExtraReason == FailureReason.RetryLimit)
        {
            _record.Reason = FailureReason.RetryLimit;
            _record.ExtraReason = FailureReason.None;
        }
        _record.Response = head;
        _record.ResponseStartMicros = Worker.Loop.Kernel.WallMicros;
        _upReusable = !head.IsClose;
        if (head.Status == 204 && head.ContentLength >= 0)
        {
            // A 204 has no content and says no length (RFC 9110 section 8.6): a client that believed it would wait.
            _upReusable &= head.ContentLength == 0;
            head.Remove(KnownHeader.ContentLength);
        }
        ChooseBodyMode(head);
        _tunnel = (head.Status == 101 && _upgrade) || IsConnectAnswer(head);
        // A 2xx to CONNECT has no content, whatever its fields say (RFC 9110 section 9.3.6).
        if (IsConnectAnswer(head))
            head.Remove(KnownHeader.ContentLength);
        PrepareResponse(head);
        SendResponseHead(up, head);
    }

    private bool TryRetryAfterResponse()
    {
        var host = _upHost;
        var up = _up;
        // The rest of the answer is not waited for: the connection is closed unless the answer is whole already.
        if (_attempts > _action!.Retry!.RetriesMax)
        {
            _cluster!.Stats.RequestRetryLimit.Add(LoopIndex);
            _record.ExtraReason = FailureReason.RetryLimit;
            return false;
        }
        if (!_canReplay || !TryRetry(_response))
            return false;
        var countedRetry = _countedRetry;
        var whole = !_response.IsClose && _response.ContentLength >= 0 && _requestComplete && up!.InEnd - up.InStart == _response.ContentLength;
        _countedRetry = false;
        _upReusable = whole;
        EndAttempt(reuse: whole);
        _countedRetry = countedRetry;
        _phase = AttemptPhase.BackOff;
        _responseBase = 0;
        _response.Reset([]);
        _ = host;
        return true;
    }

    private bool IsConnectAnswer(HttpHead head) => _request.Method == RequestMethod.Connect && head.Status is >= 200 and < 300;

    /// <summary>How the end of the body is known (RFC 9112 section 6.3).</summary>
    private void ChooseBodyMode(HttpHead head)
    {
        _responseChunks = default;
        _responseTrailers = 0;
        _lastChunkSent = false;
        _downChunked = false;
        if (head.Status == 101 || IsConnectAnswer(head))
        {
            _bodyMode = BodyMode.UntilClose;
            return;
        }
        if (_request.Method == RequestMethod.Head || head.Status is 204 or 304 || (head.ContentLength == 0 && !head.IsChunked))
        {
            _bodyMode = BodyMode.None;
            return;
        }
        if (head.IsChunked)
            _bodyMode = BodyMode.Chunked;
        else if (head.ContentLength > 0)
            _bodyMode = BodyMode.Length;
        else
            _bodyMode = BodyMode.UntilClose;
        _responseLeft = head.ContentLength;
        _downChunked = _bodyMode != BodyMode.Length && _request.MinorVersion == 1;
        if (_bodyMode == BodyMode.UntilClose)
            _upReusable = false;
        if (_bodyMode != BodyMode.Length && _request.MinorVersion == 0)
            _keepAlive = false;
    }

    private void PrepareResponse(HttpHead head)
    {
        if (!_manager.SuppressEnvoyHeaders)
        {
            Span<byte> number = stackalloc byte[20];
            var writer = new ByteWriter(number);
            writer.AddNumber(Math.Max(0, (_record.ResponseStartMicros - _attemptStartMicros) / 1000));
            head.Set(KnownHeader.EnvoyServiceTime, writer.Written);
        }
        if (_manager.PeerMetadata && !_manager.IsInbound)
            _destinationWorkload = PeerMetadata.Take(Worker, head, _record.UpstreamPeer, out _);
        else if (_manager.IsInbound && _manager.PeerPropagation != PeerPropagation.None)
            PeerMetadata.Tell(Worker, head, _peerTold);
        ResponseFields.Prepare(Worker, _manager, head, _request);
        if (_host is { AttemptCountInResponse: true })
        {
            Span<byte> number = stackalloc byte[12];
            var writer = new ByteWriter(number);
            writer.AddNumber(_attempts);
            head.Set(KnownHeader.EnvoyAttemptCount, writer.Written);
        }
        if (_route is not null)
        {
            for (var i = 0; i < _route.ResponseEdits.Count; i++)
                HeaderEdits.Apply(_route.ResponseEdits[i], head, _record, Worker.Loop.Staging);
            if (_weighted?.ResponseEdits is { } own)
                HeaderEdits.Apply(own, head, _record, Worker.Loop.Staging);
        }
    }

    private void SendResponseHead(UpstreamConnection up, HttpHead head)
    {
        // An answer that comes before the request is whole is the last on this connection.
        if (MustLeave || !_requestComplete)
            _keepAlive = false;
        var staged = new ByteWriter(Worker.Loop.Staging);
        WriteResponseHead(ref staged, head);
        byte[]? large = null;
        if (staged.Overflowed)
        {
            // What max_response_headers_kb allows beyond it, and what was added to it.
            large = Worker.Loop.Buffers.Rent(head.Length + Worker.Loop.Staging.Length);
            staged = new ByteWriter(large);
            WriteResponseHead(ref staged, head);
        }
        if (staged.Overflowed)
        {
            Worker.Loop.Buffers.Return(large!);
            FailAttempt(FailureReason.UpstreamProtocol, "the response head is too large");
            return;
        }
        if (_bodyMode == BodyMode.Length)
        {
            var count = (int)Math.Min(Math.Min(up.InEnd - up.InStart, JoinBytesMax), _responseLeft);
            staged.Add(up.In.AsSpan(up.InStart, count));
            up.InStart += count;
            _responseLeft -= count;
            _record.BytesSent += count;
        }
        WriteDown(staged.Written);
        if (large is not null)
            Worker.Loop.Buffers.Return(large);
        if (_bodyMode == BodyMode.None || (_bodyMode == BodyMode.Length && _responseLeft == 0))
            CompleteResponse();
    }

    private void WriteResponseHead(ref ByteWriter staged, HttpHead head) =>
        HeadEncoder.WriteResponse(ref staged, head, _downChunked && _bodyMode != BodyMode.None, !_keepAlive && !_tunnel, head.Status == 101, _request.MinorVersion == 0);

    private bool TakeResponseBody(UpstreamConnection up)
    {
        var data = up.In.AsSpan(up.InStart, up.InEnd - up.InStart);
        switch (_bodyMode)
        {
            case BodyMode.Length:
                var count = (int)Math.Min(_responseLeft, data.Length);
                var sent = _down.Write(data[..count]);
                if (sent == -Errno.EAGAIN || (sent >= 0 && sent < count && _down is PlainTransport))
                {
                    // What the socket did not take is kept, not copied twice: it waits in our own queue.
                    if (sent > 0)
                        NoteSent(sent);
                    BufferQueue.Append(Worker.Loop.Buffers, ref _out, ref _outStart, ref _outEnd, data[Math.Max(0, sent)..count]);
                    NoteSent(count - Math.Max(0, sent));
                    sent = count;
                }
                else if (sent < 0)
                {
                    DownstreamGone();
                    return true;
                }
                else
                {
                    NoteSent(sent);
                }
                up.InStart += sent;
                _responseLeft -= sent;
                _record.BytesSent += sent;
                if (_responseLeft == 0)
                    CompleteResponse();
                // A long body earns a larger buffer.
                else if (up.InStart == up.InEnd && up.In!.Length < BufferPool.Large && _responseLeft > BufferPool.Medium)
                    GrowResponse(up);
                break;
            case BodyMode.Chunked:
                return TakeChunks(up);
            default:
                up.InStart = up.InEnd;
                SendResponseBody(data);
                break;
        }
        return true;
    }

    private void NoteSent(int count) => _stats.BytesSent.Add(LoopIndex, count);

    private void GrowResponse(UpstreamConnection up)
    {
        var grown = Worker.Loop.Buffers.Rent(BufferPool.Large);
        up.In.AsSpan(0, _responseBase).CopyTo(grown);
        Worker.Loop.Buffers.Return(up.In!);
        up.In = grown;
        up.InStart = up.InEnd = _responseBase;
        _response.Rebase(grown);
    }

    /// <summary>
    /// All chunks at hand: their content goes on in one write. False when an unfinished trailer line needs more bytes; it stays in the buffer, moved to
    /// the front so that more fits behind it.
    /// </summary>
    private bool TakeChunks(UpstreamConnection up)
    {
        var joined = new ChunkWriter(Worker.Loop.Staging, _downChunked);
        while (true)
        {
            var data = up.In.AsSpan(up.InStart, up.InEnd - up.InStart);
            var happened = _responseChunks.Next(data, out var consumed, out var offset, out var length);
            up.InStart += consumed;
            switch (happened)
            {
                case ChunkEvent.Data:
                    if (!joined.Fits(length))
                        WriteJoined(ref joined);
                    joined.Add(data.Slice(offset, length));
                    _record.BytesSent += length;
                    break;
                case ChunkEvent.Trailer:
                    if (!TakeResponseTrailer(ref joined, data.Slice(offset, length)))
                        goto case ChunkEvent.Error;
                    break;
                case ChunkEvent.Done:
                    if (_downChunked)
                    {
                        joined.BeginLast(writeSize: !_lastChunkSent);
                        joined.End();
                        _lastChunkSent = true;
                    }
                    WriteJoined(ref joined);
                    CompleteResponse();
                    return true;
                case ChunkEvent.Error:
                    WriteJoined(ref joined);
                    _cluster!.Stats.ConnectionProtocolError.Add(LoopIndex);
                    FailAttempt(FailureReason.UpstreamProtocol, "");
                    return true;
                default:
                    WriteJoined(ref joined);
                    if (consumed == data.Length)
                        return true;
                    var rest = up.InEnd - up.InStart;
                    up.In.AsSpan(up.InStart, rest).CopyTo(up.In.AsSpan(_responseBase));
                    up.InStart = _responseBase;
                    up.InEnd = _responseBase + rest;
                    return false;
            }
        }
    }

    /// <summary>
    /// A trailer section whose fields do not go on is read over (RFC 9110 section 6.5.1), and one that may not be a trailer is left out. What is no
    /// field at all ends the answer only where it would have gone on; the connection is not used again.
    /// </summary>
    private bool TakeResponseTrailer(ref ChunkWriter joined, ReadOnlySpan<byte> line)
    {
        var goesOn = _downChunked && _manager.EnableTrailers && _cluster!.Config.EnableTrailers;
        var kind = TrailerLine.Parse(line, out var name, out var value);
        _upReusable &= kind == TrailerKind.Field;
        if (!goesOn || kind == TrailerKind.Forbidden)
            return true;
        if (kind == TrailerKind.Malformed || ++_responseTrailers > _cluster!.Config.ResponseFieldsMax)
            return false;
        joined.BeginLast(writeSize: !_lastChunkSent);
        _lastChunkSent = true;
        joined.AddTrailer(name, value);
        return true;
    }

    private void WriteJoined(ref ChunkWriter joined)
    {
        if (!joined.IsEmpty)
            WriteDown(joined.Finish());
        joined = new ChunkWriter(Worker.Loop.Staging, _downChunked);
    }

    private void SendResponseBody(ReadOnlySpan<byte> data)
    {
        _record.BytesSent += data.Length;
        if (!_downChunked)
        {
            WriteDown(data);
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
            WriteDown(staged.Written);
            data = data[piece.Length..];
        }
    }

    private void CompleteResponse()
    {
        if (_downChunked && _bodyMode != BodyMode.None && !_lastChunkSent)
            WriteDown("0\r\n\r\n"u8);
        _responseComplete = true;
        _routeDeadline = _attemptDeadline = _tryStartMs = long.MaxValue;
        if (_up is { } up && up.InEnd > up.InStart)
            _upReusable = false;
        _responseBase = 0;
    }

    private void WriteDown(ReadOnlySpan<byte> data)
    {
        if (_outEnd == _outStart && !_down.HasUnsent)
        {
            var sent = _down.Write(data);
            if (sent == data.Length)
            {
                NoteSent(sent);
                return;
            }
            if (sent < 0 && sent != -Errno.EAGAIN)
            {
                DownstreamGone();
                return;
            }
            if (sent > 0)
            {
                NoteSent(sent);
                data = data[sent..];
            }
        }
        BufferQueue.Append(Worker.Loop.Buffers, ref _out, ref _outStart, ref _outEnd, data);
    }

    private bool FlushDown()
    {
        if (_down.HasUnsent)
        {
            var flushed = _down.Flush();
            if (flushed == -Errno.EAGAIN)
                return false;
            if (flushed < 0)
            {
                DownstreamGone();
                return true;
            }
        }
        if (_outEnd == _outStart)
            return false;
        var sent = _down.Write(_out.AsSpan(_outStart, _outEnd - _outStart));
        if (sent == -Errno.EAGAIN || sent == 0)
            return false;
        if (sent < 0)
        {
            DownstreamGone();
            return true;
        }
        NoteSent(sent);
        _lastActivityMs = Present;
        BufferQueue.Consume(Worker.Loop.Buffers, ref _out, ref _outStart, ref _outEnd, sent);
        return true;
    }
}
