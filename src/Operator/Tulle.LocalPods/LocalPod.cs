using System.Diagnostics;
using Tulle.Base.Documents;

namespace Tulle.LocalPods;

public enum PodPhase : byte
{
    Pending,
    Starting,
    Ready,
    NotReady,
    Terminating,
    Failed,
}

/// <summary>A pod on this machine.</summary>
public sealed class LocalPod
{
    public required string Name { get; init; }

    public required string Namespace { get; init; }

    public required string OwnerName { get; init; }

    public required string ServiceAccount { get; init; }

    public required string Address { get; init; }

    public required string NetworkNamespace { get; init; }

    /// <summary>Number of its network namespace: by it the kernel's word on a caller tells which pod calls.</summary>
    public ulong NetworkNamespaceId { get; set; }

    public required InjectedPod Injected { get; init; }

    public required string Folder { get; init; }

    /// <summary>Hash of the template: a changed template replaces the pod.</summary>
    public required string TemplateHash { get; init; }

    public PodPhase Phase { get; set; }

    /// <summary>Milliseconds from its first step until it was ready; 0 before. Pods that wait for their turn are not started yet.</summary>
    public long ReadyMs { get; set; }

    public string Message { get; set; } = "";

    internal Process? Proxy { get; set; }

    internal List<Process> Containers { get; } = [];

    /// <summary>Why a container ended by itself, when it did.</summary>
    internal int Restarts { get; set; }

    public string Identity => $"spiffe://cluster.local/ns/{Namespace}/sa/{ServiceAccount}";

    /// <summary>The pod as the control plane reads it.</summary>
    internal Node Manifest(bool isReady) => Node.Map(
        ("apiVersion", "v1"), ("kind", "Pod"),
        ("metadata", Node.Map(("name", Name), ("namespace", Namespace),
            ("labels", Node.Map(Injected.Labels.Select(l => new KeyValuePair<string, Node>(l.Key, l.Value)).ToList())),
            ("annotations", Node.Map(("inject.istio.io/templates", Injected.IsGateway ? "gateway" : null),
                ("tulle.dev/network-namespace", NetworkNamespaceId > 0 ? NetworkNamespaceId.ToString(System.Globalization.CultureInfo.InvariantCulture) : null))),
            ("ownerReferences", Node.List(Node.Map(("kind", "Deployment"), ("name", OwnerName)))))),
        ("spec", Injected.Spec.With("serviceAccountName", ServiceAccount)),
        ("status", Node.Map(("phase", "Running"), ("podIP", Address), ("conditions", Node.List(Node.Map(("type", "Ready"), ("status", isReady ? "True" : "False")))))));
}
