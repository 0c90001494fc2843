using Tulle.Base;
using Tulle.Proxy;
using Tulle.Snapshot;

namespace Tulle.Sidecar.Tests;

/// <summary>What is kept of hosts and clusters, and for how long.</summary>
public class PoolTests
{
    [Fact]
    public Task H40_a_new_version_of_a_listener_finds_the_connections_of_the_one_before() => Task.Run(() =>
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("", ""));
        var host = play.Find().Hosts.Single();
        Assert.True(host.TryPermit([]));
        var connection = UpstreamConnection.Begin(play.Proxy.Worker, host, ["istio-peer-exchange", "istio"], isPooled: true, new Loop.Signal(), out _, out _)!;
        play.Until(() => connection.Step() == ConnectStatus.Ready, "not connected");
        connection.Release();
        Assert.Null(host.TakeIdle([]));
        Assert.Null(host.TakeIdle(["istio", "istio-peer-exchange"]));
        Assert.Same(connection, host.TakeIdle(["istio-peer-exchange", "istio"]));
    });

    [Fact]
    public void H41_what_belongs_to_a_cluster_goes_with_it()
    {
        string Generation(int number) => UpstreamPlay.Cluster("", "") + string.Concat(Enumerable.Range(0, 40).Select(i => UpstreamPlay.Named($"g{number}-{i}", "outlier_detection: { consecutive_5xx: 3 },", "", "")));
        const string Route = "{ match: { prefix: / }, route: { cluster: c } }";
        using var play = new UpstreamPlay(Generation(0), Route);
        var names = play.Proxy.Shared.Stats.All.Count;
        for (var generation = 1; generation <= 3; generation++)
        {
            play.Proxy.Update(UpstreamPlay.Configuration(Generation(generation), Route));
            Assert.InRange(play.Proxy.Shared.Stats.All.Count, names - 50, names + 50);
        }
        play.Proxy.Update(UpstreamPlay.Configuration(UpstreamPlay.Cluster("", ""), Route));
        Assert.DoesNotContain(play.Proxy.Shared.Stats.All, s => s.ScopeName.StartsWith('g'));
        Assert.Contains(play.Proxy.Shared.Stats.All, s => s.ScopeName == "c");
    }

    [Fact]
    public void H41_an_endpoint_that_comes_back_starts_anew()
    {
        const string Route = "{ match: { prefix: / }, route: { cluster: c } }";
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("", "", ""), Route);
        var gone = play.Find().Hosts.Last();
        gone.Health.IsEjected = true;
        play.Proxy.Update(UpstreamPlay.Configuration(UpstreamPlay.Cluster("", ""), Route));
        Assert.Equal(1, play.Find().Shared.EndpointCount);
        play.Proxy.Update(UpstreamPlay.Configuration(UpstreamPlay.Cluster("", "", ""), Route));
        Assert.NotSame(gone.Health, play.Find().Hosts.Last().Health);
        Assert.Equal(2, play.Find().HealthyCount);
    }

    [Fact]
    public void H45_an_endpoint_without_connections_is_small()
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("", ""));
        var cluster = play.Find();
        var hosts = new HostState[1000];
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < hosts.Length; i++)
            hosts[i] = new HostState(cluster, new EndpointConfig { Address = Address.V4(0x0A000001, i) }, new EndpointHealthState(2));
        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - before) / hosts.Length, 1, 800);
    }

    private const string Original = "  - { name: c, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, connect_timeout: 1s }\n";

    [Fact]
    public Task H15_without_a_redirect_an_original_destination_is_nowhere() => Task.Run(() =>
    {
        using var play = new UpstreamPlay(Original);
        Assert.Equal(503, play.Ask());
        Assert.Empty(play.Connected);
        Assert.Equal(0, play.Proxy.Stat("cluster.c.upstream_cx_total"));
        Assert.Equal(1, play.Proxy.Stat("cluster.c.upstream_cx_none_healthy"));
    });

    [Fact]
    public void H15_our_own_listener_is_never_a_destination()
    {
        using var play = new UpstreamPlay(Original);
        Assert.True(Address.TryParseIp("10.0.0.2", 8080, out var listener));
        Assert.True(Address.TryParseIp("10.0.0.9", 8080, out var accepted));
        Assert.True(Address.TryParseIp("10.0.0.7", 8080, out var elsewhere));
        Assert.Null(play.Find().PickOriginal(listener, accepted));
        Assert.Null(play.Find().PickOriginal(accepted, accepted));
        Assert.Equal(elsewhere, play.Find().PickOriginal(elsewhere, accepted)!.Address);
    }
}
