using Tulle.Xds;

namespace Tulle.Control.Tests;

/// <summary>D1: a cluster is there before the route that names it, and goes after the route that named it.</summary>
public class MakeBeforeBreakTests
{
    private readonly FakeMaker _maker = new();
    private readonly ManualTime _time = new();

    private FakeProxy Running(bool isDelta)
    {
        var proxy = new FakeProxy(isDelta, _maker, _time);
        _maker.Set(XdsTypes.Cluster, ("a", "1"), ("a-v2", "1"));
        _maker.Set(XdsTypes.Endpoint, ("a", "1"), ("a-v2", "1"));
        _maker.Set(XdsTypes.Listener, ("l", "1"));
        _maker.Set(XdsTypes.Route, ("80", "1"));
        proxy.Request(XdsTypes.Cluster);
        proxy.Request(XdsTypes.Endpoint, "", null, "a", "a-v2");
        proxy.Request(XdsTypes.Listener);
        proxy.Request(XdsTypes.Route, "", null, "80");
        proxy.Drain();
        return proxy;
    }

    private void TakeAway()
    {
        _maker.Set(XdsTypes.Cluster, ("a", "1"));
        _maker.Set(XdsTypes.Endpoint, ("a", "1"));
        _maker.Set(XdsTypes.Route, ("80", "2"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void D01_a_cluster_stays_until_the_routes_without_it_are_acknowledged(bool isDelta)
    {
        var proxy = Running(isDelta);
        TakeAway();
        proxy.Publish();
        var route = proxy.Next()!;
        Assert.Equal(XdsTypes.Route, route.Type);
        Assert.Null(proxy.Next());
        Assert.Contains("a-v2", proxy.Held[XdsTypes.Cluster]);
        proxy.Ack(route, isDelta ? [] : ["80"]);
        Assert.Equal(XdsTypes.Cluster, proxy.Drain()[0].Type);
        Assert.DoesNotContain("a-v2", proxy.Held[XdsTypes.Cluster]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void D01_additions_and_removals_in_one_edit_keep_their_order(bool isDelta)
    {
        var proxy = Running(isDelta);
        _maker.Set(XdsTypes.Cluster, ("a", "1"), ("a-v3", "1"));
        _maker.Set(XdsTypes.Endpoint, ("a", "1"), ("a-v3", "1"));
        _maker.Set(XdsTypes.Route, ("80", "3"));
        proxy.Publish();
        var clusters = proxy.Next()!;
        Assert.Equal(XdsTypes.Cluster, clusters.Type);
        Assert.Contains("a-v3", clusters.Names);
        Assert.Contains("a-v2", proxy.Held[XdsTypes.Cluster]);
        Assert.Null(proxy.Next());
        proxy.Ack(clusters);
        // The new cluster has no endpoints yet: its route would have nobody to go to.
        Assert.Null(proxy.Next());
        proxy.Request(XdsTypes.Endpoint, isDelta ? "" : Nonce(proxy), null, isDelta ? ["a-v3"] : ["a", "a-v2", "a-v3"]);
        var endpoints = proxy.Next()!;
        Assert.Equal(XdsTypes.Endpoint, endpoints.Type);
        Assert.Null(proxy.Next());
        proxy.Ack(endpoints, isDelta ? [] : ["a", "a-v2", "a-v3"]);
        var route = proxy.Next()!;
        Assert.Equal(XdsTypes.Route, route.Type);
        Assert.Contains("a-v2", proxy.Held[XdsTypes.Cluster]);
        proxy.Ack(route, isDelta ? [] : ["80"]);
        proxy.Drain();
        Assert.DoesNotContain("a-v2", proxy.Held[XdsTypes.Cluster]);
    }

    private static string Nonce(FakeProxy proxy) => proxy.LastNonce[XdsTypes.Endpoint];

    [Fact]
    public void D01_a_silent_proxy_does_not_keep_it_for_ever()
    {
        var proxy = Running(isDelta: true);
        TakeAway();
        proxy.Publish();
        Assert.Equal(XdsTypes.Route, proxy.Next()!.Type);
        proxy.Stream.Tick();
        Assert.Null(proxy.Next());
        _time.Advance(TimeSpan.FromMilliseconds(ProxyStream.WaitMsMax));
        proxy.Stream.Tick();
        Assert.Equal(["a-v2"], proxy.Next()!.Removed);
    }

    [Fact]
    public void D01_a_refused_route_keeps_the_clusters_that_the_accepted_one_names()
    {
        var proxy = Running(isDelta: true);
        TakeAway();
        proxy.Publish();
        proxy.Request(XdsTypes.Route, proxy.Next()!.Nonce, "no");
        _time.Advance(TimeSpan.FromMilliseconds(10 * ProxyStream.WaitMsMax));
        proxy.Stream.Tick();
        Assert.Null(proxy.Next());
        Assert.Contains("a-v2", proxy.Held[XdsTypes.Cluster]);
        _maker.Set(XdsTypes.Route, ("80", "4"));
        proxy.Publish();
        proxy.Drain();
        Assert.DoesNotContain("a-v2", proxy.Held[XdsTypes.Cluster]);
    }

    [Fact]
    public void D01_what_is_wanted_again_before_it_went_is_not_taken_away()
    {
        var proxy = Running(isDelta: true);
        TakeAway();
        proxy.Publish();
        var route = proxy.Next()!;
        _maker.Set(XdsTypes.Cluster, ("a", "1"), ("a-v2", "1"));
        _maker.Set(XdsTypes.Endpoint, ("a", "1"), ("a-v2", "1"));
        _maker.Set(XdsTypes.Route, ("80", "1"));
        proxy.Publish();
        proxy.Ack(route);
        Assert.DoesNotContain(proxy.Drain(), r => r.Removed.Count > 0);
    }
}
