using Tulle.Base.Documents;

namespace Tulle.Translate;

/// <summary>
/// What stands in the place of everything behind a proxy that a policy closes: 403 for requests, as the RBAC filter would answer, and nowhere for bytes.
/// Every proxy can do both.
/// </summary>
internal static class Closed
{
    /// <summary>A cluster without an endpoint.</summary>
    public const string Cluster = "BlackHoleCluster";

    public static Node Table(string name) => Node.Map(("name", name), ("virtual_hosts", Node.List(Host)), ("validate_clusters", false));

    private static Node Host { get; } = Node.Map(("name", "closed"), ("domains", Shapes.Strings(["*"])), ("routes", Node.List(Node.Map(
        ("name", "closed"),
        ("match", Node.Map(("prefix", "/"))),
        ("direct_response", Node.Map(("status", 403), ("body", Node.Map(("inline_string", "RBAC: access denied")))))))));
}
