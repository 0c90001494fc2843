using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Xds;

namespace Tulle.Sidecar;

/// <summary>An xDS stream: ADS for everything, or SDS alone. Reconnects for ever with back-off; what is in force stays in force meanwhile.</summary>
internal sealed class GrpcSource : IDisposable
{
    /// <summary>Back-off between streams. Source: Envoy's subscription back-off, 500 ms base and 30 s at the most, jittered.</summary>
    private const int BackOffBaseMs = 500, BackOffMaxMs = 30_000;

    private readonly GrpcTarget _target;
    private readonly string _method;
    private readonly XdsClientState _state;
    private readonly Action<Action> _post;
    private readonly Func<XdsUpdate, Dictionary<string, string>> _apply;
    private readonly CancellationTokenSource _stop = new();
    private readonly SeededRandom _random = new((ulong)Environment.ProcessId);
    private GrpcStream? _stream; // Control thread only.

    public GrpcSource(string key, GrpcTarget target, string service, bool isDelta, Node node, Action<Action> post, Func<XdsUpdate, Dictionary<string, string>> apply)
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
            using var stream = new GrpcStream(_target, _method);
            var got = false;
            string ended;
            try
            {
                ended = await stream.RunAsync(() => _post(() => Open(stream)), message =>
                {
                    got = true;
                    _post(() => Receive(stream, message));
                }, _stop.Token);
            }
            catch (Exception error) when (error is HttpRequestException or IOException or ProtoException or System.Net.Sockets.SocketException or System.Security.Authentication.AuthenticationException)
            {
                ended = error.InnerException?.Message ?? error.Message;
            }
            catch (OperationCanceledException)
            {
                return;
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

    private void Open(GrpcStream stream)
    {
        _stream = stream;
        foreach (var request in _state.OnStreamStart())
            stream.Send(_state.Encode(request));
    }

    private void Ended(GrpcStream stream, string why, bool neverSpoke)
    {
        if (!ReferenceEquals(_stream, stream))
            return;
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
            Log.Write("warning", "config", $"{Key}: a response cannot be decoded: {error.Message}");
            return;
        }
        var refused = _apply(update);
        var error2 = refused.Count == 0 ? null : string.Join("\n", refused.Select(r => r.Value));
        if (error2 is not null)
            Log.Write("warning", "config", $"{XdsTypes.Short(update.Type)} update refused in part: {error2}");
        stream.Send(_state.Encode(_state.Acknowledge(update, error2, refused.Keys)));
    }

    public void SubscribeAll(string type)
    {
        if (_state.SubscribeAll(type) is { } request)
            _stream?.Send(_state.Encode(request));
    }

    public void SetNames(string type, IEnumerable<string> names)
    {
        if (_state.SetNames(type, names) is { } request)
            _stream?.Send(_state.Encode(request));
    }

    public void Dispose()
    {
        _stop.Cancel();
        _stop.Dispose();
    }
}
