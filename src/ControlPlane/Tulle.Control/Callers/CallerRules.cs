using System.Globalization;
using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Xds;

namespace Tulle.Control;

/// <summary>
/// Whether a caller may be served as the node that it says it is. Istio compares namespace and service account of the node with the client certificate
/// in the same way; a pod of this machine is known by its network namespace.
/// </summary>
internal static class CallerRules
{
    /// <summary>Annotation of a local pod: the number of its network namespace. Written by the program that runs the pod.</summary>
    public const string NetworkNamespaceAnnotation = "tulle.dev/network-namespace";

    private const int PermissionDenied = 7;

    /// <exception cref="XdsRefusedException">The node is not the caller's.</exception>
    public static void Check(Caller caller, Node node, string space, Workload? workload, string trustDomain)
    {
        var id = node["id"]?.AsText ?? "";
        var claimed = node.At("metadata", "NAMESPACE")?.AsText ?? space;
        if (claimed != space && space.Length > 0)
            throw new XdsRefusedException(3, $"node {id} says namespace {claimed} in its metadata and {space} in its id");
        if (caller.Way == CallerWay.Tls)
            CheckCertificate(caller, node, id, claimed, workload, trustDomain);
        else if (caller.Way == CallerWay.Socket && workload is not null)
            CheckNamespace(caller, id, workload);
    }

    private static void CheckCertificate(Caller caller, Node node, string id, string space, Workload? workload, string trustDomain)
    {
        if (SpiffeId.TryParse(caller.Identity, out var identity) && identity.TrustDomain == trustDomain && identity.Namespace == space
            && Agrees(node.At("metadata", "SERVICE_ACCOUNT")?.AsText, identity.ServiceAccount)
            && (workload is null || (workload.Namespace == space && Agrees(workload.ServiceAccount, identity.ServiceAccount))))
            return;
        throw new XdsRefusedException(PermissionDenied, $"node {id} (namespace {space}, service account {node.At("metadata", "SERVICE_ACCOUNT")?.AsText ?? "not told"}) is not "
            + $"what the client certificate says: {(caller.Identity.Length > 0 ? caller.Identity : "nothing")}");
    }

    private static bool Agrees(string? told, string proven) => string.IsNullOrEmpty(told) || told == proven;

    private static void CheckNamespace(Caller caller, string id, Workload workload)
    {
        if (!workload.Annotations.TryGetValue(NetworkNamespaceAnnotation, out var text) || !ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var expected))
            return;
        if (caller.NetworkNamespace != expected)
            throw new XdsRefusedException(PermissionDenied, $"node {id} is a pod in network namespace {expected}, and the caller is in {caller.NetworkNamespace}");
    }

    /// <summary>Private keys go to a caller that is proven to be its node: by certificate, or on a unix socket, whose file's mode says who may open it.</summary>
    public static bool MayHaveSecrets(Caller caller, bool plaintextSecrets) => caller.Way is CallerWay.Tls or CallerWay.Socket || plaintextSecrets;
}
