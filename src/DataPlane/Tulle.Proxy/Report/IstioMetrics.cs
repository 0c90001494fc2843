using System.Globalization;
using System.Text;
using Tulle.Base;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>
/// Istio's standard metrics of one loop: a table from the label values to a row of numbers. Looked up by reference and number, no text is made on the
/// request path. Rendered on the loop when somebody scrapes.
/// </summary>
internal sealed class IstioMetrics
{
    private readonly record struct HttpKey(bool IsSource, WorkloadFacts Source, WorkloadFacts Destination, ServiceFacts Service, string SourcePrincipal,
        string DestinationPrincipal, int Status, FailureReason Reason, bool IsMutualTls);

    private sealed class HttpRow
    {
        public long Requests;
        public readonly long[] Durations = new long[Buckets.Length + 1];
        public double DurationSum;
        public readonly long[] RequestSizes = new long[Buckets.Length + 1];
        public double RequestSizeSum;
        public readonly long[] ResponseSizes = new long[Buckets.Length + 1];
        public double ResponseSizeSum;
    }

    private sealed class TcpRow
    {
        public long Opened, Closed, Sent, Received;
    }

    /// <summary>Upper bounds of Istio's default histogram buckets, milliseconds or bytes.</summary>
    private static readonly double[] Buckets =
        [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000];

    /// <summary>Rows of one loop. Source: a sidecar sees tens of peers × codes; beyond this the request is counted in one overflow row.</summary>
    private const int RowsMax = 10_000;

    private readonly Dictionary<HttpKey, HttpRow> _http = [];
    private readonly Dictionary<HttpKey, TcpRow> _tcp = [];

    private static HttpKey Key(ProxyWorker worker, RequestRecord record, bool isInbound, WorkloadFacts? source, WorkloadFacts? destination, int status)
    {
        var own = worker.Snapshot.Node.Workload;
        return new HttpKey(
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
            if (_http.Count >= RowsMax)
                key = default;
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
            if (_tcp.Count >= RowsMax)
                return;
            _tcp[key] = row = new TcpRow();
        }
        row.Opened += opened;
        row.Closed += closed;
        row.Received += received;
        row.Sent += sent;
    }

    private static void Observe(long[] counts, double value)
    {
        var index = 0;
        while (index < Buckets.Length && value > Buckets[index])
            index++;
        counts[index]++;
    }

    /// <summary>Adds this loop's numbers to a sum by name and labels. Loop thread.</summary>
    public void Collect(SortedDictionary<string, double> sums)
    {
        foreach (var (key, row) in _http)
        {
            var labels = Labels(key, "http", withCodes: true);
            Add(sums, "istio_requests_total", labels, row.Requests);
            AddHistogram(sums, "istio_request_duration_milliseconds", labels, row.Durations, row.DurationSum);
            AddHistogram(sums, "istio_request_bytes", labels, row.RequestSizes, row.RequestSizeSum);
            AddHistogram(sums, "istio_response_bytes", labels, row.ResponseSizes, row.ResponseSizeSum);
        }
        foreach (var (key, row) in _tcp)
        {
            var labels = Labels(key, "tcp", withCodes: false);
            Add(sums, "istio_tcp_connections_opened_total", labels, row.Opened);
            Add(sums, "istio_tcp_connections_closed_total", labels, row.Closed);
            Add(sums, "istio_tcp_received_bytes_total", labels, row.Received);
            Add(sums, "istio_tcp_sent_bytes_total", labels, row.Sent);
        }
    }

    private static void Add(SortedDictionary<string, double> sums, string name, string labels, double value)
    {
        var line = $"{name}{{{labels}}}";
        sums[line] = sums.GetValueOrDefault(line) + value;
    }

    private static void AddHistogram(SortedDictionary<string, double> sums, string name, string labels, long[] counts, double sum)
    {
        long total = 0;
        for (var i = 0; i < counts.Length; i++)
        {
            total += counts[i];
            var bound = i < Buckets.Length ? Buckets[i].ToString(CultureInfo.InvariantCulture) : "+Inf";
            Add(sums, name + "_bucket", $"{labels},le=\"{bound}\"", total);
        }
        Add(sums, name + "_sum", labels, sum);
        Add(sums, name + "_count", labels, total);
    }

    /// <summary>The labels in the order in which Istio writes them.</summary>
    private static string Labels(in HttpKey key, string protocol, bool withCodes)
    {
        var source = key.Source ?? WorkloadFacts.Unknown;
        var destination = key.Destination ?? WorkloadFacts.Unknown;
        var service = key.Service ?? ServiceFacts.Unknown;
        var text = new StringBuilder(512);
        void Put(string name, string value) => text.Append(text.Length > 0 ? "," : "").Append(name).Append("=\"").Append(value.Replace("\\", "\\\\").Replace("\"", "\\\"")).Append('"');
        Put("reporter", key.IsSource ? "source" : "destination");
        Put("source_workload", source.Name);
        Put("source_canonical_service", source.CanonicalName);
        Put("source_canonical_revision", source.CanonicalRevision);
        Put("source_workload_namespace", source.Namespace);
        Put("source_principal", key.SourcePrincipal ?? "unknown");
        Put("source_app", source.App);
        Put("source_version", source.Version);
        Put("source_cluster", source.Cluster);
        Put("destination_workload", destination.Name);
        Put("destination_workload_namespace", destination.Namespace);
        Put("destination_principal", key.DestinationPrincipal ?? "unknown");
        Put("destination_app", destination.App);
        Put("destination_version", destination.Version);
        Put("destination_service", service.Host);
        Put("destination_canonical_service", destination.CanonicalName);
        Put("destination_canonical_revision", destination.CanonicalRevision);
        Put("destination_service_name", service.Name);
        Put("destination_service_namespace", service.Namespace);
        Put("destination_cluster", destination.Cluster);
        Put("request_protocol", protocol);
        if (withCodes)
        {
            Put("response_code", key.Status.ToString(CultureInfo.InvariantCulture));
            Put("grpc_response_status", "");
        }
        Put("response_flags", Failures.Flag(key.Reason));
        Put("connection_security_policy", key.IsSource ? "unknown" : key.IsMutualTls ? "mutual_tls" : "none");
        return text.ToString();
    }
}
