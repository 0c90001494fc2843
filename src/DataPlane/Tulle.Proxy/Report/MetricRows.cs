using System.Globalization;
using System.Text;
using Tulle.Base;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>What tells one row of Istio's metrics from another.</summary>
internal readonly record struct MetricKey(bool IsSource, WorkloadFacts Source, WorkloadFacts Destination, ServiceFacts Service, string SourcePrincipal,
    string DestinationPrincipal, int Status, FailureReason Reason, bool IsMutualTls)
{
    public static MetricKey Overflow(bool isSource) =>
        new(isSource, WorkloadFacts.Unknown, WorkloadFacts.Unknown, ServiceFacts.Unknown, "unknown", "unknown", 0, FailureReason.None, false);

    /// <summary>Letters of the texts that a peer may have chosen.</summary>
    public int TextLength => Length(Source) + Length(Destination) + SourcePrincipal.Length + DestinationPrincipal.Length;

    private static int Length(WorkloadFacts w) =>
        w.Name.Length + w.Namespace.Length + w.CanonicalName.Length + w.CanonicalRevision.Length + w.App.Length + w.Version.Length + w.Cluster.Length;
}

internal sealed class HttpRow
{
    public long Requests;
    public long[] Durations = new long[MetricRows.Buckets.Length + 1];
    public double DurationSum;
    public long[] RequestSizes = new long[MetricRows.Buckets.Length + 1];
    public double RequestSizeSum;
    public long[] ResponseSizes = new long[MetricRows.Buckets.Length + 1];
    public double ResponseSizeSum;

    public HttpRow Copy()
    {
        var copy = (HttpRow)MemberwiseClone();
        copy.Durations = [.. Durations];
        copy.RequestSizes = [.. RequestSizes];
        copy.ResponseSizes = [.. ResponseSizes];
        return copy;
    }

    public void Add(HttpRow other)
    {
        Requests += other.Requests;
        DurationSum += other.DurationSum;
        RequestSizeSum += other.RequestSizeSum;
        ResponseSizeSum += other.ResponseSizeSum;
        for (var i = 0; i < Durations.Length; i++)
        {
            Durations[i] += other.Durations[i];
            RequestSizes[i] += other.RequestSizes[i];
            ResponseSizes[i] += other.ResponseSizes[i];
        }
    }
}

internal sealed class TcpRow
{
    public long Opened, Closed, Sent, Received;

    public TcpRow Copy() => (TcpRow)MemberwiseClone();

    public void Add(TcpRow other)
    {
        Opened += other.Opened;
        Closed += other.Closed;
        Sent += other.Sent;
        Received += other.Received;
    }
}

/// <summary>A copy of Istio's metrics, of one loop or added up over loops, and its text for Prometheus: made piece by piece, off the loops.</summary>
public sealed class MetricRows
{
    /// <summary>Upper bounds of Istio's default histogram buckets, milliseconds or bytes.</summary>
    internal static readonly double[] Buckets =
        [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000];

    internal Dictionary<MetricKey, HttpRow> Http { get; } = [];

    internal Dictionary<MetricKey, TcpRow> Tcp { get; } = [];

    /// <summary>Adds the rows of another loop; its rows are taken over.</summary>
    public void Add(MetricRows other)
    {
        foreach (var (key, row) in other.Http)
        {
            if (Http.TryGetValue(key, out var sum))
                sum.Add(row);
            else
                Http[key] = row;
        }
        foreach (var (key, row) in other.Tcp)
        {
            if (Tcp.TryGetValue(key, out var sum))
                sum.Add(row);
            else
                Tcp[key] = row;
        }
    }

    /// <summary>Lines for Prometheus, a family after the other, in pieces of one row.</summary>
    public IEnumerable<string> Parts()
    {
        var http = Http.Select(r => (Labels: Labels(r.Key, "http", withCodes: true), Row: r.Value)).OrderBy(r => r.Labels, StringComparer.Ordinal).ToList();
        var text = new StringBuilder();
        string Taken()
        {
            var part = text.ToString();
            text.Clear();
            return part;
        }
        if (http.Count > 0)
        {
            yield return Type("istio_request_bytes", "histogram");
            foreach (var (labels, row) in http)
            {
                AddHistogram(text, "istio_request_bytes", labels, row.RequestSizes, row.RequestSizeSum);
                yield return Taken();
            }
            yield return Type("istio_request_duration_milliseconds", "histogram");
            foreach (var (labels, row) in http)
            {
                AddHistogram(text, "istio_request_duration_milliseconds", labels, row.Durations, row.DurationSum);
                yield return Taken();
            }
            yield return Type("istio_requests_total", "counter");
            foreach (var (labels, row) in http)
                yield return Line("istio_requests_total", labels, row.Requests);
            yield return Type("istio_response_bytes", "histogram");
            foreach (var (labels, row) in http)
            {
                AddHistogram(text, "istio_response_bytes", labels, row.ResponseSizes, row.ResponseSizeSum);
                yield return Taken();
            }
        }
        var tcp = Tcp.Select(r => (Labels: Labels(r.Key, "tcp", withCodes: false), Row: r.Value)).OrderBy(r => r.Labels, StringComparer.Ordinal).ToList();
        if (tcp.Count == 0)
            yield break;
        foreach (var (name, value) in s_tcp)
        {
            yield return Type(name, "counter");
            foreach (var (labels, row) in tcp)
                yield return Line(name, labels, value(row));
        }
    }

    private static readonly (string Name, Func<TcpRow, long> Value)[] s_tcp =
    [
        ("istio_tcp_connections_closed_total", static r => r.Closed), ("istio_tcp_connections_opened_total", static r => r.Opened),
        ("istio_tcp_received_bytes_total", static r => r.Received), ("istio_tcp_sent_bytes_total", static r => r.Sent),
    ];

    private static string Type(string name, string type) => $"# TYPE {name} {type}\n";

    private static string Line(string name, string labels, double value) => $"{name}{{{labels}}} {value.ToString("R", CultureInfo.InvariantCulture)}\n";

    private static void AddHistogram(StringBuilder text, string name, string labels, long[] counts, double sum)
    {
        long total = 0;
        for (var i = 0; i < counts.Length; i++)
        {
            total += counts[i];
            var bound = i < Buckets.Length ? Buckets[i].ToString(CultureInfo.InvariantCulture) : "+Inf";
            text.Append(name).Append("_bucket{").Append(labels).Append(",le=\"").Append(bound).Append("\"} ").Append(total).Append('\n');
        }
        text.Append(Line(name + "_count", labels, total)).Append(Line(name + "_sum", labels, sum));
    }

    /// <summary>The labels in the order in which Istio writes them.</summary>
    internal static string Labels(in MetricKey key, string protocol, bool withCodes)
    {
        var source = key.Source ?? WorkloadFacts.Unknown;
        var destination = key.Destination ?? WorkloadFacts.Unknown;
        var service = key.Service ?? ServiceFacts.Unknown;
        var text = new StringBuilder(512);
        void Put(string name, string value) => text.Append(text.Length > 0 ? "," : "").Append(name).Append("=\"").Append(Escape(value)).Append('"');
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

    /// <summary>A peer may have chosen the text: a quote or a line end in it must not begin another label or line (Prometheus text format).</summary>
    private static string Escape(string value) =>
        value.AsSpan().IndexOfAny("\\\"\n") < 0 ? value : value.Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("\n", "\\n");
}
