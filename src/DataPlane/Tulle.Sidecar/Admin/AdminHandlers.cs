using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Native;
using Tulle.Proxy;

namespace Tulle.Sidecar;

/// <summary>What the admin port answers; paths, parameters and forms are Envoy's.</summary>
internal sealed class AdminHandlers(ProxyHost host)
{
    public async Task<AdminReply> HandleAsync(string method, string target)
    {
        var question = target.IndexOf('?');
        var path = question < 0 ? target : target[..question];
        var query = ParseQuery(question < 0 ? "" : target[(question + 1)..]);
        switch (path)
        {
            case "/":
            case "/help":
                return new AdminReply(200, Help);
            case "/ready":
                var state = State;
                return new AdminReply(state == "LIVE" ? 200 : 503, state + "\n");
            case "/server_info":
                return AdminReply.Json(ServerInfo());
            case "/clusters":
                return await ClustersAsync(query);
            case "/listeners":
                return Listeners(query);
            case "/stats":
                return await StatsViews.StatsAsync(host, query);
            case "/stats/prometheus":
                return await StatsViews.PrometheusAsync(host);
            case "/config_dump":
                return AdminReply.Json(await host.AskAsync(() => ConfigDump.Make(host, query)));
            case "/certs":
                return AdminReply.Json(await host.AskAsync(() => ConfigDump.Certificates(host)));
            case "/memory":
                return AdminReply.Json(Node.Map(("allocated", GC.GetTotalMemory(false).ToString(System.Globalization.CultureInfo.InvariantCulture)), ("heap_size", Environment.WorkingSet.ToString(System.Globalization.CultureInfo.InvariantCulture))));
        }
        // What changes something must not be reachable by a link: a page in a browser on this machine can send GET anywhere.
        if (method != "POST" && path is "/logging" or "/reset_counters" or "/quitquitquit" or "/drain_listeners" or "/healthcheck/fail" or "/healthcheck/ok" or "/reopen_logs")
            return new AdminReply(405, $"Method {method} not allowed, POST required.\n");
        return await ChangeAsync(path, query);
    }

    private async Task<AdminReply> ChangeAsync(string path, Dictionary<string, string> query)
    {
        switch (path)
        {
            case "/logging":
                if (query.TryGetValue("level", out var level) && !Log.TrySetLevel(level))
                    return new AdminReply(400, $"level {level} is not one of trace, debug, info, warning, error, critical, off\n");
                return new AdminReply(200, $"active loggers:\n  all: {Log.Level}\n");
            case "/reset_counters":
                foreach (var stat in host.Shared.Stats.All)
                {
                    if (stat.Kind == StatKind.Counter)
                        stat.Reset();
                }
                return new AdminReply(200, "OK\n");
            case "/quitquitquit":
                host.Exit.TrySetResult(0);
                return new AdminReply(200, "OK\n");
            case "/drain_listeners":
                var graceful = query.ContainsKey("graceful");
                if (query.ContainsKey("skip_exit") && !graceful)
                    return new AdminReply(400, "skip_exit requires graceful\n");
                await host.AskAsync(() =>
                {
                    host.DrainListeners(query.ContainsKey("inboundonly"), graceful, query.ContainsKey("skip_exit"));
                    return true;
                });
                await InForceAsync();
                return new AdminReply(200, "OK\n");
            case "/reopen_logs":
                host.Shared.Logs.ReopenAll();
                return new AdminReply(200, "OK\n");
            case "/healthcheck/fail":
            case "/healthcheck/ok":
                await host.AskAsync(() =>
                {
                    host.FailHealth(path == "/healthcheck/fail");
                    return true;
                });
                await InForceAsync();
                return new AdminReply(200, "OK\n");
        }
        return new AdminReply(404, $"invalid path {path}. Try /help for the list.\n");
    }

    /// <summary>What was posted to the loops before is done: OK means that the next answer shows it.</summary>
    private async Task InForceAsync() => await host.AskLoopsAsync(static _ => true);

    private string State => host.IsHealthFailed ? "DRAINING" : host.IsLive ? "LIVE" : "INITIALIZING";

    private static Dictionary<string, string> ParseQuery(string text)
    {
        var result = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var pair in text.Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            var equal = pair.IndexOf('=');
            result[Uri.UnescapeDataString(equal < 0 ? pair : pair[..equal])] = equal < 0 ? "" : Uri.UnescapeDataString(pair[(equal + 1)..]);
        }
        return result;
    }

    private Node ServerInfo()
    {
        var uptime = Durations.Format(Math.Floor((DateTimeOffset.UtcNow - host.Started).TotalSeconds) * 1000);
        return Node.Map(
            ("version", $"tulle/{ProxyVersion.Text}/Clean/RELEASE/{TlsLibrary.ShortName}"),
            ("state", State),
            ("hot_restart_version", "disabled"),
            ("command_line_options", Node.Map(("concurrency", host.Workers.Count), ("config_path", host.Options.ConfigPath), ("log_level", host.Options.LogLevel),
                ("drain_time", Durations.Format(host.Options.DrainTimeMs)), ("service_node", host.Options.ServiceNode), ("mode", "Serve"))),
            ("node", host.Store.Bootstrap.Node),
            ("uptime_current_epoch", uptime),
            ("uptime_all_epochs", uptime));
    }

    private async Task<AdminReply> ClustersAsync(Dictionary<string, string> query)
    {
        var perLoop = await host.AskLoopsAsync(ClusterViews.Collect);
        var merged = ClusterViews.Merge(perLoop);
        return query.GetValueOrDefault("format") == "json" ? AdminReply.Json(ClusterViews.Json(merged)) : new AdminReply(200, ClusterViews.Text(merged));
    }

    private AdminReply Listeners(Dictionary<string, string> query)
    {
        var listeners = host.Store.Current.Listeners;
        if (query.GetValueOrDefault("format") != "json")
            return new AdminReply(200, string.Concat(listeners.Select(l => $"{l.Name}::{l.Address}\n")));
        return AdminReply.Json(Node.Map(("listener_statuses", Node.List(listeners.Select(l => Node.Map(("name", l.Name), ("local_address", SocketAddress(l.Address)))).ToList()))));
    }

    public static Node SocketAddress(Address address) => address.Kind == AddressKind.Pipe
        ? Node.Map(("pipe", Node.Map(("path", address.Path))))
        : Node.Map(("socket_address", Node.Map(("address", address.IpText()), ("port_value", address.Port))));

    private const string Help = """
        admin commands are:
          /certs: certificates in use
          /clusters: upstream cluster status (?format=json)
          /config_dump: what is configured (?resource=, ?mask=, ?name_regex=)
          /drain_listeners (POST): stop accepting (?inboundonly; ?graceful: after the drain time, ?skip_exit: never)
          /healthcheck/fail (POST): not ready, answers ask clients to leave, until /healthcheck/ok (POST)
          /listeners: listener addresses (?format=json)
          /logging (POST): show or set the log level (?level=debug)
          /memory: memory use
          /quitquitquit (POST): end the process
          /ready: LIVE when configuration is complete
          /reopen_logs (POST): open access logs again
          /reset_counters (POST): all counters to zero
          /server_info: version, state, options, node
          /stats: counters and gauges (?filter=, ?usedonly, ?type=, ?format=json|prometheus)
          /stats/prometheus: the same for Prometheus, with Istio's metrics

        """;
}
