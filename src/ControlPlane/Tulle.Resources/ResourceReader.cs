using Tulle.Base.Documents;

namespace Tulle.Resources;

/// <summary>
/// Documents to resources. An object with an error is told and left out as a whole, or, when its last valid form is known, stays in that form; the others
/// are taken.
/// </summary>
/// <param name="target">Gets what is valid.</param>
/// <param name="diagnostics">Gets what is wrong.</param>
/// <param name="lastValid">By object (see <see cref="Seen"/>) its last valid document; kept up to date here. Null: nothing is remembered.</param>
public sealed class ResourceReader(ResourceSet target, Diagnostics diagnostics, Dictionary<string, Node>? lastValid = null)
{
    private readonly Dictionary<string, SourcePosition> _seen = new(StringComparer.Ordinal);
    private long _order;

    /// <summary>Objects that were read, valid or not: "group|kind|namespace|name", and where.</summary>
    public IReadOnlyDictionary<string, SourcePosition> Seen => _seen;

    /// <summary>Kinds that are valid Kubernetes or Istio objects and have no effect here yet.</summary>
    private static readonly HashSet<string> Inert = new(StringComparer.Ordinal)
    {
        "ConfigMap", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "Ingress", "IngressClass", "CustomResourceDefinition",
        "Node", "PersistentVolume", "PersistentVolumeClaim", "StorageClass", "LimitRange", "ResourceQuota", "Endpoints", "ReplicaSet", "CronJob", "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration", "Lease", "Event", "PriorityClass",
    };

    private static readonly HashSet<string> NotYet = new(StringComparer.Ordinal)
    {
        "Telemetry", "Sidecar", "EnvoyFilter", "WorkloadEntry", "WorkloadGroup", "ProxyConfig", "WasmPlugin", "TrafficExtension",
        "GatewayClass", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute", "ReferenceGrant", "BackendTLSPolicy", "ListenerSet",
    };

    public void Read(string text, string file)
    {
        try
        {
            foreach (var document in Documents(text, file))
                ReadObject(document);
        }
        catch (DocumentException error)
        {
            diagnostics.Error(error.Position, "", "", error.Reason);
        }
    }

    /// <summary>The objects of a text; those of a List one by one.</summary>
    /// <exception cref="DocumentException">The text is neither YAML nor JSON.</exception>
    public static List<Node> Documents(string text, string file)
    {
        var result = new List<Node>();
        foreach (var document in NodeYaml.ParseAll(text, file))
        {
            if (document["kind"]?.AsText == "List" && document["items"] is { IsList: true } items)
                result.AddRange(items.Items);
            else
                result.Add(document);
        }
        return result;
    }

    /// <summary>Takes the last valid form of an object that cannot be found in its file just now.</summary>
    public void Keep(string key)
    {
        if (lastValid is null || _seen.ContainsKey(key) || !lastValid.TryGetValue(key, out var document))
            return;
        _seen[key] = document.Position;
        var quiet = new Diagnostics();
        Read(document, key, quiet);
    }

    /// <summary>Reads one object. Returns which one it was, or null when its kind or name cannot be told.</summary>
    public string? ReadObject(Node document)
    {
        if (document.Kind != NodeKind.Map)
        {
            diagnostics.Error(document.Position, "", "", "a Kubernetes object is expected: a map with apiVersion, kind and metadata");
            return null;
        }
        var mine = new Diagnostics();
        var key = KeyOf(document, mine);
        if (key is not null && _seen.TryGetValue(key, out var first))
        {
            mine.Error(document.Position, key.Split('|') is [_, var kind, var space, var name] ? $"{kind} {space}/{name}" : key, "metadata.name", $"is defined twice; first at {first}");
        }
        else if (key is not null)
        {
            _seen[key] = document.Position;
            Read(document, key, mine);
            if (mine.HasErrors && lastValid is not null && lastValid.TryGetValue(key, out var valid))
            {
                // Findings of the form that stays in force were told when it was new.
                Read(valid, key, new Diagnostics());
                mine.Warn(document.Position, "", "", $"has errors: {key.Split('|')[1]} {key.Split('|')[3]} stays in force as it was before");
            }
        }
        foreach (var finding in mine.All)
            diagnostics.Add(finding);
        return key;
    }

    /// <summary>Never throws: an object that this program stumbles over is one with an error.</summary>
    private void Read(Node document, string key, Diagnostics mine)
    {
        try
        {
            var (kind, version) = (document["kind"]!.AsText, document["apiVersion"]!.AsText);
            var meta = ReadMeta(document, kind, mine);
            if (!mine.HasErrors)
                Dispatch(document, kind, version, meta, mine);
        }
        catch (Exception error) when (error is FormatException or ArgumentException or InvalidOperationException or NullReferenceException or OverflowException)
        {
            mine.Error(document.Position, key, "", $"cannot be read: {error.Message}");
        }
        if (!mine.HasErrors && lastValid is not null)
            lastValid[key] = document;
    }

