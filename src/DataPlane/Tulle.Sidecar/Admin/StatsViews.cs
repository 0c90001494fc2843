using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Tulle.Base.Documents;
using Tulle.Proxy;

namespace Tulle.Sidecar;

/// <summary>/stats and /stats/prometheus.</summary>
internal static class StatsViews
{
    public static async Task<AdminReply> StatsAsync(ProxyHost host, Dictionary<string, string> query)
    {
        host.SampleStats();
        if (query.GetValueOrDefault("format") == "prometheus")
            return await PrometheusAsync(host);
        Regex? filter = null;
        if (query.TryGetValue("filter", out var pattern))
        {
            try
            {
                filter = new Regex(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
            }
            catch (Exception error) when (error is ArgumentException or NotSupportedException)
            {
                return new AdminReply(400, $"Invalid re2 regex: {error.Message}\n");
            }
        }
        var used = query.ContainsKey("usedonly");
        var type = query.GetValueOrDefault("type", "All");
        var selected = host.Shared.Stats.All
            .Where(s => (filter is null || filter.IsMatch(s.Name)) && (!used || s.IsUsed))
            .Where(s => type switch { "Counters" => s.Kind == StatKind.Counter, "Gauges" => s.Kind == StatKind.Gauge, "Histograms" or "TextReadouts" => false, _ => true })
            .OrderBy(s => s.Name, StringComparer.Ordinal).ToList();
        if (query.GetValueOrDefault("format") == "json")
            return AdminReply.Json(Node.Map(("stats", Node.List(selected.Select(s => Node.Map(("name", s.Name), ("value", s.Value))).ToList()))));
        var text = new StringBuilder();
        foreach (var stat in selected)
            text.Append(stat.Name).Append(": ").Append(stat.Value.ToString(CultureInfo.InvariantCulture)).Append('\n');
        return new AdminReply(200, text.ToString());
    }

    public static async Task<AdminReply> PrometheusAsync(ProxyHost host)
    {
        var text = new StringBuilder(64 * 1024);
        var sums = new SortedDictionary<string, double>(StringComparer.Ordinal);
        // One loop after the other: each writes into the same table on its own thread, never two at once. First, because open connections are counted up to now by it.
        foreach (var worker in host.Workers)
        {
            var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            worker.Loop.Post(() =>
            {
                worker.CollectMetrics(sums);
                done.SetResult();
            });
            await done.Task;
        }
        foreach (var group in host.Shared.Stats.All.GroupBy(MetricName).OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            text.Append("# TYPE ").Append(group.Key).Append(group.First().Kind == StatKind.Counter ? " counter\n" : " gauge\n");
            foreach (var stat in group.OrderBy(s => s.Name, StringComparer.Ordinal))
                text.Append(group.Key).Append('{').Append(Labels(stat)).Append("} ").Append(stat.Value.ToString(CultureInfo.InvariantCulture)).Append('\n');
        }
        var last = "";
        foreach (var (line, value) in sums)
        {
            var name = line[..line.IndexOf('{')];
            var family = name.EndsWith("_bucket", StringComparison.Ordinal) || name.EndsWith("_count", StringComparison.Ordinal) || name.EndsWith("_sum", StringComparison.Ordinal)
                ? name[..name.LastIndexOf('_')] : name;
            if (family != last)
            {
                text.Append("# TYPE ").Append(family).Append(family.EndsWith("_total", StringComparison.Ordinal) ? " counter\n" : " histogram\n");
                last = family;
            }
            text.Append(line).Append(' ').Append(value.ToString("R", CultureInfo.InvariantCulture)).Append('\n');
        }
        text.Append("# TYPE istio_build gauge\nistio_build{component=\"proxy\",tag=\"tulle-").Append(ProxyVersion.Text).Append("\"} 1\n");
        return new AdminReply(200, text.ToString(), "text/plain; version=0.0.4; charset=utf-8");
    }

    private static string MetricName(Stat stat)
    {
        var leaf = Clean(stat.Leaf);
        return stat.Scope switch
        {
            StatScope.Cluster => "envoy_cluster_" + leaf,
            StatScope.Http => "envoy_http_" + leaf,
            StatScope.Tcp => "envoy_tcp_" + leaf,
            StatScope.Listener => "envoy_listener_" + leaf,
            _ => "envoy_" + leaf,
        };
    }

    private static string Labels(Stat stat) => stat.Scope switch
    {
        StatScope.Cluster => $"envoy_cluster_name=\"{stat.ScopeName}\"",
        StatScope.Http => $"envoy_http_conn_manager_prefix=\"{stat.ScopeName}\"",
        StatScope.Tcp => $"envoy_tcp_prefix=\"{stat.ScopeName}\"",
        StatScope.Listener => $"envoy_listener_address=\"{stat.ScopeName}\"",
        _ => "",
    };

    private static string Clean(string name) => string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) ? c : '_'));
}
