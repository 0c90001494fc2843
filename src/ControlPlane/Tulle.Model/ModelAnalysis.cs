using Tulle.Base.Documents;
using Tulle.Resources;

namespace Tulle.Model;

/// <summary>References that lead nowhere and rules that contradict each other, each with its place and what to do.</summary>
public static class ModelAnalysis
{
    public static void Run(MeshModel model, Diagnostics diagnostics)
    {
        foreach (var rule in model.Resources.VirtualServices)
            CheckRule(model, rule, diagnostics);
        CheckConflicts(model, diagnostics);
        AccessPolicies.Tell(model, diagnostics);
        foreach (var rule in model.Resources.DestinationRules)
        {
            if (!rule.Host.Contains('*') && model.FindDestination(rule.Host, rule.Meta.Namespace) is null)
                diagnostics.Warn(rule.Meta.Position, rule.Meta.Subject, "spec.host", $"host {rule.Host} is no known service; add it or mend the name");
        }
        foreach (var gateway in model.Resources.Gateways)
        {
            if (gateway.Selector.Count > 0 && !model.Workloads.Any(w => w.Matches(gateway.Selector)) && !model.Resources.Workloads.Any(w => gateway.Selector.All(s => w.Template.Labels.TryGetValue(s.Key, out var v) && v == s.Value)))
                diagnostics.Warn(gateway.Meta.Position, gateway.Meta.Subject, "spec.selector", $"no workload has the labels {string.Join(",", gateway.Selector.Select(s => $"{s.Key}={s.Value}"))}");
        }
    }

    private static void CheckRule(MeshModel model, VirtualServiceResource rule, Diagnostics diagnostics)
    {
        foreach (var gateway in rule.Gateways.Where(g => g != "mesh"))
        {
            var slash = gateway.IndexOf('/');
            var (space, name) = slash < 0 ? (rule.Meta.Namespace, gateway) : (gateway[..slash], gateway[(slash + 1)..]);
            if (!model.Resources.Gateways.Exists(g => g.Meta.Name == name && g.Meta.Namespace == space))
                diagnostics.Warn(rule.Meta.Position, rule.Meta.Subject, "spec.gateways", $"gateway {gateway} does not exist; no traffic will take this rule through it");
        }
        foreach (var destination in rule.Http.SelectMany(h => h.Routes).Concat(rule.Tcp.SelectMany(t => t.Routes)).Concat(rule.Tls.SelectMany(t => t.Routes)).Select(r => r.Destination))
        {
            var service = model.FindDestination(destination.Host, rule.Meta.Namespace);
            if (service is null)
            {
                diagnostics.Warn(destination.Position, rule.Meta.Subject, "destination.host", $"host {destination.Host} is no known service; requests that take this route are answered 503");
                continue;
            }
            if (destination.Subset.Length == 0)
                continue;
            var policy = model.RuleFor(service.Host, service.Namespace, rule.Meta.Namespace);
            if (policy is null || !policy.Subsets.Any(s => s.Name == destination.Subset))
                diagnostics.Warn(destination.Position, rule.Meta.Subject, "destination.subset", $"subset {destination.Subset} of {destination.Host} is in no DestinationRule; requests that take this route are answered 503");
        }
    }

    /// <summary>Two sidecar rules for one host: the oldest is used, which is rarely meant (IST0109).</summary>
    private static void CheckConflicts(MeshModel model, Diagnostics diagnostics)
    {
        var seen = new Dictionary<string, VirtualServiceResource>(StringComparer.Ordinal);
        foreach (var rule in model.Resources.VirtualServices.Where(v => v.Gateways.Contains("mesh")).OrderBy(v => v.Meta.Order))
        {
            foreach (var host in rule.Hosts)
            {
                var full = model.ResolveHost(host, rule.Meta.Namespace);
                if (seen.TryGetValue(full, out var first) && !ReferenceEquals(first, rule))
                    diagnostics.Warn(rule.Meta.Position, rule.Meta.Subject, "spec.hosts", $"host {full} has a rule already ({first.Meta.Subject} at {first.Meta.Position}); sidecars use the older one, merge them");
                else
                    seen[full] = rule;
            }
        }
    }
}
