using Tulle.Snapshot;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>
/// istio.metadata_exchange for HTTP: two fields that tell the other side's sidecar whose workload this is. They never reach an application: a sidecar
/// takes them off inbound requests and outbound responses.
/// </summary>
internal static class PeerMetadata
{
    public static void OnRequest(ProxyWorker worker, HttpManagerConfig manager, HttpHead head)
    {
        if (manager.IsInbound)
        {
            head.Remove(KnownHeader.EnvoyPeerMetadata);
            head.Remove(KnownHeader.EnvoyPeerMetadataId);
        }
    }

    public static void OnResponse(ProxyWorker worker, HttpManagerConfig manager, HttpHead head, RequestRecord record, ref WorkloadFacts? source, ref WorkloadFacts? destination)
    {
        if (!manager.IsInbound)
        {
            head.Remove(KnownHeader.EnvoyPeerMetadata);
            head.Remove(KnownHeader.EnvoyPeerMetadataId);
            source = worker.Snapshot.Node.Workload;
            destination = record.Endpoint?.Workload;
        }
        else
        {
            destination = worker.Snapshot.Node.Workload;
        }
    }
}
