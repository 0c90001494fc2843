using System.Globalization;
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
        return AdminReply.Streamed(selected.Select(stat => $"{stat.Name}: {stat.Value.ToString(CultureInfo.InvariantCulture)}\n"));
    }

    /// <summary>The loops only copy numbers; the text, which can be a hundred times larger, is made while it is sent.</summary>
    public static async Task<AdminReply> PrometheusAsync(ProxyHost host)
    {
        var rows = new MetricRows();
        foreach (var loop in await host.AskLoopsAsync(w => w.CopyMetrics()))
            rows.Add(loop);
        return AdminReply.Streamed(Families(host).Concat(rows.Parts())
            .Append($"# TYPE istio_build gauge\nistio_build{{component=\"proxy\",tag=\"tulle-{ProxyVersion.Text}\"}} 1\n"), "text/plain; version=0.0.4; charset=utf-8");
    }

    private static IEnumerable<string> Families(ProxyHost host)
    {
        foreach (var group in host.Shared.Stats.All.GroupBy(MetricName).OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            yield return $"# TYPE {group.Key} {(group.First().Kind == StatKind.Counter ? "counter" : "gauge")}\n";
            foreach (var stat in group.OrderBy(s => s.Name, StringComparer.Ordinal))
                yield return $"{group.Key}{{{Labels(stat)}}} {stat.Value.ToString(CultureInfo.InvariantCulture)}\n";
        }
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
