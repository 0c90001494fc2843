using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>
/// Istio's standard metrics of one loop: a table from the label values to a row of numbers. Looked up by reference and number, no text is made on the
/// request path. When somebody scrapes, the rows are copied here and made into text elsewhere (<see cref="MetricRows"/>).
/// </summary>
internal sealed class IstioMetrics(StatsStore stats, int loop)
{
    /// <summary>
    /// Memory of one loop's rows, bytes. Source: a sidecar sees tens of peers × codes, a row is some 1.5 KB: room for 5,000. Beyond it requests are
    /// counted in a row of unknown workloads and in istio.metrics.rows_overflowed.
    /// </summary>
    private const int BytesMax = 8 * 1024 * 1024;

    /// <summary>A row without the texts of its key.</summary>
    private const int RowBytes = 800;

    private readonly Dictionary<MetricKey, HttpRow> _http = [];
    private readonly Dictionary<MetricKey, TcpRow> _tcp = [];
    private readonly Stat _overflowed = stats.Counter(StatScope.Server, "", "istio.metrics.rows_overflowed");
    private long _bytes;

    private static MetricKey Key(ProxyWorker worker, RequestRecord record, bool isInbound, WorkloadFacts? source, WorkloadFacts? destination, int status)
    {
        var own = worker.Snapshot.Node.Workload;
        return new MetricKey(
            !isInbound,
            isInbound ? source ?? WorkloadFacts.Unknown : own,
            isInbound ? own : destination ?? record.Endpoint?.Workload ?? WorkloadFacts.Unknown,
            record.Cluster?.Service ?? ServiceFacts.Unknown,
            (isInbound ? record.Peer?.Identity : record.UpstreamPeer?.LocalIdentity) ?? "unknown",
            (isInbound ? record.Peer?.LocalIdentity : record.UpstreamPeer?.Identity) ?? "unknown",
            status,
            record.Reason,
            isInbound && record.Peer?.Identity is not null);
    }

    public void CountHttp(ProxyWorker worker, RequestRecord record, HttpManagerConfig manager, WorkloadFacts? source, WorkloadFacts? destination)
    {
        var key = Key(worker, record, manager.IsInbound, source, destination, record.Status);
        if (!_http.TryGetValue(key, out var row))
        {
            key = Admit(key);
            if (!_http.TryGetValue(key, out row))
                _http[key] = row = new HttpRow();
        }
        row.Requests++;
        var duration = (record.EndMicros - record.StartMicros) / 1000.0;
        Observe(row.Durations, duration);
        row.DurationSum += duration;
        Observe(row.RequestSizes, record.BytesReceived);
        row.RequestSizeSum += record.BytesReceived;
        Observe(row.ResponseSizes, record.BytesSent);
        row.ResponseSizeSum += record.BytesSent;
    }

    /// <param name="peer">What the other side's sidecar told of its workload, or null.</param>
    public void CountTcp(ProxyWorker worker, RequestRecord record, bool isInbound, WorkloadFacts? peer, long opened = 0, long closed = 0, long received = 0, long sent = 0)
    {
        var key = Key(worker, record, isInbound, isInbound ? peer : null, isInbound ? null : peer, 0);
        if (!_tcp.TryGetValue(key, out var row))
        {
            key = Admit(key);
            if (!_tcp.TryGetValue(key, out row))
                _tcp[key] = row = new TcpRow();
        }
        row.Opened += opened;
        row.Closed += closed;
        row.Received += received;
        row.Sent += sent;
    }

    /// <summary>The key under which a new row is made: itself while there is room, then one that tells only the direction.</summary>
    private MetricKey Admit(in MetricKey key)
    {
        var bytes = RowBytes + (2 * key.TextLength);
        if (_bytes + bytes > BytesMax)
        {
            _overflowed.Add(loop);
            return MetricKey.Overflow(key.IsSource);
        }
        _bytes += bytes;
        return key;
    }

    private static void Observe(long[] counts, double value)
    {
        var index = 0;
        while (index < MetricRows.Buckets.Length && value > MetricRows.Buckets[index])
            index++;
        counts[index]++;
    }

    /// <summary>The rows of the moment: numbers only, no text. Loop thread.</summary>
    public MetricRows Copy()
    {
        var rows = new MetricRows();
        foreach (var (key, row) in _http)
            rows.Http[key] = row.Copy();
        foreach (var (key, row) in _tcp)
            rows.Tcp[key] = row.Copy();
        return rows;
    }
}
