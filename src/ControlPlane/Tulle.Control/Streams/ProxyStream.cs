using System.Threading.Channels;
using Tulle.Base.Documents;
using Tulle.Translate;
using Tulle.Xds;

namespace Tulle.Control;

/// <summary>
/// One proxy's ADS stream: what it asked for, what it was sent, and what has to wait. At most one response per type is on its way; what changes
/// meanwhile is sent as one when that response is acknowledged. An ACK that nothing waits for computes nothing.
/// </summary>
internal sealed class ProxyStream(bool isDelta, IResourceMaker maker, Func<Published> newest, TimeProvider time)
{
    /// <summary>
    /// Milliseconds that routes wait for new clusters, and removals for routes. Source: a proxy acknowledges within tens of milliseconds; a proxy that is
    /// silent for longer must not keep what was taken away for ever. Istio waits 15 s at the most before it pushes over an unacknowledged response.
    /// </summary>
    public const int WaitMsMax = 5000;

    /// <summary>Milliseconds without an ACK after which a proxy is called STALE. Source: istiod's PILOT_FLOW_CONTROL_TIMEOUT, 15 s.</summary>
    public const int StaleMs = 15_000;

    private sealed class Sent
    {
        public DateTimeOffset At;
        public string Nack = "";
        public long Nacks;
    }

    private readonly Lock _lock = new();
    private readonly XdsServerState _state = new(isDelta);

    // Bounded by the types: one response of each is under way, and no more than XdsServerState.TypesMax types can be asked for.
    private readonly Channel<byte[]> _outgoing = Channel.CreateUnbounded<byte[]>();
    private readonly Dictionary<string, Sent> _sent = new(StringComparer.Ordinal);

    /// <summary>Types that were not yet compared with <see cref="_target"/>.</summary>
    private readonly HashSet<string> _dirty = new(StringComparer.Ordinal);

    /// <summary>Types whose removals wait.</summary>
    private readonly HashSet<string> _holding = new(StringComparer.Ordinal);

    /// <summary>New clusters whose endpoints the proxy has not asked for yet.</summary>
    private readonly HashSet<string> _awaited = new(StringComparer.Ordinal);

    /// <summary>Made for <see cref="_target"/>; dropped when nothing waits any more.</summary>
    private readonly Dictionary<string, TranslatedResources> _made = new(StringComparer.Ordinal);
    private Published? _target;
    private ProxyView? _proxy;
    private DateTimeOffset _changedAt;

    public ChannelReader<byte[]> Outgoing => _outgoing.Reader;

    public DateTimeOffset Connected { get; } = time.GetUtcNow();

    public bool HasNode
    {
        get
        {
            lock (_lock)
                return _state.Node is not null;
        }
    }

    /// <summary>Takes a request; answers what it asks for.</summary>
    /// <exception cref="ProtoException">The bytes are no request.</exception>
    /// <exception cref="XdsRefusedException">The client cannot be served; the stream ends.</exception>
    public void OnRequest(ReadOnlySpan<byte> message)
    {
        lock (_lock)
        {
            var nack = _state.OnRequest(message);
            if (_state.Node is null)
                throw new XdsRefusedException(3, "the first request of a stream must carry its node");
            // Read inside the lock: a model that was published meanwhile must not be followed by an older one.
            Adopt(newest());
            if (nack is not null)
                OnNack(nack);
            Pump();
        }
    }

    private void OnNack(XdsNack nack)
    {
        var sent = SentOf(nack.Type);
        sent.Nacks++;
        if (sent.Nack == nack.Message)
            return;
        // Said once per reason: a proxy that repeats itself fills no log.
        sent.Nack = nack.Message.Length <= 2000 ? nack.Message : nack.Message[..2000] + "…";
        Console.Error.WriteLine($"xds: {_state.Node?["id"]?.AsText}: {XdsTypes.Short(nack.Type)} refused: {sent.Nack}");
    }

    private Sent SentOf(string type)
    {
        if (!_sent.TryGetValue(type, out var sent))
            _sent[type] = sent = new Sent();
        return sent;
    }

    /// <summary>Brings the proxy up to date with a new model.</summary>
    public void Push(Published published)
    {
        lock (_lock)
        {
            if (_state.Node is null)
                return;
            Adopt(published);
            Pump();
        }
    }

    /// <summary>Whether something waits for the proxy and must not do so for ever.</summary>
    public bool IsWaiting => _dirty.Count > 0 || _holding.Count > 0;

    /// <summary>Lets go what has waited long enough.</summary>
    public void Tick()
    {
        lock (_lock)
        {
            if (_proxy is not null && IsWaiting)
                Pump();
        }
    }

    private void Adopt(Published published)
    {
        if (_target is not null && published.Number <= _target.Number)
            return;
        _proxy = maker.Identify(published, _state.Node!);
        _target = published;
        _changedAt = time.GetUtcNow();
        _made.Clear();
        _holding.Clear();
        _awaited.Clear();
        foreach (var type in _state.Types)
            _dirty.Add(type);
    }

    private TranslatedResources Made(string type)
    {
        if (!_made.TryGetValue(type, out var made))
            _made[type] = made = maker.Make(_target!, _proxy!, type);
        return made;
    }

