using Tulle.Xds;

namespace Tulle.Control;

/// <summary>
/// The order of one change on a stream. Additions: clusters, endpoints, and when those are acknowledged listeners and routes. Removals the other way:
/// a cluster is taken away only when the routes and listeners that named it were replaced and acknowledged.
/// </summary>
internal static class PushOrder
{
    /// <summary>What a type must wait for before its new content is sent.</summary>
    public static IReadOnlyList<string> Before(string type) => type is XdsTypes.Listener or XdsTypes.Route ? [XdsTypes.Cluster, XdsTypes.Endpoint] : [];

    /// <summary>Types whose removals wait, in the order in which they are let go, each with the types that must be settled by then.</summary>
    public static readonly IReadOnlyList<(string Type, IReadOnlyList<string> After)> Removals =
    [
        (XdsTypes.Route, [XdsTypes.Listener]),
        (XdsTypes.Cluster, [XdsTypes.Listener, XdsTypes.Route]),
        (XdsTypes.Endpoint, [XdsTypes.Cluster, XdsTypes.Listener, XdsTypes.Route]),
        (XdsTypes.Secret, [XdsTypes.Cluster, XdsTypes.Listener]),
    ];

    public static bool RemovalWaits(string type) => type is XdsTypes.Route or XdsTypes.Cluster or XdsTypes.Endpoint or XdsTypes.Secret;
}
