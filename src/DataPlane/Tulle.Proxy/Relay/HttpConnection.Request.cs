using Tulle.Base;
using Tulle.Loop;
using Tulle.Snapshot;
using Tulle.Wire;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>The request side: normalise, route, prepare the fields, carry the body.</summary>
internal sealed partial class HttpConnection
{
    /// <summary>Bytes of bodies kept for another try, of all requests of one loop together; beyond it a request is not retried (counted in retry_or_shadow_abandoned). Default 64 MiB. Source: ours; Envoy has none, and 10,000 uploads would be 10 GB.</summary>
    private const long ReplayTotalBytesMax = 64 << 20;

    private RouteConfig? _route;
    private RouteActionConfig? _action;
    private VirtualHostConfig? _host;
    private ClusterState? _cluster;
    private WorkloadFacts? _sourceWorkload, _destinationWorkload;
    private PeerFields _peerTold;
    private SubsetMatch _subset = SubsetMatch.None;
    private WeightedClusterConfig? _weighted;

    private long _bodyLeft;
    private ChunkDecoder _requestChunks;
    private bool _requestComplete;
    private bool _upgrade;
    private bool _tunnel;
    private bool _sendContinue;
    private int _trailerCount;

    // Body bytes already sent, for another try.
    private byte[]? _replay;
    private int _replayLength;
    private bool _canReplay;

    private void ResetExchange()
    {
        _route = null;
        _action = null;
        _host = null;
        _cluster = null;
        _weighted = null;
        _subset = SubsetMatch.None;
        _sourceWorkload = _destinationWorkload = null;
        _peerTold = PeerFields.None;
        _requestChunks = default;
        _requestComplete = false;
        _responseComplete = _responseStarted = _localReply = _upgrade = _tunnel = _sendContinue = false;
        _bodyMode = BodyMode.None;
        _phase = AttemptPhase.None;
        _attempts = 0;
        _hosts?.Reset();
        _interimAnswers = 0;
        _due = Due.Not;
        _routeDeadline = _requestDeadline = _maxDeadline = long.MaxValue;
        _tryDeadline = _attemptDeadline = _tryStartMs = long.MaxValue;
        _canReplay = _clockRuns = _requestSent = false;
        _replayLength = 0;
        _trailers?.Clear();
        _trailerCount = 0;
        _response.Reset([]);
    }

    /// <summary>From a complete head to a decision: an answer of our own, or an upstream attempt.</summary>
    private void StartExchange()
    {
        var head = _request;
        _bodyLeft = head.IsChunked ? -1 : Math.Max(0, head.ContentLength);
        _requestComplete = _bodyLeft == 0;
        if (_manager.MaxStreamDurationMs > 0)
            _maxDeadline = _headStartMs + _manager.MaxStreamDurationMs;
        if (head.IsClose || (_manager.RequestsPerConnectionMax > 0 && _requestCount >= _manager.RequestsPerConnectionMax))
            _keepAlive = false;
        if (head.MinorVersion == 0 && !_manager.AcceptHttp10)
        {
            _keepAlive = false;
            Reply(426, "Upgrade Required"u8, FailureReason.VersionUnsupported);
            return;
        }
        if (!Admit(head))
            return;
        if (!head.HasAuthority)
        {
            Reply(400, default, FailureReason.MissingHost);
            return;
        }
        if (!NormalizePath(head))
            return;
        if (_manager.RequestTimeoutMs > 0 && !_requestComplete)
            _requestDeadline = _headStartMs + _manager.RequestTimeoutMs;
        var table = _manager.InlineRoutes ?? Worker.Snapshot.Routes.GetValueOrDefault(_manager.RouteName);
        if (!PrepareFields(head, table))
            return;
        if (_manager.PeerMetadata && _manager.IsInbound)
            _sourceWorkload = PeerMetadata.Take(Worker, head, _down.Peer, out _peerTold);
        if (!FindRoute(head, table))
            return;
        if (head.ExpectsContinue && (!_manager.Proxy100Continue || head.MinorVersion == 0))
        {
            head.Remove(KnownHeader.Expect);
            // An HTTP/1.0 client knows no interim answers (RFC 9110 section 10.1.1).
            _sendContinue = !_requestComplete && head.MinorVersion == 1;
        }
        StartForward(head);
    }

