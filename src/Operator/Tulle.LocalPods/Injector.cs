using Tulle.Base.Documents;
using Tulle.Resources;

namespace Tulle.LocalPods;

/// <summary>What the injector made of a pod: the init step, the proxy as a native sidecar, and the labels of the mesh.</summary>
public sealed record InjectedPod(bool HasProxy, bool IsGateway, IReadOnlyList<string> InitFlags, IReadOnlyDictionary<string, string> Labels, Node Spec);

/// <summary>
/// Sidecar injection for local pods: the decision by labels and annotations as Istio's webhook makes it, and the pod as native sidecars have it
/// (istio-init, then istio-proxy with restartPolicy Always, then the user's init containers).
/// </summary>
public static class Injector
{
    public static InjectedPod Inject(PodTemplateResource template, bool namespaceEnabled)
    {
        var labels = new Dictionary<string, string>(template.Labels, StringComparer.Ordinal);
        var gateway = template.Annotations.TryGetValue("inject.istio.io/templates", out var names) && names.Split(',').Contains("gateway");
        var wanted = gateway || (labels.TryGetValue("sidecar.istio.io/inject", out var label) ? label == "true" : namespaceEnabled);
        if (!wanted || template.Spec["hostNetwork"]?.AsBool == true)
            return new InjectedPod(false, false, [], labels, template.Spec);
        if (!gateway)
            labels["security.istio.io/tlsMode"] = "istio";
        labels.TryAdd("service.istio.io/canonical-name", labels.TryGetValue("app.kubernetes.io/name", out var name) ? name : labels.GetValueOrDefault("app", ""));
        labels.TryAdd("service.istio.io/canonical-revision", labels.TryGetValue("app.kubernetes.io/version", out var version) ? version : labels.GetValueOrDefault("version", "latest"));
        var flags = gateway ? [] : InitFlags(template.Annotations);
        var containers = new List<Node>(template.Spec["initContainers"]?.Items ?? []);
        containers.Insert(0, Node.Map(("name", "istio-proxy"), ("image", "tulle-proxy"), ("restartPolicy", "Always")));
        if (flags.Count > 0)
            containers.Insert(0, Node.Map(("name", "istio-init"), ("image", "tulle-init"), ("args", Node.List(flags.Select(Node.FromString).ToList()))));
        var applications = (template.Spec["containers"]?.Items ?? []).Where(c => c["name"]?.AsText != "istio-proxy").ToList();
        var spec = template.Spec.With("initContainers", Node.List(containers)).With("containers", Node.List(applications));
        return new InjectedPod(true, gateway, flags, labels, spec);
    }

    private static List<string> InitFlags(IReadOnlyDictionary<string, string> annotations)
    {
        string Of(string name, string otherwise) => annotations.TryGetValue($"traffic.sidecar.istio.io/{name}", out var value) ? value : otherwise;
        var exclude = Of("excludeInboundPorts", "");
        var mode = annotations.GetValueOrDefault("sidecar.istio.io/interceptionMode", "REDIRECT");
        return
        [
            "-p", "15001", "-z", "15006", "-u", "1337", "-m", mode,
            "-i", Of("includeOutboundIPRanges", "*"), "-x", Of("excludeOutboundIPRanges", ""),
            "-b", Of("includeInboundPorts", "*"), "-d", exclude.Length > 0 ? $"15090,15021,15020,{exclude}" : "15090,15021,15020",
            "-q", Of("includeOutboundPorts", ""), "-o", Of("excludeOutboundPorts", ""),
        ];
    }
}
