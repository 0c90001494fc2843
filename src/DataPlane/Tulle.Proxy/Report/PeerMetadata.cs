using Tulle.Loop;
using Tulle.Snapshot;
using Tulle.Wire.Http1;
using Tulle.Wire.Istio;

namespace Tulle.Proxy;

/// <summary>Which of the two fields a peer sent.</summary>
[Flags]
internal enum PeerFields : byte
{
    None = 0,
    Id = 1,
    Metadata = 2,
    Both = Id | Metadata,
}

/// <summary>
/// istio.metadata_exchange for HTTP: two fields tell the other side's sidecar whose workload this is. They never reach an application: a sidecar takes
/// them off inbound requests and outbound responses, and answers with its own only who told of himself.
/// </summary>
internal static class PeerMetadata
{
    /// <summary>Takes the fields off; the facts they told, null when they told none.</summary>
    /// <param name="worker">The loop's.</param>
    /// <param name="head">The message.</param>
    /// <param name="peer">Who sent it, as far as TLS knows.</param>
    /// <param name="told">Which fields were there.</param>
    public static WorkloadFacts? Take(ProxyWorker worker, HttpHead head, TlsPeer? peer, out PeerFields told)
    {
        told = PeerFields.None;
        WorkloadFacts? facts = null;
        var index = head.Find(KnownHeader.EnvoyPeerMetadata);
        if (index >= 0)
        {
            told |= PeerFields.Metadata;
            facts = worker.Peers.Find(head.Value(index), peer?.Identity is not null);
            head.Remove(KnownHeader.EnvoyPeerMetadata);
        }
        if (head.Find(KnownHeader.EnvoyPeerMetadataId) < 0)
            return facts;
        told |= PeerFields.Id;
        head.Remove(KnownHeader.EnvoyPeerMetadataId);
        return facts;
    }

    public static bool MayTell(HttpManagerConfig manager, ClusterConfig cluster) =>
        manager.PeerPropagation == PeerPropagation.Everybody || (manager.PeerPropagation == PeerPropagation.Services && cluster.Service != ServiceFacts.Unknown);

    public static void Tell(ProxyWorker worker, HttpHead head, PeerFields fields)
    {
        var node = worker.Snapshot.Node;
        if ((fields & PeerFields.Id) != 0)
            head.Set(KnownHeader.EnvoyPeerMetadataId, node.PeerMetadataId);
        if ((fields & PeerFields.Metadata) != 0 && node.PeerMetadata.Length > 0)
            head.Set(KnownHeader.EnvoyPeerMetadata, node.PeerMetadata);
    }
}

/// <summary>What peers told of themselves, by the bytes they told it in (a field, or the start of a TCP connection): read once, compared afterwards.</summary>
internal sealed class PeerFactsCache(bool isTcp)
{
    /// <summary>Peers remembered per loop; beyond it all are forgotten. Source: Istio's max_peer_cache_size.</summary>
    private const int PeersMax = 500;

    /// <summary>Bytes of texts remembered per loop. Source: 500 of 2 KB, twice what Istio's own need.</summary>
    private const int BytesMax = 1024 * 1024;

    /// <summary>Workloads that are believed without a certificate, per loop. Anybody can invent names; each would become rows of the metrics.</summary>
    private const int UnprovenMax = 32;

    /// <summary>Letters of one fact. Source: a Kubernetes name has 253; a longer one is "unknown".</summary>
    private const int FactLengthMax = 256;

    private readonly HashSet<WorkloadFacts> _unproven = [];
    private int _bytes;

    private readonly Dictionary<int, (byte[] Text, WorkloadFacts? Facts)> _peers = [];
    private (byte[] Text, WorkloadFacts? Facts) _last = ([], null);

    /// <param name="text">What the peer told.</param>
    /// <param name="isProven">The peer showed a certificate with an identity.</param>
    public WorkloadFacts? Find(ReadOnlySpan<byte> text, bool isProven)
    {
        var facts = Find(text);
        if (facts is null || isProven || _unproven.Contains(facts))
            return facts;
        if (_unproven.Count >= UnprovenMax)
            return WorkloadFacts.Unknown;
        _unproven.Add(facts);
        return facts;
    }

    private WorkloadFacts? Find(ReadOnlySpan<byte> text)
    {
        // Requests of one peer come in rows: comparing is a fraction of hashing.
        if (text.SequenceEqual(_last.Text))
            return _last.Facts;
        var hash = new HashCode();
        hash.AddBytes(text);
        var key = hash.ToHashCode();
        if (_peers.TryGetValue(key, out var known) && text.SequenceEqual(known.Text))
        {
            _last = known;
            return known.Facts;
        }
        if (_peers.Count >= PeersMax || _bytes >= BytesMax)
        {
            _peers.Clear();
            _bytes = 0;
        }
        var facts = Facts(isTcp ? WorkloadStruct.ReadExchange(text) : WorkloadStruct.ReadField(text));
        // A text that is too long to be read is not worth its memory.
        if (text.Length <= WorkloadStruct.BytesMax)
        {
            _peers[key] = (text.ToArray(), facts);
            _bytes += text.Length;
        }
        return facts;
    }

    private static WorkloadFacts? Facts(Dictionary<string, string>? told)
    {
        if (told is null)
            return null;
        string Of(string name) => told.GetValueOrDefault(name) is { Length: > 0 and <= FactLengthMax } value ? value : "unknown";
        return new WorkloadFacts(Of("WORKLOAD_NAME"), Of("NAMESPACE"), Of("LABELS/service.istio.io/canonical-name"), Of("LABELS/service.istio.io/canonical-revision"),
            Of("LABELS/app"), Of("LABELS/version"), Of("CLUSTER_ID"));
    }
}