    /// <summary>Decided after routing: the route has the last word.</summary>
    private bool CheckUpgrade(HttpHead head, IReadOnlyList<string> allowed)
    {
        if (head.Method == RequestMethod.Connect)
        {
            if (Contains(allowed, "connect"u8))
                return true;
            Reply(403, default, FailureReason.UpgradeFailed);
            return false;
        }
        switch (UpgradeTokens.Judge(head, allowed))
        {
            case UpgradeVerdict.Refused:
                _keepAlive = false;
                Reply(403, default, FailureReason.UpgradeFailed);
                return false;
            case UpgradeVerdict.Allowed:
                _upgrade = true;
                return true;
            default:
                return true;
        }
    }

    private static bool Contains(IReadOnlyList<string> list, ReadOnlySpan<byte> value)
    {
        foreach (var item in list)
        {
            if (item.Length == value.Length && System.Text.Ascii.EqualsIgnoreCase(value, item))
                return true;
        }
        return false;
    }

    private bool FindRoute(HttpHead head, RouteTable? table)
    {
        _host = table is null ? null : RouteMatching.FindHost(table, head);
        if (_host is not null && NeedsTls(_host, head))
        {
            _record.Details = "direct_response";
            ReplyRedirect(new RedirectConfig { Scheme = "https" });
            return false;
        }
        _route = _host is null ? null : RouteMatching.FindRoute(_host, head, Worker.Loop.Random, table!.IgnorePathParameters);
        if (_route is null)
        {
            // What follows a head that asks for another protocol may be that protocol already.
            _keepAlive &= !head.IsUpgrade && head.Method != RequestMethod.Connect;
            _stats.NoRoute.Add(LoopIndex);
            Reply(404, default, FailureReason.NoRoute);
            return false;
        }
        _record.RouteName = _route.NameBytes;
        if (!CheckUpgrade(head, UpgradesOf(_manager, _route)))
            return false;
        if (_route.Redirect is { } redirect)
        {
            _stats.Redirects.Add(LoopIndex);
            _record.Details = "direct_response";
            ReplyRedirect(redirect);
            return false;
        }
        if (_route.DirectResponse is { } direct)
        {
            _stats.DirectResponses.Add(LoopIndex);
            Reply(direct.Status, direct.Body, FailureReason.None, "direct_response");
            return false;
        }
        _action = _route.Action!;
        return TakeSteering(head);
    }

    private void StartForward(HttpHead head)
    {
        var action = _action!;
        if (!PickCluster(head, action))
            return;
        var cluster = _cluster!;
        _record.Cluster = cluster.Config;
        _record.ClusterName = cluster.Config.Name;
        // A body that came with its head makes the request complete, although it is taken only when there is a connection.
        _clockRuns = _bodyLeft >= 0 && _inEnd - _inStart >= _bodyLeft;
        if (_clockRuns)
            _routeDeadline = AnswerDeadline();
        if (action.MaxDurationMs is { } longest)
            _maxDeadline = longest > 0 ? _headStartMs + longest : long.MaxValue;
        RequestFields.Rewrite(action, _weighted, head);
        for (var i = 0; i < _route!.RequestEdits.Count; i++)
            HeaderEdits.Apply(_route!.RequestEdits[i], head, _record, Worker.Loop.Staging);
        if (_weighted?.RequestEdits is { } own)
            HeaderEdits.Apply(own, head, _record, Worker.Loop.Staging);
        if (!_manager.SuppressEnvoyHeaders)
        {
            var expected = action.Retry is { PerTryTimeoutMs: > 0 } retry ? retry.PerTryTimeoutMs : action.TimeoutMs;
            if (expected > 0)
            {
                Span<byte> number = stackalloc byte[20];
                var writer = new ByteWriter(number);
                writer.AddNumber(expected);
                head.Set(KnownHeader.EnvoyExpectedTimeout, writer.Written);
            }
        }
        if (!_manager.IsInbound && PeerMetadata.MayTell(_manager, cluster.Config))
            PeerMetadata.Tell(Worker, head, PeerFields.Both);
        _canReplay = action.Retry is { } policy && !RetryRules.Excludes(policy, head);
        NextAttempt();
    }

