using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Xds;

namespace Tulle.Sidecar;

/// <summary>
/// An xDS stream: ADS for everything, or SDS alone. Reconnects for ever with back-off; what is in force stays in force meanwhile. Whatever the server
/// does, every end is told and followed by another try, and every response is answered.
/// </summary>
internal sealed class GrpcSource : IDisposable
{
    /// <summary>Back-off between streams. Source: Envoy's subscription back-off, 500 ms base and 30 s at the most, jittered.</summary>
    private const int BackOffBaseMs = 500, BackOffMaxMs = 30_000;

    private readonly GrpcTarget _target;
    private readonly string _method;
    private readonly XdsClientState _state;
    private readonly Action<Action> _post;
    private readonly Func<XdsUpdate, bool, Dictionary<string, string>> _apply;
    private readonly CancellationTokenSource _stop = new();
    private readonly SeededRandom _random = new(ProxyHost.RandomSeed());
    private readonly RefusalPace _pace = new(); // Control thread only.
    private GrpcStream? _stream; // Control thread only.
    private bool _toldUnasked;

    /// <param name="key">The source's name in the store.</param>
    /// <param name="target">Where the server is.</param>
    /// <param name="service">"ads" or "sds".</param>
    /// <param name="isDelta">Incremental protocol.</param>
    /// <param name="node">Who this proxy is.</param>
    /// <param name="post">Runs an action on the control thread.</param>
    /// <param name="apply">Takes an update and returns what was refused; true: it was refused before, say nothing.</param>
    public GrpcSource(string key, GrpcTarget target, string service, bool isDelta, Node node, Action<Action> post, Func<XdsUpdate, bool, Dictionary<string, string>> apply)
    {
        Key = key;
        _target = target;
        _state = new XdsClientState(isDelta, node);
        _post = post;
        _apply = apply;
        _method = service switch
        {
            "ads" => isDelta ? "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources" : "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
            _ => isDelta ? "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets" : "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
        };
    }

    public string Key { get; }

    public bool IsConnected { get; private set; }

    public string LastError { get; private set; } = "";

    public void Start() => _ = Task.Run(RunAsync);

    private async Task RunAsync()
    {
        var failures = 0;
        while (!_stop.IsCancellationRequested)
        {
            using var stream = new GrpcStream(_target, _method, _stop.Token);
            var got = false;
            string ended;
            try
            {
                ended = await stream.RunAsync(() => _post(() => Open(stream)), message =>
                {
                    got = true;
                    _post(() => Receive(stream, message));
                });
            }
            catch (Exception error) when (error is not OutOfMemoryException)
            {
                if (_stop.IsCancellationRequested)
                    return;
                // Whatever it was: configuration must not stop coming because of an exception nobody foresaw.
                ended = stream.EndReason ?? Innermost(error);
            }
            _post(() => Ended(stream, ended, !got));
            failures = got ? 1 : failures + 1;
            var ceiling = Math.Min(BackOffMaxMs, BackOffBaseMs << Math.Min(failures - 1, 6));
            try
            {
                await Task.Delay(_random.Next(ceiling) + 20, _stop.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private static string Innermost(Exception error) => error.InnerException is { } inner ? Innermost(inner) : error.Message;

    private void Open(GrpcStream stream)
    {
        _stream = stream;
        foreach (var request in _state.OnStreamStart())
            Send(stream, request);
    }

    /// <summary>A request that is not sent is an answer that the server waits for: then the stream ends and begins anew.</summary>
    private void Send(GrpcStream? stream, Node? request)
    {
        if (stream is null || request is null)
            return;
        if (!stream.Send(_state.Encode(request)))
            stream.End($"the server takes no requests: {GrpcStream.QueueMax} are waiting");
    }

    private void Ended(GrpcStream stream, string why, bool neverSpoke)
    {
        if (ReferenceEquals(_stream, stream))
            _stream = null;
        if (IsConnected || LastError != why)
            Log.Write(neverSpoke ? "warning" : "info", "config", $"{Key}: stream to {_target.Name} ({_target.Describe}) ended: {why}; trying again, what was received stays in force");
        IsConnected = false;
        LastError = why;
    }

    private void Receive(GrpcStream stream, byte[] message)
    {
        if (!ReferenceEquals(_stream, stream))
            return;
        IsConnected = true;
        XdsUpdate update;
        try
        {
            update = _state.OnResponse(message);
        }
        catch (ProtoException error)
        {
            Log.Write("warning", "config", $"{Key}: a response cannot be decoded, and not even be refused: {error.Message}");
            stream.End("a response could not be decoded");
            return;
        }
        if (update.IsUnasked)
        {
            if (!_toldUnasked)
                Log.Write("warning", "config", $"{Key}: the server sends {update.Type}, for which nobody asked; it is ignored, here and from now on");
            _toldUnasked = true;
            return;
        }
        var isRepeated = _pace.IsRepeated(update);
        Dictionary<string, string> refused;
        try
        {
            refused = _apply(update, isRepeated);
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            Invariant.Report("taking an update failed", error);
            refused = new Dictionary<string, string>(StringComparer.Ordinal) { [""] = $"internal error: {error.Message}" };
        }
        var pauseMs = _pace.Note(update, refused.Count > 0);
        if (pauseMs == 0)
        {
            Answer(stream, update, refused);
            return;
        }
        _ = Task.Delay(pauseMs).ContinueWith(_ => _post(() =>
        {
            if (ReferenceEquals(_stream, stream) && _state.NonceOf(update.Type) == update.Nonce)
                Answer(stream, update, refused);
        }), TaskScheduler.Default);
    }

    private void Answer(GrpcStream stream, XdsUpdate update, Dictionary<string, string> refused)
    {
        var error = refused.Count == 0 ? null : string.Join("\n", refused.Select(r => r.Value));
        Send(stream, _state.Acknowledge(update, error, refused.Keys));
    }

    public void SubscribeAll(string type) => Send(_stream, _state.SubscribeAll(type));

    public void SetNames(string type, IEnumerable<string> names) => Send(_stream, _state.SetNames(type, names));

    public void Dispose()
    {
        _stop.Cancel();
        _stop.Dispose();
    }
}
