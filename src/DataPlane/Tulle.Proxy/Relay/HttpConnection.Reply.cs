using System.Text;
using Tulle.Base;
using Tulle.Snapshot;
using Tulle.Wire;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>Answers of our own, and tunnels.</summary>
internal sealed partial class HttpConnection
{
    private void ReplyMalformed()
    {
        _keepAlive = false;
        _requestComplete = true;
        _stats.ConnectionProtocolError.Add(LoopIndex);
        switch (_headStatus)
        {
            case ParseStatus.TooLarge:
                Reply(431, "Request Header Fields Too Large"u8, FailureReason.HeadersTooLarge);
                break;
            case ParseStatus.UnknownCoding:
                Reply(501, "Not Implemented"u8, FailureReason.DownstreamProtocol, "http1.invalid_transfer_encoding");
                break;
            case ParseStatus.BadVersion:
                Reply(426, "Upgrade Required"u8, FailureReason.VersionUnsupported);
                break;
            case ParseStatus.LengthAndChunked:
                Reply(400, "Bad Request"u8, FailureReason.DownstreamProtocol, "http1.content_length_and_chunked_not_allowed");
                break;
            case ParseStatus.NeedMore when _lateHead == HeadLimit.Head:
                Reply(408, "request header timeout"u8, FailureReason.RequestTimeout, "request_header_timeout");
                break;
            case ParseStatus.NeedMore when _lateHead == HeadLimit.Request:
                Reply(408, "request timeout"u8, FailureReason.RequestTimeout);
                break;
            case ParseStatus.NeedMore when _lateHead == HeadLimit.Duration:
                Reply(408, "downstream duration timeout"u8, FailureReason.StreamDuration);
                break;
            case ParseStatus.NeedMore:
                Reply(408, "stream timeout"u8, FailureReason.StreamIdle);
                break;
            default:
                Reply(400, "Bad Request"u8, FailureReason.DownstreamProtocol);
                break;
        }
    }

    private void ReplyUpstreamFailure(FailureReason reason, string transportFailure)
    {
        var words = Failures.ResetWords(reason);
        var detail = $"upstream_reset_before_response_started{{{words.Replace(' ', '_')}{(transportFailure.Length > 0 ? "|" + transportFailure.Replace(' ', '_') : "")}}}";
        var body = Encoding.ASCII.GetBytes($"upstream connect error or disconnect/reset before headers. reset reason: {words}");
        _overloaded = reason == FailureReason.Overflow;
        Reply(reason == FailureReason.UpstreamProtocol ? 502 : 503, body, reason, detail);
        _overloaded = false;
    }

    private bool _overloaded;

    /// <summary>Ends the attempt and answers, unless an answer is on its way already: then the connection is cut.</summary>
    private void AbortRequest(FailureReason reason, int status, ReadOnlySpan<byte> body)
    {
        EndAttempt(reuse: false);
        if (_responseStarted || _localReply)
        {
            _record.Reason = reason;
            _record.Details = Failures.Details(reason);
            _keepAlive = false;
            // Framing tells the client that the answer is not whole; only where its end is the end of the connection does it take a reset.
            _abort = _responseStarted && _bodyMode == BodyMode.UntilClose && !_downChunked;
            _ended = true;
            return;
        }
        if (!_requestComplete)
            _keepAlive = false;
        Reply(status, body, reason);
    }

