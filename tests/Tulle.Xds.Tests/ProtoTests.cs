using FsCheck;
using FsCheck.Fluent;
using Tulle.Base.Documents;
using Tulle.Xds;

namespace Tulle.Xds.Tests;

public class ProtoTests
{
    private const string ClusterType = "envoy.config.cluster.v3.Cluster";

    [Fact]
    public void A_cluster_survives_the_wire()
    {
        var cluster = NodeYaml.Parse("""
            name: outbound|80||web
            type: EDS
            connect_timeout: 0.25s
            eds_cluster_config: { eds_config: { ads: {}, resource_api_version: V3 }, service_name: web }
            circuit_breakers: { thresholds: [ { max_connections: 7, track_remaining: true } ] }
            """);
        var bytes = ProtoWriter.Write(ClusterType, cluster);
        var again = ProtoReader.Read(ClusterType, bytes);
        Assert.Equal(bytes, ProtoWriter.Write(ClusterType, again));
        Assert.Equal("outbound|80||web", again["name"]!.AsText);
        Assert.Equal("0.250s", again["connect_timeout"]!.AsText);
        Assert.Equal(7, again.At("circuit_breakers", "thresholds")!.Items[0]["max_connections"]!.AsInteger);
    }

    // RFC-like golden bytes: field 1 (name), wire type 2, then the text. Protobuf encoding guide, "Message structure".
    [Fact]
    public void The_wire_form_is_protobufs() => Assert.Equal([0x0a, 0x03, (byte)'w', (byte)'e', (byte)'b'], ProtoWriter.Write(ClusterType, Node.Map(("name", "web"))));

    [Fact]
    public void Bytes_of_a_stranger_are_answered_or_refused_by_name() => Prop.ForAll<byte[]>(data =>
    {
        try
        {
            _ = ProtoReader.Read(ClusterType, data);
        }
        catch (ProtoException)
        {
            // Refused: that is an answer.
        }
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Every_message_of_the_schema_is_readable_when_empty()
    {
        foreach (var name in ProtoSchema.Shared.Messages.Keys)
            Assert.Empty(ProtoWriter.Write(name, ProtoReader.Read(name, [])));
    }
}
