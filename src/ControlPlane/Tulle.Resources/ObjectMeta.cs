using Tulle.Base.Documents;

namespace Tulle.Resources;

/// <summary>Name, namespace, labels and where the object was written.</summary>
public sealed record ObjectMeta(string Kind, string Name, string Namespace, IReadOnlyDictionary<string, string> Labels, IReadOnlyDictionary<string, string> Annotations, SourcePosition Position, long Order)
{
    /// <summary>How messages call the object: Kind namespace/name.</summary>
    public string Subject => Namespace.Length > 0 ? $"{Kind} {Namespace}/{Name}" : $"{Kind} {Name}";

    public string Label(string name) => Labels.TryGetValue(name, out var value) ? value : "";

    public string Annotation(string name) => Annotations.TryGetValue(name, out var value) ? value : "";
}

/// <summary>Every object that was read, by kind. Objects with errors are not in it: nothing is half-applied.</summary>
public sealed class ResourceSet
{
    public List<NamespaceResource> Namespaces { get; } = [];

    public List<ServiceAccountResource> ServiceAccounts { get; } = [];

    public List<ServiceResource> Services { get; } = [];

    public List<WorkloadResource> Workloads { get; } = [];

    public List<PodResource> Pods { get; } = [];

    public List<EndpointSliceResource> EndpointSlices { get; } = [];

    public List<SecretResource> Secrets { get; } = [];

    public List<VirtualServiceResource> VirtualServices { get; } = [];

    public List<DestinationRuleResource> DestinationRules { get; } = [];

    public List<GatewayResource> Gateways { get; } = [];

    public List<ServiceEntryResource> ServiceEntries { get; } = [];

    public List<PeerAuthenticationResource> PeerAuthentications { get; } = [];

    /// <summary>AuthorizationPolicies and RequestAuthentications.</summary>
    public List<AccessPolicyResource> AccessPolicies { get; } = [];
}
