using System.Threading.Channels;
using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Translate;
using Tulle.Xds;

namespace Tulle.Control;

/// <summary>One proxy's ADS stream: its subscriptions, and the responses waiting to be written.</summary>
internal sealed class ProxyStream(bool isDelta)
{
    /// <summary>Responses waiting for a slow reader. Beyond it the stream is ended: it will come back and be brought up to date.</summary>
    private const int QueueMax = 256;

    private readonly Lock _lock = new();
    private readonly XdsServerState _state = new(isDelta);
    private readonly Channel<byte[]> _outgoing = Channel.CreateBounded<byte[]>(QueueMax);

    /// <summary>Endpoint changes first; then make before break.</summary>
    private static readonly string[] Order = [XdsTypes.Endpoint, XdsTypes.Cluster, XdsTypes.Listener, XdsTypes.Route, XdsTypes.Secret, XdsTypes.NameTable];

    public ChannelReader<byte[]> Outgoing => _outgoing.Reader;

    public DateTimeOffset Connected { get; } = TimeProvider.System.GetUtcNow();

    public Node? Node
    {
        get
        {
            lock (_lock)
                return _state.Node;
        }
    }

    public Dictionary<string, string> Nacks { get; } = new(StringComparer.Ordinal);

    /// <summary>Takes a request; answers what it asks for.</summary>
    public void OnRequest(ReadOnlySpan<byte> message, MeshModel model, string version)
    {
        lock (_lock)
        {
            if (_state.OnRequest(message) is { } nack)
            {
                Nacks[nack.Type] = nack.Message;
                Console.Error.WriteLine($"xds: {_state.Node?["id"]?.AsText}: {XdsTypes.Short(nack.Type)} refused: {nack.Message}");
            }
            PushLocked(model, version);
        }
    }

    /// <summary>Brings the proxy up to date with a new model.</summary>
    public void Push(MeshModel model, string version)
    {
        lock (_lock)
            PushLocked(model, version);
    }

    private void PushLocked(MeshModel model, string version)
    {
        if (_state.Node is null)
            return;
        var proxy = ProxyView.Read(_state.Node, model);
        foreach (var type in Order.Concat(_state.Types.Except(Order)).ToList())
        {
            if (!_state.Wants(type))
                continue;
            var resources = proxy is null ? [] : Translator.Resources(model, proxy, type);
            if (_state.Push(type, resources, version) is { } response && !_outgoing.Writer.TryWrite(GrpcFraming.Frame(response)))
            {
                _outgoing.Writer.TryComplete(new IOException("the proxy does not read its configuration"));
                return;
            }
        }
    }

    public void End() => _outgoing.Writer.TryComplete();

    public Node Describe()
    {
        lock (_lock)
        {
            var id = _state.Node?["id"]?.AsText ?? "";
            var types = new List<KeyValuePair<string, Node>>();
            foreach (var type in _state.Types.Order(StringComparer.Ordinal))
            {
                var (sent, acked, rejected) = _state.StatusOf(type);
                types.Add(new(XdsTypes.Short(type), Base.Documents.Node.Map(("sent", sent), ("acked", acked), ("status", rejected ? "REJECTED" : "SYNCED"),
                    ("error", Nacks.TryGetValue(type, out var why) && rejected ? why : null))));
            }
            return Base.Documents.Node.Map(("proxy", id), ("cluster_id", "Kubernetes"), ("version", _state.Node?.At("metadata", "ISTIO_VERSION")?.AsText ?? "tulle"), ("types", Base.Documents.Node.Map(types)));
        }
    }
}
