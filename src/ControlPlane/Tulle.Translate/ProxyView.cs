using Tulle.Base.Documents;
using Tulle.Model;

namespace Tulle.Translate;

/// <summary>The proxy that configuration is made for, as its node tells.</summary>
public sealed class ProxyView
{
    public required string Id { get; init; }

    public bool IsRouter { get; init; }

    public string Address { get; init; } = "";

    public string PodName { get; init; } = "";

    public string Namespace { get; init; } = "";

    /// <summary>The namespace as the node id has it; empty where it has none (a gRPC program).</summary>
    public string IdNamespace { get; init; } = "";

    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    public string ServiceAccount { get; init; } = "default";

    public string WorkloadName { get; init; } = "";

    public string ClusterId { get; init; } = "Kubernetes";

    public string MeshId { get; init; } = "cluster.local";

    /// <summary>The proxy has istio.stats, istio.alpn and istio.metadata_exchange; a stock Envoy's extension list lacks them.</summary>
    public bool HasIstioFilters { get; init; } = true;

    /// <summary>A gRPC program that is its own proxy.</summary>
    public bool IsProxyless { get; init; }

    /// <summary>Policies that cannot be enforced and close this workload; empty when it is open.</summary>
    public IReadOnlyList<Resources.AccessPolicyResource> ClosedBy { get; init; } = [];

    public bool IsClosed => ClosedBy.Count > 0;

    /// <summary>The pod behind it, when the model knows it.</summary>
    public Workload? Workload { get; init; }

    /// <summary>Reads "sidecar~IP~name.namespace~domain" and the metadata.</summary>
    public static ProxyView? Read(Node node, MeshModel model)
    {
        var id = node["id"]?.AsText ?? "";
        var parts = id.Split('~');
        var metadata = node["metadata"] ?? Node.Map();
        var isProxyless = metadata["GENERATOR"]?.AsText == "grpc" || (node["user_agent_name"]?.AsText ?? "").StartsWith("gRPC", StringComparison.OrdinalIgnoreCase);
        // A gRPC program need not name itself as a sidecar does.
        if (parts.Length != 4 && isProxyless)
            return new ProxyView { Id = id, Namespace = metadata["NAMESPACE"]?.AsText ?? "default", IsProxyless = true };
        if (parts.Length != 4)
            return null;
        var dot = parts[2].LastIndexOf('.');
        var space = metadata["NAMESPACE"]?.AsText ?? (dot > 0 ? parts[2][(dot + 1)..] : "default");
        var workload = model.FindWorkload(parts[1]);
        var labels = metadata["LABELS"]?.Fields.ToDictionary(f => f.Key, f => f.Value.AsText, StringComparer.Ordinal)
            ?? workload?.Labels.ToDictionary(StringComparer.Ordinal) ?? [];
        var extensions = node["extensions"]?.Items;
        return new ProxyView
        {
            Id = id,
            IsRouter = parts[0] == "router",
            Address = parts[1],
            PodName = dot > 0 ? parts[2][..dot] : parts[2],
            Namespace = space,
            IdNamespace = dot > 0 ? parts[2][(dot + 1)..] : "",
            Labels = labels,
            ServiceAccount = metadata["SERVICE_ACCOUNT"]?.AsText ?? workload?.ServiceAccount ?? "default",
            WorkloadName = metadata["WORKLOAD_NAME"]?.AsText ?? workload?.OwnerName ?? "",
            ClusterId = metadata["CLUSTER_ID"]?.AsText ?? model.Settings.ClusterId,
            MeshId = metadata["MESH_ID"]?.AsText ?? model.Settings.TrustDomain,
            HasIstioFilters = extensions is null || extensions.Count == 0 || extensions.Any(e => e["name"]?.AsText == "istio.stats"),
            // What the pod is known as counts as much as what it says of itself: a proxy does not open itself by leaving a label out.
            ClosedBy = [.. AccessPolicies.ThatClose(model, space, labels).Union(workload is null ? [] : AccessPolicies.ThatClose(model, workload.Namespace, workload.Labels))],
            Workload = workload,
            IsProxyless = isProxyless,
        };
    }

    public string Label(string name) => Labels.TryGetValue(name, out var value) ? value : "";

    public string CanonicalName => Label("service.istio.io/canonical-name") is { Length: > 0 } own ? own : Label("app") is { Length: > 0 } app && !IsRouter ? app : WorkloadName.Length > 0 && !IsRouter ? WorkloadName : "unknown";

    public string CanonicalRevision => Label("service.istio.io/canonical-revision") is { Length: > 0 } own ? own : Label("version") is { Length: > 0 } version ? version : "latest";
}
