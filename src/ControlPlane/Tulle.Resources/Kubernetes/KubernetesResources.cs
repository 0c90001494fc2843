using Tulle.Base.Documents;

namespace Tulle.Resources;

public sealed record NamespaceResource(ObjectMeta Meta);

public sealed record ServiceAccountResource(ObjectMeta Meta);

/// <param name="Name">Port name; its prefix tells the protocol.</param>
/// <param name="Port">Port of the service.</param>
/// <param name="TargetPort">Number or name at the pod; empty means <paramref name="Port"/>.</param>
/// <param name="Protocol">TCP, UDP or SCTP.</param>
/// <param name="AppProtocol">Stronger than the name.</param>
public sealed record ServicePortResource(string Name, int Port, string TargetPort, string Protocol, string AppProtocol);

/// <param name="Meta">Identity.</param>
/// <param name="Selector">Labels of its pods.</param>
/// <param name="Ports">Its ports.</param>
/// <param name="ClusterIP">Given address, "None" for headless, or empty.</param>
/// <param name="ExternalName">Only for type ExternalName.</param>
public sealed record ServiceResource(ObjectMeta Meta, IReadOnlyDictionary<string, string> Selector, IReadOnlyList<ServicePortResource> Ports, string ClusterIP, string ExternalName);

public sealed record ContainerPortResource(string Name, int Port, string Protocol);

/// <summary>A pod template as far as the mesh and local pods read it; <see cref="Spec"/> is the whole of it.</summary>
public sealed record PodTemplateResource(IReadOnlyDictionary<string, string> Labels, IReadOnlyDictionary<string, string> Annotations, string ServiceAccount,
    IReadOnlyList<ContainerPortResource> Ports, Node Spec);

/// <summary>Deployment, StatefulSet, DaemonSet or Job.</summary>
public sealed record WorkloadResource(ObjectMeta Meta, int Replicas, PodTemplateResource Template);

/// <param name="Meta">Identity.</param>
/// <param name="Template">What runs in it.</param>
/// <param name="PodIP">Address, empty while it has none.</param>
/// <param name="IsReady">The Ready condition; true when the status says nothing.</param>
/// <param name="OwnerName">Workload that owns it, or its own name.</param>
public sealed record PodResource(ObjectMeta Meta, PodTemplateResource Template, string PodIP, bool IsReady, string OwnerName);

public sealed record EndpointResource(string Address, bool IsReady, string TargetPod);

public sealed record EndpointSliceResource(ObjectMeta Meta, string Service, IReadOnlyList<(string Name, int Port)> Ports, IReadOnlyList<EndpointResource> Endpoints);

/// <summary>Values are base64, as in data.</summary>
public sealed record SecretResource(ObjectMeta Meta, string Type, IReadOnlyDictionary<string, string> Data);
