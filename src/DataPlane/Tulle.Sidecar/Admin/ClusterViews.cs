using System.Globalization;
using System.Text;
using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Proxy;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>The numbers of one host, summed over loops.</summary>
internal sealed class HostView
{
    public Address Address;
    public string Hostname = "";
    public EndpointHealth Health;
    public bool FailsActiveCheck, IsEjected;
    public int Weight, Priority;
    public string Locality = "";
    public long RequestTotal, RequestSuccess, RequestError, RequestActive, RequestTimeouts, ConnectionTotal, ConnectionActive, ConnectFails;
}

internal sealed record ClusterView(ClusterConfig Config, List<HostView> Hosts);

/// <summary>/clusters in both forms.</summary>
internal static class ClusterViews
{
    public static List<ClusterView> Collect(ProxyWorker worker) => worker.Clusters.Values.Select(c => new ClusterView(c.Config, c.Hosts.Select(h => new HostView
    {
        Address = h.Address,
        Hostname = h.Config.Hostname,
        Health = h.Config.Health,
        FailsActiveCheck = h.Health.FailsActiveCheck,
        IsEjected = h.Health.IsEjected,
        Weight = h.Config.Weight,
        Priority = h.Config.Priority,
        Locality = h.Config.Locality,
        RequestTotal = h.RequestTotal,
        RequestSuccess = h.RequestSuccess,
        RequestError = h.RequestError,
        RequestActive = h.ActiveRequests,
        RequestTimeouts = h.RequestTimeouts,
        ConnectionTotal = h.ConnectionTotal,
        ConnectionActive = h.Connections,
        ConnectFails = h.ConnectFails,
    }).ToList())).ToList();

    public static List<ClusterView> Merge(List<List<ClusterView>> loops)
    {
        var result = new SortedDictionary<string, ClusterView>(StringComparer.Ordinal);
        foreach (var cluster in loops.SelectMany(l => l))
        {
            if (!result.TryGetValue(cluster.Config.Name, out var merged))
            {
                result[cluster.Config.Name] = cluster;
                continue;
            }
            foreach (var host in cluster.Hosts)
            {
                var other = merged.Hosts.Find(h => h.Address == host.Address);
                if (other is null)
                {
                    merged.Hosts.Add(host);
                    continue;
                }
                other.RequestTotal += host.RequestTotal;
                other.RequestSuccess += host.RequestSuccess;
                other.RequestError += host.RequestError;
                other.RequestActive += host.RequestActive;
                other.RequestTimeouts += host.RequestTimeouts;
                other.ConnectionTotal += host.ConnectionTotal;
                other.ConnectionActive += host.ConnectionActive;
                other.ConnectFails += host.ConnectFails;
            }
        }
        return [.. result.Values];
    }

    private static string Status(EndpointHealth health) => health switch
    {
        EndpointHealth.Unhealthy => "UNHEALTHY",
        EndpointHealth.Draining => "DRAINING",
        EndpointHealth.Timeout => "TIMEOUT",
        EndpointHealth.Degraded => "DEGRADED",
        _ => "HEALTHY",
    };

    public static Node Json(List<ClusterView> clusters) => Node.Map(("cluster_statuses", Node.List(clusters.Select(c => Node.Map(
        ("name", c.Config.Name),
        ("added_via_api", c.Config.Discovery == DiscoveryKind.Eds ? Node.Of(true) : null),
        ("observability_name", c.Config.StatName ?? c.Config.Name),
        ("host_statuses", c.Hosts.Count == 0 ? null : Node.List(c.Hosts.Select(HostJson).ToList())))).ToList())));

    private static Node HostJson(HostView host)
    {
        static Node Stat(string name, long value, string? type = null) => Node.Map(
            ("name", name), ("value", value == 0 ? null : value.ToString(CultureInfo.InvariantCulture)), ("type", type));
        return Node.Map(
            ("address", AdminHandlers.SocketAddress(host.Address)),
            ("stats", Node.List(Stat("cx_connect_fail", host.ConnectFails), Stat("cx_total", host.ConnectionTotal), Stat("rq_error", host.RequestError),
                Stat("rq_success", host.RequestSuccess), Stat("rq_timeout", host.RequestTimeouts), Stat("rq_total", host.RequestTotal),
                Stat("cx_active", host.ConnectionActive, "GAUGE"), Stat("rq_active", host.RequestActive, "GAUGE"))),
            ("health_status", Node.Map(
                ("failed_active_health_check", host.FailsActiveCheck ? Node.Of(true) : null),
                ("failed_outlier_check", host.IsEjected ? Node.Of(true) : null),
                ("eds_health_status", Status(host.Health)))),
            ("weight", host.Weight),
            ("hostname", host.Hostname.Length > 0 ? host.Hostname : null),
            ("priority", host.Priority == 0 ? null : Node.Of((long)host.Priority)),
            ("locality", Node.Map()));
    }

    public static string Text(List<ClusterView> clusters)
    {
        var text = new StringBuilder();
        foreach (var (config, hosts) in clusters)
        {
            var name = config.Name;
            text.Append($"{name}::observability_name::{config.StatName ?? name}\n");
            text.Append($"{name}::default_priority::max_connections::{config.Thresholds.ConnectionsMax}\n");
            text.Append($"{name}::default_priority::max_pending_requests::{config.Thresholds.PendingMax}\n");
            text.Append($"{name}::default_priority::max_requests::{config.Thresholds.RequestsMax}\n");
            text.Append($"{name}::default_priority::max_retries::{config.Thresholds.RetriesMax}\n");
            text.Append($"{name}::added_via_api::{(config.Discovery == DiscoveryKind.Eds ? "true" : "false")}\n");
            foreach (var host in hosts)
            {
                var flags = (host.FailsActiveCheck ? "/failed_active_hc" : "") + (host.IsEjected ? "/failed_outlier_check" : "") + (host.Health == EndpointHealth.Unhealthy ? "/failed_eds_health" : "");
                foreach (var (stat, value) in new (string, object)[]
                         {
                             ("cx_active", host.ConnectionActive), ("cx_connect_fail", host.ConnectFails), ("cx_total", host.ConnectionTotal), ("rq_active", host.RequestActive),
                             ("rq_error", host.RequestError), ("rq_success", host.RequestSuccess), ("rq_timeout", host.RequestTimeouts), ("rq_total", host.RequestTotal),
                             ("hostname", host.Hostname), ("health_flags", flags.Length > 0 ? flags : "healthy"), ("weight", host.Weight), ("region", ""), ("zone", ""), ("sub_zone", host.Locality),
                             ("canary", "false"), ("priority", host.Priority), ("success_rate", "-1"), ("local_origin_success_rate", "-1"),
                         })
                {
                    text.Append($"{name}::{host.Address}::{stat}::{value}\n");
                }
            }
        }
        return text.ToString();
    }
}
