using System.Globalization;
using System.Text;
using Tulle.Load;
using Tulle.LocalPods;

namespace Tulle.Cli;

/// <summary>The live table: who talks to whom, from the sidecars' own Istio metrics.</summary>
internal sealed class TrafficTable(LocalMesh mesh)
{
    private readonly HttpClient _client = new() { Timeout = TimeSpan.FromSeconds(2) };
    private Dictionary<string, double> _last = new(StringComparer.Ordinal);
    private int _lines;

    private sealed class Row
    {
        public double Requests, Failed;
        public string Identity = "";
        public readonly SortedDictionary<double, double> Buckets = [];
    }

    public async Task ShowAsync(LoadReport load)
    {
        var now = new Dictionary<string, double>(StringComparer.Ordinal);
        foreach (var pod in mesh.Pods.Where(p => p.Phase == PodPhase.Ready && p.Injected.HasProxy))
        {
            try
            {
                foreach (var line in (await _client.GetStringAsync($"http://{pod.Address}:15090/stats/prometheus")).Split('\n'))
                {
                    if (line.StartsWith("istio_", StringComparison.Ordinal) && line.LastIndexOf(' ') is var space and > 0)
                        now[line[..space]] = now.GetValueOrDefault(line[..space]) + double.Parse(line.AsSpan(space + 1), CultureInfo.InvariantCulture);
                }
            }
            catch (Exception error) when (error is HttpRequestException or TaskCanceledException)
            {
                // A pod that is on its way in or out has nothing to say.
            }
        }
        var rows = Rows(now);
        _last = now;
        Print(rows, load);
    }

    private SortedDictionary<string, Row> Rows(Dictionary<string, double> now)
    {
        var rows = new SortedDictionary<string, Row>(StringComparer.Ordinal);
        foreach (var (key, value) in now)
        {
            var delta = value - _last.GetValueOrDefault(key);
            if (delta <= 0 || !key.Contains("reporter=\"source\"", StringComparison.Ordinal))
                continue;
            var name = $"{Label(key, "source_workload"),-22} → {Label(key, "destination_workload")}";
            if (!rows.TryGetValue(name, out var row))
                rows[name] = row = new Row();
            if (Label(key, "destination_principal") is { Length: > 0 } principal and not "unknown")
                row.Identity = principal;
            if (key.StartsWith("istio_requests_total{", StringComparison.Ordinal) || key.StartsWith("istio_tcp_connections_opened_total{", StringComparison.Ordinal))
            {
                row.Requests += delta;
                if (Label(key, "response_code") is ['5', ..] or "0")
                    row.Failed += delta;
            }
            else if (key.StartsWith("istio_request_duration_milliseconds_bucket{", StringComparison.Ordinal))
            {
                var bound = Label(key, "le") is "+Inf" ? double.PositiveInfinity : double.Parse(Label(key, "le"), CultureInfo.InvariantCulture);
                row.Buckets[bound] = row.Buckets.GetValueOrDefault(bound) + delta;
            }
        }
        return rows;
    }

    private static string Label(string key, string name)
    {
        var at = key.IndexOf(name + "=\"", StringComparison.Ordinal);
        if (at < 0)
            return "";
        at += name.Length + 2;
        return key[at..key.IndexOf('"', at)];
    }

    private static string Percentile(Row row, double percent)
    {
        var total = row.Buckets.Count == 0 ? 0 : row.Buckets.Last().Value;
        foreach (var (bound, count) in row.Buckets)
        {
            if (total > 0 && count >= total * percent)
                return double.IsInfinity(bound) ? ">1h" : string.Create(CultureInfo.InvariantCulture, $"≤{bound}");
        }
        return "-";
    }

    private void Print(SortedDictionary<string, Row> rows, LoadReport load)
    {
        var text = new StringBuilder();
        var isTerminal = !Console.IsOutputRedirected;
        if (isTerminal && _lines > 0)
            text.Append(CultureInfo.InvariantCulture, $"\x1b[{_lines}A\x1b[J");
        text.Append(CultureInfo.InvariantCulture, $"{"SOURCE",-22}   {"DESTINATION",-22} {"RPS",7} {"SHARE",7} {"OK",7} {"P50ms",7} {"P99ms",7}  IDENTITY (mTLS)\n");
        foreach (var (name, row) in rows)
        {
            var source = name[..name.IndexOf('→')];
            var service = Service(name);
            var family = rows.Where(r => r.Key.StartsWith(source, StringComparison.Ordinal) && Service(r.Key) == service).Sum(r => r.Value.Requests);
            text.Append(CultureInfo.InvariantCulture,
                $"{name,-48} {row.Requests,6:F0} {row.Requests / Math.Max(1, family),7:P0} {1 - row.Failed / Math.Max(1, row.Requests),7:P1} {Percentile(row, 0.5),7} {Percentile(row, 0.99),7}  {(row.Identity.Length > 0 ? row.Identity : "-")}\n");
        }
        text.Append(CultureInfo.InvariantCulture, $"load: {load.Requests} requests, {load.Failed} failed, p50 {load.PercentileMs(50):F1} ms, p99 {load.PercentileMs(99):F1} ms\n");
        _lines = text.ToString().Count(c => c == '\n');
        Console.Write(text);
    }

    private static string Service(string row)
    {
        var workload = row[(row.IndexOf('→') + 2)..];
        var dash = workload.LastIndexOf('-');
        return dash > 0 ? workload[..dash] : workload;
    }
}
