using System.Security.Cryptography;
using System.Text;
using Tulle.Base.Documents;
using Tulle.Resources;

namespace Tulle.LocalPods;

/// <summary>A pod that the folder asks for.</summary>
/// <param name="Key">Namespace/name; the name carries the template's hash, so a changed template is another pod.</param>
/// <param name="Owner">Namespace/name of its workload: pods of one owner replace each other.</param>
/// <param name="IsInjected">Whether its namespace asks for sidecars.</param>
internal sealed record PlannedPod(string Key, string Owner, WorkloadResource Workload, string Hash, bool IsInjected)
{
    /// <summary>All workloads that are to run as processes, by key.</summary>
    public static Dictionary<string, PlannedPod> Of(ResourceSet set)
    {
        var result = new Dictionary<string, PlannedPod>(StringComparer.Ordinal);
        var enabled = set.Namespaces.Where(n => n.Meta.Label("istio-injection") == "enabled").Select(n => n.Meta.Name).ToHashSet(StringComparer.Ordinal);
        foreach (var workload in set.Workloads.Where(w => w.Template.Annotations.GetValueOrDefault("tulle.dev/run") == "process"))
        {
            var isInjected = enabled.Contains(workload.Meta.Namespace);
            var template = NodeJson.Write(workload.Template.Spec) + string.Join(';', workload.Template.Labels) + string.Join(';', workload.Template.Annotations) + isInjected;
            var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(template)).AsSpan(0, 4));
            for (var i = 0; i < workload.Replicas; i++)
            {
                var key = $"{workload.Meta.Namespace}/{workload.Meta.Name}-{hash}-{i}";
                result[key] = new PlannedPod(key, $"{workload.Meta.Namespace}/{workload.Meta.Name}", workload, hash, isInjected);
            }
        }
        return result;
    }
}