    private bool PickCluster(HttpHead head, RouteActionConfig action)
    {
        string? name = null;
        if (action.ClusterHeader is { } header)
        {
            var index = head.Find(header);
            if (index >= 0)
                name = System.Text.Encoding.ASCII.GetString(head.Value(index));
        }
        else
        {
            _weighted = RouteMatching.PickCluster(action.Clusters, action.TotalWeight, Worker.Loop.Random);
            name = _weighted?.Name;
        }
        _cluster = name is null ? null : Worker.FindMember(name);
        _subset = _weighted?.SubsetMatch ?? action.SubsetMatch;
        if (_cluster is not null)
            return true;
        _stats.NoCluster.Add(LoopIndex);
        _record.ClusterName = name ?? "";
        Reply(action.ClusterNotFoundStatus, default, FailureReason.ClusterNotFound);
        return false;
    }

    /// <summary>Moves body bytes from the client to the upstream while both are willing. True when something moved.</summary>
    private bool PumpRequest()
    {
        if (_requestComplete)
            return false;
        if (_localReply)
            return DrainBody(readMore: false);
        if (_phase != AttemptPhase.Active || _upOutEnd > _upOutStart)
            return false;
        if (_sendContinue)
        {
            _sendContinue = false;
            WriteDown("HTTP/1.1 100 Continue\r\n\r\n"u8);
        }
        return DrainBody(readMore: true);
    }

    private bool DrainBody(bool readMore)
    {
        var moved = false;
        while (!_requestComplete)
        {
            if (_inStart == _inEnd)
            {
                if (!readMore || _budget.IsSpent || !ReadBody())
                    return moved;
            }
            var taken = TakeBody(_in.AsSpan(_inStart, _inEnd - _inStart));
            if (taken == BodyTake.Wait)
                return moved;
            moved = true;
            if (taken == BodyTake.Ended)
                return true;
            if (_upOutEnd > _upOutStart)
                return true;
        }
        return moved;
    }

    private bool ReadBody()
    {
        _inStart = _inEnd = _bodyBase;
        // A long body earns a large buffer; the head stays where it is.
        var wanted = _bodyLeft is < 0 or > BufferPool.Medium ? BufferPool.Large : BufferPool.Medium;
        if (_in is null || _in.Length - _bodyBase < 2048 || (_in.Length < wanted && _record.BytesReceived > BufferPool.Medium))
            GrowIn(Math.Max(wanted, _bodyBase + BufferPool.Small));
        var count = _down.Read(_in.AsSpan(_bodyBase));
        if (count > 0)
        {
            _inEnd = _bodyBase + count;
            _lastActivityMs = Present;
            _budget.TakeRead(count);
            return true;
        }
        if (count != -Errno.EAGAIN)
            DownstreamGone();
        return false;
    }

    private enum BodyTake : byte
    {
        Taken,
        /// <summary>What is at hand makes sense only together with bytes that are not here yet: nothing moved.</summary>
        Wait,
        Ended,
    }

    /// <summary>Decodes and forwards what is at hand.</summary>
    private BodyTake TakeBody(ReadOnlySpan<byte> data)
    {
        if (_bodyLeft < 0)
            return TakeRequestChunks();
        var count = (int)Math.Min(_bodyLeft, data.Length);
        _inStart += count;
        _bodyLeft -= count;
        EmitBody(data[..count]);
        if (_bodyLeft == 0)
            NoteRequestComplete();
        return BodyTake.Taken;
    }

