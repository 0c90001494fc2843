using Tulle.Base.Documents;

namespace Tulle.Sidecar.Tests;

/// <summary>What a proxy says of itself in its xDS node is what its tables of fields say.</summary>
public sealed class CapabilitiesTests
{
    private static bool Has(string category, string name, string type) => Capabilities.Extensions().Any(e =>
        e["category"]!.AsText == category && e["name"]!.AsText == name && e["type_urls"]!.Items[0].AsText == "type.googleapis.com/" + type);

    [Theory]
    [InlineData("envoy.filters.http", "envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router")]
    [InlineData("envoy.filters.http", "istio.stats", "stats.PluginConfig")]
    [InlineData("envoy.filters.http", "istio.metadata_exchange", "io.istio.http.peer_metadata.Config")]
    [InlineData("envoy.filters.network", "envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy")]
    [InlineData("envoy.filters.listener", "envoy.filters.listener.tls_inspector", "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector")]
    [InlineData("envoy.transport_sockets.upstream", "envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext")]
    public void The_node_lists_the_types_that_are_run(string category, string name, string type) => Assert.True(Has(category, name, type));

    [Fact]
    public void The_node_lists_the_groups_of_fields_that_are_obeyed_and_no_others()
    {
        var features = Capabilities.Features().ToHashSet(StringComparer.Ordinal);
        foreach (var (name, fields) in Capabilities.Groups)
        {
            Assert.All(fields, f => Assert.NotNull(f.Message.Find(f.Field)));
            Assert.Equal(fields.All(f => f.Message.Find(f.Field)!.Word == FieldWord.Obeyed), features.Contains(name));
        }
        Assert.Contains("tulle.cluster.outlier_detection", features);
    }
}
