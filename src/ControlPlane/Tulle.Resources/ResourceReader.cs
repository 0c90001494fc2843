using Tulle.Base.Documents;

namespace Tulle.Resources;

/// <summary>Documents to resources. One object with an error is left out as a whole and reported; the others are taken.</summary>
public sealed class ResourceReader(ResourceSet target, Diagnostics diagnostics)
{
    private readonly Dictionary<string, SourcePosition> _seen = new(StringComparer.Ordinal);
    private long _order;

    /// <summary>Kinds that are valid Kubernetes or Istio objects and have no effect here yet.</summary>
    private static readonly HashSet<string> Inert = new(StringComparer.Ordinal)
    {
        "ConfigMap", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "Ingress", "IngressClass", "CustomResourceDefinition",
        "Node", "PersistentVolume", "PersistentVolumeClaim", "StorageClass", "LimitRange", "ResourceQuota", "Endpoints", "ReplicaSet", "CronJob", "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration", "Lease", "Event", "PriorityClass",
    };

    private static readonly HashSet<string> NotYet = new(StringComparer.Ordinal)
    {
        "AuthorizationPolicy", "RequestAuthentication", "Telemetry", "Sidecar", "EnvoyFilter", "WorkloadEntry", "WorkloadGroup", "ProxyConfig", "WasmPlugin", "TrafficExtension",
        "GatewayClass", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute", "ReferenceGrant", "BackendTLSPolicy", "ListenerSet",
    };

    public void Read(string text, string file)
    {
        List<Node> documents;
        try
        {
            documents = NodeYaml.ParseAll(text, file);
        }
        catch (DocumentException error)
        {
            diagnostics.Error(error.Position, "", "", error.Reason);
            return;
        }
        foreach (var document in documents)
        {
            if (document["kind"]?.AsText == "List")
            {
                foreach (var item in document["items"]?.Items ?? [])
                    ReadObject(item);
            }
            else
            {
                ReadObject(document);
            }
        }
    }

    public void ReadObject(Node document)
    {
        if (document.Kind != NodeKind.Map)
        {
            diagnostics.Error(document.Position, "", "", "a Kubernetes object is expected: a map with apiVersion, kind and metadata");
            return;
        }
        var kind = document["kind"]?.AsText ?? "";
        var version = document["apiVersion"]?.AsText ?? "";
        if (kind.Length == 0 || version.Length == 0)
        {
            diagnostics.Error(document.Position, "", kind.Length == 0 ? "kind" : "apiVersion", "is required");
            return;
        }
        var mine = new Diagnostics();
        var meta = ReadMeta(document, kind, version, mine);
        if (!mine.HasErrors)
        {
            var key = $"{version.Split('/')[0]}|{kind}|{meta.Namespace}|{meta.Name}";
            if (_seen.TryGetValue(key, out var first))
                mine.Error(meta.Position, meta.Subject, "metadata.name", $"is defined twice; first at {first}");
            else
                _seen[key] = meta.Position;
        }
        if (!mine.HasErrors)
            Dispatch(document, kind, version, meta, mine);
        foreach (var finding in mine.All)
            diagnostics.Add(finding);
    }

    private ObjectMeta ReadMeta(Node document, string kind, string version, Diagnostics mine)
    {
        var reader = new FieldReader(document["metadata"], mine, kind, "metadata");
        var name = reader.Text("name") ?? reader.Text("generateName") ?? "";
        if (name.Length == 0)
            reader.Fail("name", "is required");
        var cluster = kind is "Namespace" or "ClusterRole" or "ClusterRoleBinding" or "CustomResourceDefinition" or "Node" or "GatewayClass";
        var space = cluster ? "" : reader.Text("namespace") is { Length: > 0 } given ? given : "default";
        var meta = new ObjectMeta(kind, name, space, reader.TextMap("labels"), reader.TextMap("annotations"), document.Position, ++_order);
        reader.Accept("generateName", "uid", "creationTimestamp", "resourceVersion", "generation", "ownerReferences", "finalizers", "managedFields", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "namespace");
        reader.Done("is not a field of ObjectMeta");
        _ = version;
        return meta;
    }

    private void Dispatch(Node document, string kind, string version, ObjectMeta meta, Diagnostics mine)
    {
        var top = new FieldReader(document, mine, meta.Subject);
        top.Accept("apiVersion", "kind", "metadata", "status");
        var group = version.Contains('/') ? version[..version.IndexOf('/')] : "";
        switch (group, kind)
        {
            case ("", "Namespace"):
                top.Accept("spec");
                Take(mine, target.Namespaces, new NamespaceResource(meta));
                break;
            case ("", "ServiceAccount"):
                top.Accept("secrets", "imagePullSecrets", "automountServiceAccountToken");
                Take(mine, target.ServiceAccounts, new ServiceAccountResource(meta));
                break;
            case ("", "Service"):
                var service = KubernetesReader.Service(top, meta);
                Take(mine, target.Services, service);
                break;
            case ("", "Pod"):
                var pod = KubernetesReader.Pod(top, meta);
                Take(mine, target.Pods, pod);
                break;
            case ("apps", "Deployment" or "StatefulSet" or "DaemonSet") or ("batch", "Job"):
                var workload = KubernetesReader.Workload(top, meta);
                Take(mine, target.Workloads, workload);
                break;
            case ("discovery.k8s.io", "EndpointSlice"):
                var slice = KubernetesReader.Slice(top, meta);
                Take(mine, target.EndpointSlices, slice);
                break;
            case ("", "Secret"):
                var data = top.TextMap("data");
                foreach (var (name, value) in top.TextMap("stringData"))
                    data[name] = Convert.ToBase64String(System.Text.Encoding.UTF8.GetBytes(value));
                var type = top.Text("type", "Opaque");
                top.Accept("immutable");
                Take(mine, target.Secrets, new SecretResource(meta, type, data));
                break;
            case ("networking.istio.io", "VirtualService"):
                Take(mine, target.VirtualServices, IstioReader.VirtualService(Spec(top), meta));
                break;
            case ("networking.istio.io", "DestinationRule"):
                Take(mine, target.DestinationRules, IstioReader.DestinationRule(Spec(top), meta));
                break;
            case ("networking.istio.io", "Gateway"):
                Take(mine, target.Gateways, IstioReader.Gateway(Spec(top), meta));
                break;
            case ("networking.istio.io", "ServiceEntry"):
                Take(mine, target.ServiceEntries, IstioReader.ServiceEntry(Spec(top), meta));
                break;
            case ("security.istio.io", "PeerAuthentication"):
                Take(mine, target.PeerAuthentications, IstioReader.PeerAuthentication(Spec(top), meta));
                break;
            default:
                if (NotYet.Contains(kind) || (group == "gateway.networking.k8s.io" && kind == "Gateway"))
                    mine.Warn(meta.Position, meta.Subject, "kind", "is a kind that Tulle reads but does not act on yet: it has no effect");
                else if (!Inert.Contains(kind))
                    mine.Error(meta.Position, meta.Subject, "kind", $"{version} {kind} is not a kind that is known here; check apiVersion and spelling");
                return;
        }
        if (!mine.HasErrors)
            top.Done($"is not a field of {kind}");
    }

    private static FieldReader Spec(FieldReader top) => top.Child("spec") ?? new FieldReader(Node.Map([], top.Node.Position), top.Diagnostics, top.Subject, "spec");

    private static void Take<T>(Diagnostics mine, List<T> list, T resource)
    {
        if (!mine.HasErrors)
            list.Add(resource);
    }
}