    private bool WaitedLongEnough => time.GetUtcNow() - _changedAt >= TimeSpan.FromMilliseconds(WaitMsMax);

    /// <summary>The proxy has the newest content of a type and said so. What it refused it does not have.</summary>
    private bool IsSettled(string type) => !_dirty.Contains(type) && _state.StatusOf(type) is { IsOutstanding: false, Rejected: false };

    private void Pump()
    {
        foreach (var type in XdsTypes.PushOrder.Concat(_state.Types.Except(XdsTypes.PushOrder)).ToList())
        {
            if (!_state.Wants(type) || _state.StatusOf(type).IsOutstanding || !(_state.MustAnswer(type) || (_dirty.Contains(type) && MayGo(type))))
                continue;
            Send(type, onlyKept: false);
        }
        foreach (var (type, after) in PushOrder.Removals)
        {
            if (_holding.Contains(type) && !_state.StatusOf(type).IsOutstanding && MayRemove(after))
                Send(type, onlyKept: true);
        }
        if (_dirty.Count == 0 && _holding.Count == 0)
            _made.Clear();
    }

    /// <summary>A refused cluster does not hold up routes: it will not come.</summary>
    private bool MayGo(string type)
    {
        if (WaitedLongEnough)
            return true;
        var before = PushOrder.Before(type);
        if (before.Count == 0)
            return true;
        _awaited.RemoveWhere(n => _state.WantsName(XdsTypes.Endpoint, n));
        return before.All(b => !_dirty.Contains(b) && !_state.StatusOf(b).IsOutstanding) && (_awaited.Count == 0 || !_state.Wants(XdsTypes.Endpoint));
    }

    /// <summary>A listener or a route that was refused still names what it named: removals wait until one is accepted.</summary>
    private bool MayRemove(IReadOnlyList<string> after) =>
        after.All(a => !_state.Wants(a) || (IsSettled(a) && !_holding.Contains(a)) || (WaitedLongEnough && !_state.StatusOf(a).Rejected));

    private void Send(string type, bool onlyKept)
    {
        var made = Made(type);
        var holds = !onlyKept && PushOrder.RemovalWaits(type) && PushOrder.Removals.First(r => r.Type == type).After.Any(_state.Wants);
        if (type == XdsTypes.Cluster && !made.IsIncomplete)
            AwaitEndpoints(made);
        _dirty.Remove(type);
        _holding.Remove(type);
        if (holds && _state.HoldsMore(type, made.Resources))
            _holding.Add(type);
        // Without a whole answer nothing is taken away: what could not be made stays as the proxy has it.
        if (_state.Push(type, made.Resources, _target!.Version, holds || made.IsIncomplete ? _ => true : null) is not { } response)
            return;
        SentOf(type).At = time.GetUtcNow();
        _outgoing.Writer.TryWrite(GrpcFraming.Frame(response));
    }

    private void AwaitEndpoints(TranslatedResources clusters)
    {
        if (!_state.Wants(XdsTypes.Endpoint) || !_dirty.Contains(XdsTypes.Cluster))
            return;
        var endpoints = Made(XdsTypes.Endpoint).Resources;
        foreach (var name in clusters.Resources.Keys)
        {
            if (endpoints.ContainsKey(name) && !_state.WasSent(XdsTypes.Cluster, name) && _state.WantsName(XdsTypes.Cluster, name))
                _awaited.Add(name);
        }
    }

    public void End() => _outgoing.Writer.TryComplete();

    /// <summary>For proxy-status: SYNCED only when the proxy acknowledged what was sent last and nothing waits.</summary>
    public Node Describe()
    {
        lock (_lock)
        {
            var types = new List<KeyValuePair<string, Node>>();
            foreach (var type in _state.Types.Order(StringComparer.Ordinal))
            {
                var status = _state.StatusOf(type);
                var sent = _sent.GetValueOrDefault(type);
                types.Add(new(XdsTypes.Short(type), Node.Map(("sent", status.Sent), ("acked", status.Acked), ("status", Word(type, status)),
                    ("error", status.Rejected ? sent?.Nack : null), ("refusals", sent?.Nacks > 0 ? Node.Of(sent.Nacks) : null))));
            }
            return Node.Map(("proxy", _state.Node?["id"]?.AsText ?? ""), ("cluster_id", "Kubernetes"),
                ("version", _state.Node?.At("metadata", "ISTIO_VERSION")?.AsText ?? "tulle"), ("types", Node.Map(types)),
                ("closed_by", _proxy is { IsClosed: true } ? Node.List(_proxy.ClosedBy.Select(p => Node.FromString(p.Meta.Subject)).ToList()) : null));
        }
    }

    private string Word(string type, XdsStatus status)
    {
        if (status.Rejected)
            return "REJECTED";
        if (status.IsOutstanding)
            return time.GetUtcNow() - SentOf(type).At >= TimeSpan.FromMilliseconds(StaleMs) ? "STALE" : "SENT";
        if (_dirty.Contains(type) || _holding.Contains(type))
            return "PENDING";
        return status.Sent.Length == 0 ? "NOT SENT" : "SYNCED";
    }
}
