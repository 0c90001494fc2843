namespace Tulle.Xds;

/// <summary>Type URLs of the resources that proxies ask for.</summary>
public static class XdsTypes
{
    public const string Prefix = "type.googleapis.com/";
    public const string Listener = Prefix + "envoy.config.listener.v3.Listener";
    public const string Cluster = Prefix + "envoy.config.cluster.v3.Cluster";
    public const string Route = Prefix + "envoy.config.route.v3.RouteConfiguration";
    public const string Endpoint = Prefix + "envoy.config.endpoint.v3.ClusterLoadAssignment";
    public const string Secret = Prefix + "envoy.extensions.transport_sockets.tls.v3.Secret";
    public const string NameTable = Prefix + "istio.networking.nds.v1.NameTable";

    public const string DiscoveryRequest = "envoy.service.discovery.v3.DiscoveryRequest";
    public const string DiscoveryResponse = "envoy.service.discovery.v3.DiscoveryResponse";
    public const string DeltaDiscoveryRequest = "envoy.service.discovery.v3.DeltaDiscoveryRequest";
    public const string DeltaDiscoveryResponse = "envoy.service.discovery.v3.DeltaDiscoveryResponse";

    /// <summary>
    /// Order of additions, make before break: clusters, then endpoints, then listeners, then routes, then secrets (xds_protocol.rst, "Eventual consistency
    /// considerations"). Both ends use it; removals go the other way.
    /// </summary>
    public static readonly IReadOnlyList<string> PushOrder = [Cluster, Endpoint, Listener, Route, Secret, NameTable];

    /// <summary>Whether a text can be a type URL at all: the prefix and a message's full name. Which messages are served is another question.</summary>
    public static bool IsTypeUrl(string type)
    {
        if (type.Length <= Prefix.Length || type.Length > 300 || !type.StartsWith(Prefix, StringComparison.Ordinal))
            return false;
        foreach (var c in type.AsSpan(Prefix.Length))
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('.' or '_'))
                return false;
        }
        return true;
    }

    /// <summary>The field that names a resource of that type.</summary>
    public static string NameField(string type) => type == Endpoint ? "cluster_name" : "name";

    public static string Short(string type) => type switch
    {
        Listener => "LDS",
        Cluster => "CDS",
        Route => "RDS",
        Endpoint => "EDS",
        Secret => "SDS",
        NameTable => "NDS",
        _ => type[(type.LastIndexOf('.') + 1)..],
    };

    /// <summary>Types for which an empty subscription means everything (xds_protocol.rst, wildcard).</summary>
    public static bool IsWildcardType(string type) => type is Listener or Cluster;
}
