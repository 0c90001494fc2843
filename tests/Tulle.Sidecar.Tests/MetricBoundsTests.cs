using System.Text;
using Tulle.Wire.Istio;

namespace Tulle.Sidecar.Tests;

/// <summary>What a peer can invent has a bound: names in Istio's metrics.</summary>
public class MetricBoundsTests
{
    private static string Field(string workload, string fill = "") =>
        Encoding.ASCII.GetString(WorkloadStruct.ToField(WorkloadStruct.Write([new("WORKLOAD_NAME", workload), new("NAMESPACE", fill + workload)], [new("app", workload)])));

    private static readonly string s_configuration = SimulatedProxy.IstioConfiguration.Replace(
        "route: { cluster: u, timeout: 3s, retry_policy: { retry_on: \"connect-failure,reset\", num_retries: 2 } }", "direct_response: { status: 200 }", StringComparison.Ordinal);

    [Fact]
    public Task H13_a_client_without_a_certificate_cannot_invent_rows_without_end() => Task.Run(() =>
    {
        using var proxy = new SimulatedProxy(1, windowBytes: 64 * 1024, isCalm: true, s_configuration);
        var client = proxy.Connect();
        var buffer = new byte[64 * 1024];
        const int Count = 2000;
        var answers = 0;
        for (var i = 0; i < Count; i++)
        {
            client.Write(Encoding.ASCII.GetBytes($"GET / HTTP/1.1\r\nHost: a\r\nx-envoy-peer-metadata-id: x\r\nx-envoy-peer-metadata: {Field($"invented-{i}")}\r\n\r\n"));
            var before = answers;
            proxy.Until(() =>
            {
                var got = client.ReadAll(buffer);
                answers += got > 0 ? Encoding.ASCII.GetString(buffer, 0, got).Split("HTTP/1.1 200").Length - 1 : 0;
                return answers > before;
            }, () => $"request {i} was not answered");
        }
        var rows = proxy.Metrics().Where(m => m.Key.StartsWith("istio_requests_total{", StringComparison.Ordinal)).ToList();
        Assert.InRange(rows.Count, 2, 40);
        Assert.Equal(Count, rows.Sum(r => r.Value));
        Assert.Contains(rows, r => r.Key.Contains("source_workload=\"unknown\"", StringComparison.Ordinal) && r.Value > Count - 40);
    });

    /// <summary>A name longer than any of Kubernetes is not kept, however it is proven.</summary>
    [Fact]
    public Task H13_a_fact_of_kilobytes_is_unknown() => Task.Run(() =>
    {
        using var proxy = new SimulatedProxy(1, windowBytes: 64 * 1024, isCalm: true, s_configuration);
        var client = proxy.Connect();
        var buffer = new byte[64 * 1024];
        client.Write(Encoding.ASCII.GetBytes($"GET / HTTP/1.1\r\nHost: a\r\nx-envoy-peer-metadata-id: x\r\nx-envoy-peer-metadata: {Field("w", new string('n', 4000))}\r\n\r\n"));
        proxy.Until(() => client.ReadAll(buffer) > 0, () => "not answered");
        var row = proxy.Metrics().Single(m => m.Key.StartsWith("istio_requests_total{", StringComparison.Ordinal)).Key;
        Assert.Contains("source_workload=\"w\"", row, StringComparison.Ordinal);
        Assert.Contains("source_workload_namespace=\"unknown\"", row, StringComparison.Ordinal);
    });
}