    /// <summary>Which object a document is; null when it cannot be told.</summary>
    private static string? KeyOf(Node document, Diagnostics mine)
    {
        var top = new FieldReader(document, mine, "");
        var kind = top.Required("kind");
        var version = top.Required("apiVersion");
        var metadata = new FieldReader(top.Raw("metadata"), mine, kind, "metadata");
        var name = metadata.Text("name") ?? metadata.Text("generateName") ?? "";
        if (name.Length == 0 && !mine.HasErrors)
            mine.Error(top.Has("metadata") ? metadata.Node.Position : document.Position, kind, "metadata.name", "is required");
        var space = metadata.Text("namespace") is { Length: > 0 } given ? given : "default";
        return mine.HasErrors ? null : $"{version.Split('/')[0]}|{kind}|{(IsClusterWide(kind) ? "" : space)}|{name}";
    }

    private static bool IsClusterWide(string kind) => kind is "Namespace" or "ClusterRole" or "ClusterRoleBinding" or "CustomResourceDefinition" or "Node" or "GatewayClass";

    private ObjectMeta ReadMeta(Node document, string kind, Diagnostics mine)
    {
        var reader = new FieldReader(document["metadata"], mine, kind, "metadata");
        var name = reader.Text("name") ?? reader.Text("generateName") ?? "";
        var space = IsClusterWide(kind) ? "" : reader.Text("namespace") is { Length: > 0 } given ? given : "default";
        var meta = new ObjectMeta(kind, name, space, reader.TextMap("labels"), reader.TextMap("annotations"), document.Position, ++_order);
        reader.Accept("generateName", "uid", "creationTimestamp", "resourceVersion", "generation", "ownerReferences", "finalizers", "managedFields", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "namespace");
        reader.Done("is not a field of ObjectMeta");
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
                foreach (var (name, value) in data.Where(d => !System.Buffers.Text.Base64.IsValid(d.Value)))
                    top.Fail("data", $"{name} is not base64 ({value.Length} characters)");
                var type = top.Text("type", "Opaque");
                top.Accept("immutable");
                Take(mine, target.Secrets, new SecretResource(meta, type, data));
                break;
            case ("networking.istio.io", "VirtualService"):
                TakeChecked(top, VirtualServiceSpec.Spec, target.VirtualServices, spec => IstioReader.VirtualService(spec, meta));
                break;
            case ("networking.istio.io", "DestinationRule"):
                TakeChecked(top, DestinationRuleSpec.Spec, target.DestinationRules, spec => IstioReader.DestinationRule(spec, meta));
                break;
            case ("networking.istio.io", "Gateway"):
                TakeChecked(top, GatewaySpec.Gateway, target.Gateways, spec => IstioReader.Gateway(spec, meta));
                break;
            case ("networking.istio.io", "ServiceEntry"):
                TakeChecked(top, GatewaySpec.ServiceEntry, target.ServiceEntries, spec => IstioReader.ServiceEntry(spec, meta));
                break;
            case ("security.istio.io", "PeerAuthentication"):
                TakeChecked(top, SecuritySpecs.PeerAuthentication, target.PeerAuthentications, spec => IstioReader.PeerAuthentication(spec, meta));
                break;
            case ("security.istio.io", "AuthorizationPolicy"):
                TakeChecked(top, SecuritySpecs.AuthorizationPolicy, target.AccessPolicies, spec => IstioReader.AccessPolicy(spec, meta));
                break;
            case ("security.istio.io", "RequestAuthentication"):
                TakeChecked(top, SecuritySpecs.RequestAuthentication, target.AccessPolicies, spec => IstioReader.AccessPolicy(spec, meta));
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

    /// <summary>Every field first, then the meaning: what is mistyped is never read.</summary>
    private static void TakeChecked<T>(FieldReader top, Spec table, List<T> list, Func<FieldReader, T> read)
    {
        new SpecCheck(top.Diagnostics, top.Subject).Check(top.Node["spec"], table, "spec");
        if (top.Diagnostics.HasErrors)
            return;
        var resource = read(Spec(top));
        Take(top.Diagnostics, list, resource);
    }

    private static void Take<T>(Diagnostics mine, List<T> list, T resource)
    {
        if (!mine.HasErrors)
            list.Add(resource);
    }
}
