using Tulle.Base.Documents;

namespace Tulle.Translate;

/// <summary>What a DestinationRule's traffic policy means in a cluster.</summary>
internal static class TrafficPolicies
{
    /// <summary>
    /// Subset over rule, part by part. Settings of a port inherit nothing: what they leave out is the default (Istio's MergeTrafficPolicy).
    /// </summary>
    public static Node? Effective(Node? rule, Node? subset, int port)
    {
        Node? result = null;
        foreach (var layer in new[] { rule, subset })
        {
            if (layer is null)
                continue;
            result ??= Node.Map();
            foreach (var (name, value) in layer.Fields)
            {
                if (name != "portLevelSettings" && value.Kind != NodeKind.Null)
                    result = result.With(name, value);
            }
            if (PortLevel(layer, port) is { } own)
                result = Node.Map(own.Fields.Where(f => f.Key != "port").ToList());
        }
        return result;
    }

    private static Node? PortLevel(Node? policy, int port) => policy?["portLevelSettings"]?.Items.FirstOrDefault(p => p.At("port", "number")?.AsInteger == port);

    public static string Balance(Node? policy)
    {
        var balancer = policy?["loadBalancer"];
        if (balancer?["consistentHash"] is { } hash)
            return hash["maglev"] is not null ? "MAGLEV" : "RING_HASH";
        return balancer?["simple"]?.AsText switch
        {
            "ROUND_ROBIN" => "ROUND_ROBIN",
            "RANDOM" => "RANDOM",
            "PASSTHROUGH" => "CLUSTER_PROVIDED",
            _ => "LEAST_REQUEST",
        };
    }

    public static string ConnectTimeout(Node? policy) => Duration(policy?.At("connectionPool", "tcp", "connectTimeout")) ?? "10s";

    public static string? IdleTimeout(Node? policy) => Duration(policy?.At("connectionPool", "http", "idleTimeout"));

    public static Node? RequestsPerConnection(Node? policy) => policy?.At("connectionPool", "http", "maxRequestsPerConnection") is { } value && value.AsInteger > 0 ? Node.Of(value.AsInteger) : null;

    public static string? Duration(Node? value) => value is not null && Durations.TryParseMs(value.AsText, out var ms) ? Durations.Format(ms) : null;

    public static Node PanicThreshold(Node? policy) =>
        policy?.At("outlierDetection", "minHealthPercent") is { } percent && percent.AsInteger > 0 ? Node.Map(("value", percent.AsInteger)) : Node.Map();

    public static Node? Outlier(Node? policy)
    {
        if (policy?["outlierDetection"] is not { } outlier)
            return null;
        var server = outlier["consecutive5xxErrors"];
        var gateway = outlier["consecutiveGatewayErrors"];
        return Node.Map(
            ("consecutive_5xx", server is null ? null : Node.Of(server.AsInteger)),
            ("interval", Duration(outlier["interval"])),
            ("base_ejection_time", Duration(outlier["baseEjectionTime"])),
            ("max_ejection_percent", outlier["maxEjectionPercent"] is { } max ? Node.Of(max.AsInteger) : null),
            ("enforcing_consecutive_5xx", server is null ? null : Node.Of(server.AsInteger > 0 ? 100L : 0)),
            ("enforcing_success_rate", 0),
            ("consecutive_gateway_failure", gateway is null ? null : Node.Of(gateway.AsInteger)),
            ("enforcing_consecutive_gateway_failure", gateway is null ? null : Node.Of(gateway.AsInteger > 0 ? 100L : 0)));
    }
}
