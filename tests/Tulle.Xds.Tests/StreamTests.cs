using Tulle.Base.Documents;
using Tulle.Xds;

namespace Tulle.Xds.Tests;

/// <summary>Our client's rules against our server's: the same transcript seen from both ends.</summary>
public class StreamTests
{
    private static XdsResource Cluster(string name, string version) =>
        new(name, version, XdsTypes.Cluster, ProtoWriter.Write("envoy.config.cluster.v3.Cluster", Node.Map(("name", name), ("alt_stat_name", version))));

    private static Dictionary<string, XdsResource> Set(params XdsResource[] resources) => resources.ToDictionary(r => r.Name, StringComparer.Ordinal);

    private static readonly Node Self = Node.Map(("id", "sidecar~1.2.3.4~a.b~b.svc.cluster.local"));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_was_acknowledged_is_not_sent_again(bool isDelta)
    {
        var client = new XdsClientState(isDelta, Self);
        var server = new XdsServerState(isDelta);
        Assert.Null(server.OnRequest(client.Encode(client.SubscribeAll(XdsTypes.Cluster)!)));
        var answer = server.Push(XdsTypes.Cluster, Set(Cluster("a", "1"), Cluster("b", "1")), "v1");
        var update = client.OnResponse(answer!);
        Assert.Equal(["a", "b"], update.Resources.Select(r => r.Name).Order());
        Assert.Null(server.OnRequest(client.Encode(client.Acknowledge(update, null))));
        Assert.Null(server.Push(XdsTypes.Cluster, Set(Cluster("a", "1"), Cluster("b", "1")), "v1"));
        Assert.Equal(("v1", "v1", false), Normal(server.StatusOf(XdsTypes.Cluster)));
    }

    private static (string, string, bool) Normal(XdsStatus status) => (status.Sent.Length > 0 ? "v1" : "", status.Sent == status.Acked ? "v1" : "", status.Rejected);

    [Fact]
    public void Delta_sends_only_what_changed_and_names_what_went()
    {
        var client = new XdsClientState(true, Self);
        var server = new XdsServerState(true);
        server.OnRequest(client.Encode(client.SubscribeAll(XdsTypes.Cluster)!));
        var first = client.OnResponse(server.Push(XdsTypes.Cluster, Set(Cluster("a", "1"), Cluster("b", "1"), Cluster("c", "1")), "v1")!);
        server.OnRequest(client.Encode(client.Acknowledge(first, null)));
        var second = client.OnResponse(server.Push(XdsTypes.Cluster, Set(Cluster("a", "1"), Cluster("b", "2")), "v2")!);
        Assert.Equal(["b"], second.Resources.Select(r => r.Name));
        Assert.Equal(["c"], second.Removed);
    }

    [Fact]
    public void A_refusal_reaches_the_server_with_its_reason()
    {
        var client = new XdsClientState(true, Self);
        var server = new XdsServerState(true);
        server.OnRequest(client.Encode(client.SubscribeAll(XdsTypes.Cluster)!));
        var update = client.OnResponse(server.Push(XdsTypes.Cluster, Set(Cluster("a", "1")), "v1")!);
        var refusal = server.OnRequest(client.Encode(client.Acknowledge(update, "a: no such policy", ["a"])));
        Assert.Equal("a: no such policy", refusal!.Message);
        Assert.True(server.StatusOf(XdsTypes.Cluster).Rejected);
    }

    [Fact]
    public void A_new_stream_asks_for_the_same_again()
    {
        var client = new XdsClientState(true, Self);
        var server = new XdsServerState(true);
        server.OnRequest(client.Encode(client.SubscribeAll(XdsTypes.Cluster)!));
        var update = client.OnResponse(server.Push(XdsTypes.Cluster, Set(Cluster("a", "1")), "v1")!);
        client.Acknowledge(update, null);
        var other = new XdsServerState(true);
        foreach (var request in client.OnStreamStart())
            Assert.Null(other.OnRequest(client.Encode(request)));
        Assert.True(other.Wants(XdsTypes.Cluster));
        Assert.Equal("sidecar~1.2.3.4~a.b~b.svc.cluster.local", other.Node!["id"]!.AsText);
    }

    [Fact]
    public void N12_what_cannot_be_decoded_is_refused_under_its_nonce()
    {
        var client = new XdsClientState(false, Self);
        var server = new XdsServerState(false);
        server.OnRequest(client.Encode(client.SubscribeAll(XdsTypes.Cluster)!));
        var good = server.Push(XdsTypes.Cluster, Set(Cluster("a", "1")), "v1")!;
        // Field 2 (resources) once more, with an Any that is cut off.
        var update = client.OnResponse([.. good, (2 << 3) | 2, 2, 10, 9]);
        Assert.NotNull(update.Malformed);
        var refusal = server.OnRequest(client.Encode(client.Acknowledge(update, update.Malformed)));
        Assert.Contains("cannot be decoded", refusal!.Message, StringComparison.Ordinal);
        Assert.Throws<ProtoException>(() => client.OnResponse([10, 200]));
    }

    [Fact]
    public void N12_a_type_nobody_asked_for_leaves_nothing_behind()
    {
        var client = new XdsClientState(false, Self);
        client.SubscribeAll(XdsTypes.Cluster);
        Assert.True(client.OnResponse([(4 << 3) | 2, 3, (byte)'a', (byte)'b', (byte)'c']).IsUnasked);
        Assert.Single(client.OnStreamStart());
    }
}
