using Tulle.Base.Documents;

namespace Tulle.Cli;

/// <summary>What a proxy runs, with istioctl's columns.</summary>
internal static class ProxyConfigCommand
{
    public const string Help = """
        tulle proxy-config: what a sidecar or gateway of the local mesh was given.

        Usage: tulle proxy-config {listener|route|cluster|endpoint|secret|all} POD[.NAMESPACE] [-o short|json|yaml] [--state DIR]

        Example:
          tulle proxy-config cluster web-v1
          tulle proxy-config route istio-ingressgateway.istio-system -o json
        """;

    public static async Task<int> RunAsync(Arguments arguments)
    {
        if (arguments.Words.Count != 2)
            throw new UsageException("two words are expected: tulle proxy-config {listener|route|cluster|endpoint|secret|all} POD");
        var pod = MeshIndex.FindPod(MeshIndex.Read(arguments.Text("--state", "/run/tulle")), arguments.Words[1]);
        var format = arguments.Text("-o");
        switch (arguments.Words[0])
        {
            case "listener" or "listeners" or "l":
                Listeners(await DumpAsync(pod), format);
                break;
            case "route" or "routes" or "r":
                Routes(await DumpAsync(pod), format);
                break;
            case "cluster" or "clusters" or "c":
                Clusters(await DumpAsync(pod), format);
                break;
            case "endpoint" or "endpoints" or "ep":
                Endpoints(NodeJson.Parse(await MeshIndex.AdminAsync(pod, "/clusters?format=json")), format);
                break;
            case "secret" or "secrets" or "s":
                Secrets(await DumpAsync(pod), NodeJson.Parse(await MeshIndex.AdminAsync(pod, "/certs")), format);
                break;
            case "all":
                Console.WriteLine(format == "yaml" ? NodeYaml.Write(await DumpAsync(pod)) : NodeJson.Write(await DumpAsync(pod), indented: true));
                break;
            default:
                throw new UsageException($"{arguments.Words[0]} is not one of listener, route, cluster, endpoint, secret, all");
        }
        return 0;
    }

    private static async Task<Node> DumpAsync(Node pod) => NodeJson.Parse(await MeshIndex.AdminAsync(pod, "/config_dump"));

    private static IEnumerable<Node> Section(Node dump, string type) => dump["configs"]?.Items.Where(c => c["@type"]?.AsText.EndsWith(type, StringComparison.Ordinal) == true) ?? [];

    private static void Clusters(Node dump, string format)
    {
        var clusters = Section(dump, "ClustersConfigDump").SelectMany(d => (d["static_clusters"]?.Items ?? []).Concat(d["dynamic_active_clusters"]?.Items ?? [])).Select(c => c["cluster"]!).ToList();
        var rows = clusters.Select(c =>
        {
            var parts = (c["name"]?.AsText ?? "").Split('|');
            var rule = c.At("metadata", "filter_metadata", "istio", "config")?.AsText.Split('/') is { Length: > 2 } path ? $"{path[^1]}.{path[^3]}" : "";
            return parts.Length == 4
                ? new[] { parts[3], parts[1], parts[2].Length > 0 ? parts[2] : "-", parts[0], c["type"]?.AsText ?? "STATIC", rule }
                : [c["name"]?.AsText ?? "", "-", "-", "-", c["type"]?.AsText ?? "STATIC", rule];
        }).OrderBy(r => r[0], StringComparer.Ordinal).ToList();
        Table.Print(format, ["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"], rows, Node.List(clusters));
    }

    private static void Listeners(Node dump, string format)
    {
        var listeners = Section(dump, "ListenersConfigDump").SelectMany(d => (d["static_listeners"]?.Items ?? []).Select(l => l["listener"]!)
            .Concat((d["dynamic_listeners"]?.Items ?? []).Select(l => l.At("active_state", "listener")).OfType<Node>())).ToList();
        var rows = new List<string[]>();
        foreach (var listener in listeners)
        {
            var address = listener.At("address", "socket_address", "address")?.AsText ?? "";
            var port = listener.At("address", "socket_address", "port_value")?.AsText ?? "";
            foreach (var chain in (listener["filter_chains"]?.Items ?? []).Concat(listener["default_filter_chain"] is { } last ? [last] : []))
                rows.Add([address, port, Match(chain["filter_chain_match"]), Destination(chain)]);
        }
        Table.Print(format, ["ADDRESSES", "PORT", "MATCH", "DESTINATION"], rows.OrderBy(r => int.TryParse(r[1], out var p) ? p : 0).ToList(), Node.List(listeners));
    }