    /// <summary>All chunks at hand: their content goes on in one write.</summary>
    private BodyTake TakeRequestChunks()
    {
        var joined = new ChunkWriter(Worker.Loop.Staging, isChunked: true);
        while (true)
        {
            var data = _in.AsSpan(_inStart, _inEnd - _inStart);
            var happened = _requestChunks.Next(data, out var consumed, out var offset, out var length);
            switch (happened)
            {
                case ChunkEvent.Data:
                    var content = data.Slice(offset, length);
                    _inStart += consumed;
                    if (!KeepBody(content))
                        break;
                    if (!joined.Fits(length))
                    {
                        WriteUp(joined.Finish());
                        joined = new ChunkWriter(Worker.Loop.Staging, isChunked: true);
                    }
                    joined.Add(content);
                    break;
                case ChunkEvent.Trailer:
                    if (!TrailerLine.TryParse(data.Slice(offset, length), out var name, out var value) || ++_trailerCount > _manager.HeadFieldsMax)
                        goto case ChunkEvent.Error;
                    if (_manager.EnableTrailers && _cluster is { Config.EnableTrailers: true } && !_localReply)
                        KeepTrailer(name, value);
                    _inStart += consumed;
                    break;
                case ChunkEvent.Done:
                    _inStart += consumed;
                    if (_localReply || _phase != AttemptPhase.Active)
                    {
                        NoteRequestComplete();
                        return BodyTake.Taken;
                    }
                    AddLastChunk(ref joined);
                    WriteUp(joined.Finish());
                    NoteRequestComplete();
                    return BodyTake.Taken;
                case ChunkEvent.Error:
                    _inStart = _inEnd;
                    // An answer of our own is on its way already: a second one would be read as the answer to something else.
                    if (_localReply)
                    {
                        _keepAlive = false;
                        return BodyTake.Ended;
                    }
                    AbortRequest(FailureReason.DownstreamProtocol, 400, "Bad Request"u8);
                    return BodyTake.Ended;
                default:
                    if (!joined.IsEmpty)
                        WriteUp(joined.Finish());
                    // An unfinished trailer line stays in the buffer; move it to the front so that more fits behind it.
                    if (consumed < data.Length)
                        return WaitForTrailer(consumed);
                    _inStart += consumed;
                    return BodyTake.Taken;
            }
        }
    }

    private BodyTake WaitForTrailer(int consumed)
    {
        _inStart += consumed;
        var rest = _inEnd - _inStart;
        if (_in!.Length - _bodyBase - rest < 1024)
            GrowIn(_in.Length * 2);
        _in.AsSpan(_inStart, rest).CopyTo(_in.AsSpan(_bodyBase));
        _inStart = _bodyBase;
        _inEnd = _bodyBase + rest;
        var count = _down.Read(_in.AsSpan(_inEnd));
        if (count > 0)
        {
            _inEnd += count;
            _budget.TakeRead(count);
            return BodyTake.Taken;
        }
        if (count == -Errno.EAGAIN)
            return BodyTake.Wait;
        DownstreamGone();
        return BodyTake.Ended;
    }

    private void EmitBody(ReadOnlySpan<byte> data)
    {
        if (KeepBody(data))
            SendBody(data);
    }

    /// <summary>Counts body bytes and keeps them for another try; false when nobody wants them.</summary>
    private bool KeepBody(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty)
            return false;
        _record.BytesReceived += data.Length;
        if (_localReply || _phase != AttemptPhase.Active)
            return false;
        if (_canReplay && !_responseStarted)
            AppendReplay(data);
        return true;
    }

    private void AppendReplay(ReadOnlySpan<byte> data)
    {
        if (_replayLength + data.Length > _action!.ReplayBytesMax || Worker.ReplayBytes + data.Length > ReplayTotalBytesMax)
        {
            _cluster!.Stats.RetryBufferFull.Add(LoopIndex);
            _canReplay = false;
            ReleaseReplay();
            return;
        }
        if (_replay is null || _replay.Length - _replayLength < data.Length)
        {
            var grown = Worker.Loop.Buffers.Rent(Math.Max(_replayLength + data.Length, (_replay?.Length ?? 0) * 2));
            Worker.ReplayBytes += grown.Length - (_replay?.Length ?? 0);
            if (_replay is not null)
            {
                _replay.AsSpan(0, _replayLength).CopyTo(grown);
                Worker.Loop.Buffers.Return(_replay);
            }
            _replay = grown;
        }
        data.CopyTo(_replay.AsSpan(_replayLength));
        _replayLength += data.Length;
    }

    private void ReleaseReplay()
    {
        if (_replay is not null)
        {
            Worker.ReplayBytes -= _replay.Length;
            Worker.Loop.Buffers.Return(_replay);
        }
        _replay = null;
        _replayLength = 0;
    }

    /// <summary>The client closed or reset its side before the exchange was complete.</summary>
    private void DownstreamGone()
    {
        _record.Reason = FailureReason.DownstreamClosed;
        _record.Details = Failures.Details(FailureReason.DownstreamClosed);
        if (!_responseStarted)
            _record.Status = 0;
        _stats.RequestReset.Add(LoopIndex);
        _cluster?.Stats.RequestCancelled.Add(LoopIndex);
        _keepAlive = false;
        _ended = true;
    }
}
