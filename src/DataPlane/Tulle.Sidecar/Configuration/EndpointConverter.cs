using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>ClusterLoadAssignment to endpoints.</summary>
internal static class EndpointConverter
{
    /// <summary>Endpoints whose address is a name go to <paramref name="names"/> (DNS clusters).</summary>
    public static LoadAssignmentConfig Convert(FieldReader assignment, ConversionContext context, List<DnsTargetConfig>? names = null)
    {
        var endpoints = new List<EndpointConfig>();
        var overprovisioning = 1.4;
        if (assignment.Child("policy") is { } policy)
        {
            overprovisioning = (policy.Integer("overprovisioning_factor", 1, uint.MaxValue) ?? 140) / 100.0;
            policy.Done();
        }
        var index = 0;
        foreach (var locality in assignment.Children("endpoints"))
            AddLocality(locality, index++, context, endpoints, names);
        assignment.Done();
        return new LoadAssignmentConfig { Endpoints = endpoints, Overprovisioning = overprovisioning };
    }

    private static void AddLocality(FieldReader group, int index, ConversionContext context, List<EndpointConfig> endpoints, List<DnsTargetConfig>? names)
    {
        var place = "";
        if (group.Child("locality") is { } locality)
        {
            place = string.Join('/', new[] { locality.Text("region"), locality.Text("zone"), locality.Text("sub_zone") }.Where(p => !string.IsNullOrEmpty(p)));
            locality.Done();
        }
        var priority = (int)group.IntegerOr("priority", 0, 0, 128);
        var share = group.IntegerOr("load_balancing_weight", 0, 0, uint.MaxValue);
        foreach (var entry in group.Children("lb_endpoints"))
        {
            var weight = (int)Math.Clamp(entry.Integer("load_balancing_weight", 1, uint.MaxValue) ?? 1, 1, int.MaxValue);
            var health = entry.Choice("health_status", "UNKNOWN", "UNKNOWN", "HEALTHY", "UNHEALTHY", "DRAINING", "TIMEOUT", "DEGRADED") switch
            {
                "HEALTHY" => EndpointHealth.Healthy,
                "UNHEALTHY" => EndpointHealth.Unhealthy,
                "DRAINING" => EndpointHealth.Draining,
                "TIMEOUT" => EndpointHealth.Timeout,
                "DEGRADED" => EndpointHealth.Degraded,
                _ => EndpointHealth.Unknown,
            };
            var facts = Facts(entry.Child("metadata"));
            var endpoint = entry.Child("endpoint");
            entry.Done();
            if (endpoint is null)
                continue;
            var check = endpoint.Child("health_check_config");
            var hostname = endpoint.Text("hostname", "");
            var holder = endpoint.Child("address");
            endpoint.Done();
            if (names is not null && holder?.Node["socket_address"] is { } socket && !Address.TryParseIp(socket["address"]?.AsText ?? "", 0, out _))
            {
                var host = socket["address"]?.AsText ?? "";
                var port = (int)(socket["port_value"]?.AsInteger ?? 0);
                var shared = new EndpointConfig
                {
                    Address = default,
                    Hostname = hostname.Length > 0 ? hostname : host,
                    Weight = weight,
                    Health = health,
                    Facts = facts,
                    Locality = place,
                    LocalityIndex = index,
                    LocalityWeight = share,
                    Priority = priority,
                    Check = HealthCheckConverter.Endpoint(check, null, context),
                };
                names.Add(new DnsTargetConfig(host, port, shared) { CheckPort = (int)(check?.IntegerOr("port_value", 0, 0, 65535) ?? 0) });
                continue;
            }
            var address = context.SocketAddress(holder);
            var checks = HealthCheckConverter.Endpoint(check, address, context);
            if (address is not null)
            {
                endpoints.Add(new EndpointConfig
                {
                    Address = address.Value,
                    Hostname = hostname,
                    Weight = weight,
                    Health = health,
                    Facts = facts,
                    Locality = place,
                    LocalityIndex = index,
                    LocalityWeight = share,
                    Priority = priority,
                    Check = checks,
                });
            }
        }
        group.Done();
    }

    private static EndpointFacts Facts(FieldReader? metadata)
    {
        if (metadata is null)
            return EndpointFacts.None;
        var filters = metadata.Raw("filter_metadata");
        metadata.Done();
        return new EndpointFacts
        {
            Subset = (filters?["envoy.lb"]?.Fields ?? []).ToDictionary(f => f.Key, f => BalanceConverter.Value(f.Value), StringComparer.Ordinal),
            IsCanary = filters?["envoy.lb"]?["canary"] is { Kind: NodeKind.Bool, AsBool: true },
            TransportMatch = Strings(filters?["envoy.transport_socket_match"]),
            Workload = Workload(filters?["istio"]?["workload"]?.AsText),
        };
    }

    private static Dictionary<string, string> Strings(Node? node)
    {
        var result = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var field in node?.Fields ?? [])
            result[field.Key] = field.Value.AsText;
        return result;
    }

    private static readonly System.Collections.Concurrent.ConcurrentDictionary<string, WorkloadFacts> s_workloads = new(StringComparer.Ordinal);

    /// <summary>istiod's form: name;namespace;canonical name;canonical revision;cluster. Interned, because metrics compare by reference first.</summary>
    private static WorkloadFacts Workload(string? text) => text is null ? WorkloadFacts.Unknown : s_workloads.GetOrAdd(text, static t =>
    {
        var parts = t.Split(';');
        string At(int i) => i < parts.Length && parts[i].Length > 0 ? parts[i] : "unknown";
        return new WorkloadFacts(At(0), At(1), At(2), At(3) == "unknown" ? "latest" : At(3), At(2), At(3) == "unknown" ? "latest" : At(3), At(4));
    });
}