    private static string Match(Node? match)
    {
        if (match is null || match.Fields.Count == 0)
            return "ALL";
        var parts = new List<string>();
        if (match["server_names"] is { } names)
            parts.Add($"SNI: {string.Join(",", names.Items.Select(n => n.AsText))}");
        if (match["transport_protocol"] is { } transport)
            parts.Add($"Trans: {transport.AsText}");
        if (match["application_protocols"] is { } protocols)
            parts.Add($"App: {string.Join(",", protocols.Items.Select(n => n.AsText))}");
        if (match["destination_port"] is { } port)
            parts.Add($"Addr: *:{port.AsText}");
        return string.Join("; ", parts);
    }

    private static string Destination(Node chain)
    {
        foreach (var filter in chain["filters"]?.Items ?? [])
        {
            var config = filter["typed_config"];
            if (config?["rds"]?["route_config_name"] is { } route)
                return $"Route: {route.AsText}";
            if (config?["route_config"] is { } inline)
                return $"Inline Route: {inline["name"]?.AsText}";
            if (config?["cluster"] is { } cluster)
                return $"Cluster: {cluster.AsText}";
        }
        return "";
    }

    private static void Routes(Node dump, string format)
    {
        var tables = Section(dump, "RoutesConfigDump").SelectMany(d => d["dynamic_route_configs"]?.Items ?? []).Select(r => r["route_config"]!).ToList();
        var rows = new List<string[]>();
        foreach (var table in tables)
        {
            foreach (var host in table["virtual_hosts"]?.Items ?? [])
            {
                foreach (var route in host["routes"]?.Items ?? [])
                {
                    var domains = host["domains"]?.Items.Select(d => d.AsText).ToList() ?? [];
                    var match = route["match"];
                    var path = match?["prefix"] is { } prefix ? prefix.AsText + "*" : match?["path"]?.AsText ?? match?.At("safe_regex", "regex")?.AsText ?? "";
                    var rule = route.At("metadata", "filter_metadata", "istio", "config")?.AsText.Split('/') is { Length: > 2 } parts ? $"{parts[^1]}.{parts[^3]}" : "";
                    rows.Add([table["name"]?.AsText ?? "", host["name"]?.AsText ?? "", domains.Count > 2 ? $"{domains[0]}, {domains[1]} + {domains.Count - 2} more..." : string.Join(", ", domains), path, rule]);
                }
            }
        }
        Table.Print(format, ["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"], rows, Node.List(tables));
    }

    private static void Endpoints(Node clusters, string format)
    {
        var rows = new List<string[]>();
        foreach (var cluster in clusters["cluster_statuses"]?.Items ?? [])
        {
            foreach (var host in cluster["host_statuses"]?.Items ?? [])
            {
                var address = host.At("address", "socket_address");
                var endpoint = address is null ? $"unix://{host.At("address", "pipe", "path")?.AsText}" : $"{address["address"]?.AsText}:{address["port_value"]?.AsText}";
                var health = host["health_status"];
                rows.Add([endpoint, health?["eds_health_status"]?.AsText ?? "HEALTHY", health?["failed_outlier_check"] is null ? "OK" : "FAILED", cluster["name"]?.AsText ?? ""]);
            }
        }
        Table.Print(format, ["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"], rows.OrderBy(r => r[0], StringComparer.Ordinal).ToList(), clusters["cluster_statuses"] ?? Node.List());
    }

    private static void Secrets(Node dump, Node certificates, string format)
    {
        var secrets = Section(dump, "SecretsConfigDump").SelectMany(d => d["dynamic_active_secrets"]?.Items ?? []).ToList();
        var rows = new List<string[]>();
        var described = certificates["certificates"]?.Items ?? [];
        for (var i = 0; i < secrets.Count; i++)
        {
            var isTrust = secrets[i].At("secret", "validation_context") is not null;
            var details = i < described.Count ? described[i][isTrust ? "ca_cert" : "cert_chain"]?.Items is [var first, ..] ? first : null : null;
            rows.Add([secrets[i]["name"]?.AsText ?? "", isTrust ? "CA" : "Cert Chain", "ACTIVE", "true", details?["serial_number"]?.AsText ?? "", details?["expiration_time"]?.AsText ?? "", details?["valid_from"]?.AsText ?? ""]);
        }
        Table.Print(format, ["RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"], rows, Node.List(secrets));
    }
}
