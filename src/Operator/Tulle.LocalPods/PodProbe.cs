using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Tulle.Base.Documents;

namespace Tulle.LocalPods;

/// <summary>
/// A container's probe. Probes come from this machine straight to the pod's address; with a STRICT sidecar in between that would fail, so they go to the
/// application inside the pod's network namespace instead: what Istio's probe rewriting achieves through its agent.
/// </summary>
internal sealed class PodProbe
{
    private readonly string _scheme = "";
    private readonly string _path = "/";
    private readonly int _port;
    private readonly string[] _exec = [];

    public PodProbe(Node probe, IReadOnlyDictionary<string, int> ports)
    {
        PeriodMs = (int)Math.Max(1, probe["periodSeconds"]?.AsInteger ?? 10) * 1000;
        TimeoutMs = (int)Math.Max(1, probe["timeoutSeconds"]?.AsInteger ?? 1) * 1000;
        DelayMs = (int)(probe["initialDelaySeconds"]?.AsInteger ?? 0) * 1000;
        FailureThreshold = (int)(probe["failureThreshold"]?.AsInteger ?? 3);
        var target = probe["httpGet"] ?? probe["tcpSocket"];
        if (probe["httpGet"] is { } http)
        {
            _scheme = "http";
            _path = http["path"]?.AsText ?? "/";
        }
        else if (probe["tcpSocket"] is not null)
        {
            _scheme = "tcp";
        }
        else if (probe["exec"] is { } exec)
        {
            _scheme = "exec";
            _exec = exec["command"]?.Items.Select(i => i.AsText).ToArray() ?? [];
        }
        var text = target?["port"]?.AsText ?? "";
        _port = int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : ports.GetValueOrDefault(text);
    }

    /// <summary>Why the last check did not pass; "" when it did.</summary>
    public string LastFailure { get; private set; } = "";

    public override string ToString() => _scheme switch
    {
        "exec" => $"exec {string.Join(' ', _exec)}",
        "http" => string.Create(CultureInfo.InvariantCulture, $"GET :{_port}{_path}"),
        _ => string.Create(CultureInfo.InvariantCulture, $"connect :{_port}"),
    };

    public int PeriodMs { get; }

    public int TimeoutMs { get; }

    public int DelayMs { get; }

    public int FailureThreshold { get; }

    /// <summary>Runs the probe once, inside the pod.</summary>
    public async Task<bool> CheckAsync(NamespaceDialer dialer, string space)
    {
        LastFailure = await FailureAsync(dialer, space);
        return LastFailure.Length == 0;
    }

    private async Task<string> FailureAsync(NamespaceDialer dialer, string space)
    {
        using var limit = new CancellationTokenSource(TimeoutMs);
        try
        {
            if (_scheme == "exec")
            {
                await Shell.RunAsync("ip", ["netns", "exec", space, .. _exec]).WaitAsync(limit.Token);
                return "";
            }
            using var socket = await dialer.ConnectAsync(new IPEndPoint(IPAddress.Loopback, _port), limit.Token);
            if (_scheme == "tcp")
                return "";
            await using var stream = new NetworkStream(socket);
            await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes($"GET {_path} HTTP/1.1\r\nhost: probe\r\nuser-agent: kube-probe\r\nconnection: close\r\n\r\n"), limit.Token);
            var buffer = new byte[64];
            var count = await stream.ReadAtLeastAsync(buffer, 12, throwOnEndOfStream: false, limit.Token);
            var head = System.Text.Encoding.ASCII.GetString(buffer, 0, count);
            if (count < 12 || !head.StartsWith("HTTP/1.", StringComparison.Ordinal))
                return "no HTTP answer";
            return head[9] is '2' or '3' ? "" : "answered " + head[9..12];
        }
        catch (Exception error) when (error is SocketException or IOException or OperationCanceledException or HttpRequestException or CommandException)
        {
            return error is OperationCanceledException ? string.Create(CultureInfo.InvariantCulture, $"no answer within {TimeoutMs} ms") : error.Message;
        }
    }
}