    /// <summary>An answer made here.</summary>
    private void Reply(int status, ReadOnlySpan<byte> body, FailureReason reason, string? details = null, ReadOnlySpan<byte> location = default)
    {
        _localReply = true;
        _routeDeadline = _tryDeadline = _requestDeadline = _maxDeadline = long.MaxValue;
        _record.Status = status;
        _record.Reason = reason;
        _record.Details = details ?? Failures.Details(reason);
        _response.Reset([]);
        _response.Status = status;
        var hasBody = status is not (204 or 304) && status >= 200;
        if (hasBody)
        {
            Span<byte> number = stackalloc byte[20];
            var writer = new ByteWriter(number);
            writer.AddNumber(body.Length);
            _response.Add(KnownHeader.ContentLength, writer.Written);
            if (body.Length > 0)
                _response.Add(KnownHeader.ContentType, "text/plain"u8);
        }
        if (!location.IsEmpty)
            _response.Add(KnownHeader.Location, location);
        if (_overloaded && !_manager.SuppressEnvoyHeaders)
            _response.Add(KnownHeader.EnvoyOverloaded, "true"u8);
        ResponseFields.Prepare(Worker, _manager, _response, _request);
        if (_host is { AttemptCountInResponse: true } && _attempts > 0)
        {
            Span<byte> number = stackalloc byte[12];
            var writer = new ByteWriter(number);
            writer.AddNumber(_attempts);
            _response.Set(KnownHeader.EnvoyAttemptCount, writer.Written);
        }
        if (_route is not null)
        {
            for (var i = 0; i < _route.ResponseEdits.Count; i++)
                HeaderEdits.Apply(_route.ResponseEdits[i], _response, _record, Worker.Loop.Staging);
        }
        _record.Response = _response;
        _record.ResponseStartMicros = Worker.Loop.Kernel.WallMicros;
        // A body that is here already is read over; one that is still to come ends the connection.
        if (!_requestComplete)
            DrainBody(readMore: false);
        if (!_requestComplete || MustLeave)
            _keepAlive = false;
        _bodyMode = BodyMode.None;
        _downChunked = false;
        var staged = new ByteWriter(Worker.Loop.Staging);
        HeadEncoder.WriteResponse(ref staged, _response, chunked: false, !_keepAlive, upgrade: false, _request.MinorVersion == 0 && _manager.AcceptHttp10);
        if (!hasBody || _request.Method == RequestMethod.Head)
            body = default;
        _record.BytesSent += body.Length;
        var joins = body.Length <= JoinBytesMax;
        if (joins)
            staged.Add(body);
        if (staged.Overflowed)
        {
            // Edits of the route made a head that nothing holds: no answer is better than half of one.
            _record.Details = "local_response_head_too_large";
            _ended = true;
            return;
        }
        WriteDown(staged.Written);
        if (!joins)
            WriteDown(body);
        CompleteResponse();
    }

    private void ReplyRedirect(RedirectConfig redirect)
    {
        Span<byte> buffer = stackalloc byte[4096];
        var writer = new ByteWriter(buffer);
        RequestFields.WriteLocation(ref writer, redirect, _route, _request, _down.Peer is not null);
        if (writer.Overflowed)
            Reply(400, default, FailureReason.None, "redirect_location_too_long");
        else
            Reply(redirect.Status, default, FailureReason.None, "direct_response", writer.Written);
    }

    /// <summary>CONNECT ended here: answer 200 and relay bytes.</summary>
    private void StartConnectTunnel()
    {
        _tunnel = true;
        _requestComplete = true;
        _responseStarted = true;
        _response.Reset([]);
        _response.Status = 200;
        _record.Status = 200;
        _record.Details = "via_upstream";
        _record.Response = _response;
        ResponseFields.Prepare(Worker, _manager, _response, _request);
        var staged = new ByteWriter(Worker.Loop.Staging);
        HeadEncoder.WriteResponse(ref staged, _response, chunked: false, close: false, upgrade: false, http10: false);
        WriteDown(staged.Written);
    }

    /// <summary>After 101 or CONNECT: bytes both ways until both sides ended.</summary>
    private async ValueTask RunTunnelAsync()
    {
        var up = _up!;
        while (!_ended && FlushDown())
        {
        }
        var relay = new TcpRelay(Worker.Loop, _down, up.Transport, _signal, _action?.IdleTimeoutMs ?? _manager.StreamIdleTimeoutMs);
        if (_outEnd > _outStart)
            relay.PreloadToDownstream(_out.AsSpan(_outStart, _outEnd - _outStart));
        if (_inEnd > _inStart)
            relay.PreloadToUpstream(_in.AsSpan(_inStart, _inEnd - _inStart));
        if (up.InEnd > up.InStart)
            relay.PreloadToDownstream(up.In.AsSpan(up.InStart, up.InEnd - up.InStart));
        _inStart = _inEnd;
        up.InStart = up.InEnd;
        BufferQueue.Consume(Worker.Loop.Buffers, ref _out, ref _outStart, ref _outEnd, _outEnd - _outStart);
        // A tunnel that was reset must not look complete to the client.
        _abort |= await relay.RunAsync() == RelayEnd.UpstreamReset;
        _record.BytesReceived += relay.BytesToUpstream;
        _record.BytesSent += relay.BytesToDownstream;
        _requestComplete = _responseComplete = true;
        _keepAlive = false;
    }
}
