using Tulle.Base.Documents;
using Tulle.Resources;

namespace Tulle.Model;

/// <summary>
/// AuthorizationPolicies and RequestAuthentications, whose conditions are not evaluated yet: what one of them selects is closed, so that nobody gets through
/// whom it might have kept out.
/// </summary>
public static class AccessPolicies
{
    private const string DryRun = "istio.io/dry-run";

    private const string GatewayName = "gateway.networking.k8s.io/gateway-name";

    /// <summary>The policies that close a workload; empty when it is open.</summary>
    public static IReadOnlyList<AccessPolicyResource> ThatClose(MeshModel model, string space, IReadOnlyDictionary<string, string> labels)
    {
        if (model.Settings.AllowUnenforcedPolicies)
            return [];
        var selecting = model.Resources.AccessPolicies.Where(p => Selects(p, model.Settings.RootNamespace, space, labels)).ToList();
        // One rule without conditions lets everybody in as far as ALLOW goes: the others add nothing to it.
        var isAllowed = selecting.Exists(p => p is { Action: "ALLOW", AllowsAll: true } && IsInForce(p));
        return selecting.Where(p => Closes(p) && !(isAllowed && p.Action == "ALLOW")).ToList();
    }

    /// <summary>Whether a policy can keep anybody out at all.</summary>
    public static bool Closes(AccessPolicyResource policy) => IsInForce(policy) && policy.Action switch
    {
        "AUDIT" => false,
        // Without a rule nothing matches: nobody is allowed, nobody is denied, no token is asked for.
        "ALLOW" => !policy.AllowsAll,
        _ => policy.HasRules,
    };

    private static bool IsInForce(AccessPolicyResource policy) => policy.Meta.Annotation(DryRun) != "true";

    /// <summary>By selector in its namespace, in the root namespace everywhere; or by the gateway that it is attached to.</summary>
    private static bool Selects(AccessPolicyResource policy, string root, string space, IReadOnlyDictionary<string, string> labels)
    {
        if (policy.Targets.Count > 0)
            return policy.Meta.Namespace == space && policy.Targets.Any(t => t.Kind == "Gateway" && labels.TryGetValue(GatewayName, out var name) && name == t.Name);
        return (policy.Meta.Namespace == space || policy.Meta.Namespace == root) && policy.Selector.All(s => labels.TryGetValue(s.Key, out var value) && value == s.Value);
    }

    /// <summary>Says on each policy what becomes of it.</summary>
    public static void Tell(MeshModel model, Diagnostics diagnostics)
    {
        foreach (var policy in model.Resources.AccessPolicies)
        {
            if (model.Settings.AllowUnenforcedPolicies)
                diagnostics.Warn(policy.Meta.Position, policy.Meta.Subject, "spec", "cannot be enforced yet and has NO effect, as --allow-unenforced-policies asks");
            else if (Closes(policy))
                diagnostics.Warn(policy.Meta.Position, policy.Meta.Subject, "spec", $"cannot be enforced yet: {Selected(policy)} is closed to everybody (--allow-unenforced-policies opens it)");
            else
                diagnostics.Warn(policy.Meta.Position, policy.Meta.Subject, "spec", "keeps nobody out by itself, and is not evaluated yet");
        }
    }

    private static string Selected(AccessPolicyResource policy) => policy.Targets.Count > 0 ? string.Join(", ", policy.Targets.Select(t => $"{t.Kind} {t.Name}"))
        : policy.Selector.Count > 0 ? $"every workload with {string.Join(",", policy.Selector.Select(s => $"{s.Key}={s.Value}"))}" : "all that it selects";
}
