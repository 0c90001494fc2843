using Tulle.Base;
using Tulle.Proxy;
using Tulle.Snapshot;

namespace Tulle.Sidecar.Tests;

/// <summary>Who is picked: weights, health, localities, subsets. Shares are Envoy's, seen with the same configurations.</summary>
public class BalanceTests
{
    private const string One = "10.0.1.1:80", Two = "10.0.1.2:80", Three = "10.0.1.3:80";

    private static void Share(Dictionary<string, int> picks, string name, double share) =>
        Assert.InRange(picks.GetValueOrDefault(name) / (double)picks.Values.Sum(), share - 0.03, share + 0.03);

    [Theory]
    [InlineData("LEAST_REQUEST", 100, 101, 0.498)]
    [InlineData("LEAST_REQUEST", 1, 9, 0.1)]
    [InlineData("ROUND_ROBIN", 1, 9, 0.1)]
    [InlineData("ROUND_ROBIN", 300, 100, 0.75)]
    public void H26_idle_hosts_are_used_by_their_weights(string policy, int first, int second, double share)
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster($"lb_policy: {policy},", $"load_balancing_weight: {first}", $"load_balancing_weight: {second}"));
        var picks = play.Picks(1000);
        Share(picks, One, share);
        Share(picks, Two, 1 - share);
    }

    [Fact]
    public void H26_a_busy_host_of_a_weighted_set_gets_less()
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("lb_policy: LEAST_REQUEST,", "load_balancing_weight: 1", "load_balancing_weight: 2"));
        play.Find().Hosts.First(h => h.Address.ToString() == Two).ActiveRequests = 19;
        // 1 against 2 / 20.
        Share(play.Picks(2000), Two, 0.091);
    }

    [Fact]
    public void H26_subsets_and_the_whole_do_not_disturb_each_other()
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("lb_subset_config: { fallback_policy: ANY_ENDPOINT, subset_selectors: [ { keys: [v] } ] },",
            "load_balancing_weight: 1, metadata: { filter_metadata: { envoy.lb: { v: a } } }", "load_balancing_weight: 3, metadata: { filter_metadata: { envoy.lb: { v: a } } }", "load_balancing_weight: 4"));
        var all = new Dictionary<string, int>();
        for (var i = 0; i < 400; i++)
        {
            foreach (var (name, count) in play.Picks(1))
                all[name] = all.GetValueOrDefault(name) + count;
            play.Picks(1, subset: Subset(("v", "sa")));
        }
        Share(all, One, 0.125);
        Share(all, Two, 0.375);
        Share(all, Three, 0.5);
    }

    [Fact]
    public void H54_degraded_hosts_serve_only_what_healthy_ones_cannot_carry()
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("", "health_status: HEALTHY", "health_status: DEGRADED"));
        var picks = play.Picks(2000);
        Share(picks, One, 0.7);
        Share(picks, Two, 0.3);
        Assert.Equal(1, play.Proxy.Stat("cluster.c.membership_degraded"));
        Assert.Equal(1, play.Proxy.Stat("cluster.c.membership_healthy"));
    }

    private const string Levels = "  - { name: c, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: c, endpoints: [ { lb_endpoints: [ #1 ] }, { priority: 1, lb_endpoints: [ #2, #3, #4 ] } ] } }\n";

    private static string TwoLevels(string health) => Enumerable.Range(1, 4).Aggregate(Levels, (text, n) => text.Replace($"#{n}", UpstreamPlay.Endpoint(n, health), StringComparison.Ordinal));

    [Fact]
    public void H54_in_total_panic_priorities_share_by_their_size()
    {
        using var play = new UpstreamPlay(TwoLevels("health_status: UNHEALTHY"));
        Share(play.Picks(2000), One, 0.25);
    }

    [Fact]
    public void H54_least_request_counts_what_other_loops_have_in_flight()
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("lb_policy: LEAST_REQUEST,", "", ""));
        var busy = play.Find().Hosts.First(h => h.Address.ToString() == One);
        var health = new EndpointHealthState(2) { ByLoop = { [0] = new HostState(play.Find(), busy.Config, busy.Health), [1] = busy } };
        busy.ActiveRequests = 3;
        Assert.Equal(3, health.ActiveRequests);
        // With two choices of two hosts the busy one is taken only when both choices fall on it.
        Share(play.Picks(2000), One, 0.25);
    }

    [Fact]
    public void H25_localities_are_chosen_by_weight_and_how_much_of_them_is_there()
    {
        string Locality(string zone, int number, string weight, string health) =>
            $"{{ locality: {{ zone: {zone} }}, {weight} lb_endpoints: [ {UpstreamPlay.Endpoint(number, health)}, {UpstreamPlay.Endpoint(number + 10)} ] }}";
        string Cluster(string health, string more) =>
            $"  - {{ name: c, type: STATIC, connect_timeout: 1s, {more} load_assignment: {{ cluster_name: c, endpoints: [ {Locality("a", 1, "load_balancing_weight: 90,", health)}, {Locality("b", 2, "load_balancing_weight: 10,", "")}, {Locality("d", 3, "", "")} ] }} }}\n";
        const string Weighted = "common_lb_config: { locality_weighted_lb_config: {} },";
        double Second(Dictionary<string, int> picks) => (picks.GetValueOrDefault("10.0.1.2:80") + picks.GetValueOrDefault("10.0.1.12:80")) / (double)picks.Values.Sum();
        using var healthy = new UpstreamPlay(Cluster("", Weighted));
        var even = healthy.Picks(1000);
        Assert.InRange(Second(even), 0.08, 0.12);
        Assert.DoesNotContain("10.0.1.3:80", even);
        // Half of the first is gone: 90 × 0.7 against 10.
        using var half = new UpstreamPlay(Cluster("health_status: UNHEALTHY", Weighted));
        Assert.InRange(Second(half.Picks(2000)), 0.115, 0.16);
        // Taken away again: all alike.
        using var without = new UpstreamPlay(Cluster("", ""));
        Assert.InRange(Second(without.Picks(1200)), 0.3, 0.37);
    }

    private static SubsetMatch Subset(params (string Key, string Value)[] pairs) => new(pairs.Select(p => KeyValuePair.Create(p.Key, p.Value)));

    private static string Subsets(string config) => UpstreamPlay.Cluster($"lb_subset_config: {config},", "metadata: { filter_metadata: { envoy.lb: { v: '1', w: '1', l: [x, y] } } }",
        "metadata: { filter_metadata: { envoy.lb: { v: '2', w: '1' } } }", "metadata: { filter_metadata: { envoy.lb: { v: '1', w: '2', n: 1 } } }");

    [Theory]
    [InlineData("", "none")]
    [InlineData("v=s1", One + " " + Three)]
    [InlineData("v=s1,w=s2", Three)]
    [InlineData("w=s9", One + " " + Two + " " + Three)]
    [InlineData("n=n1", Three)]
    [InlineData("n=s1", Two)]
    [InlineData("v=s1,x=sq", One + " " + Three)]
    [InlineData("q=sq", "none")]
    public void H27_subsets_are_found_or_fall_back_as_selector_and_cluster_say(string asked, string expected)
    {
        using var play = new UpstreamPlay(Subsets("""
            { fallback_policy: NO_FALLBACK, default_subset: { v: '2' }, subset_selectors: [ { keys: [v] }, { keys: [w, v] }, { keys: [w], fallback_policy: ANY_ENDPOINT },
              { keys: [n], fallback_policy: DEFAULT_SUBSET }, { keys: [v, x], fallback_policy: KEYS_SUBSET, fallback_keys_subset: [v] } ] }
            """.ReplaceLineEndings(" ")));
        var match = Subset([.. asked.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(p => p.Split('=')).Select(p => (p[0], p[1]))]);
        Assert.Equal(expected, string.Join(' ', play.Picks(30, subset: match).Keys.Order(StringComparer.Ordinal)));
    }

    [Fact]
    public void H27_a_list_stands_for_its_items_only_when_asked_for()
    {
        using var any = new UpstreamPlay(Subsets("{ list_as_any: true, subset_selectors: [ { keys: [l] } ] }"));
        Assert.Equal([One], any.Picks(5, subset: Subset(("l", "sx"))).Keys);
        Assert.Equal([One], any.Picks(5, subset: Subset(("l", "sy"))).Keys);
        using var whole = new UpstreamPlay(Subsets("{ subset_selectors: [ { keys: [l] } ] }"));
        Assert.Equal(["none"], whole.Picks(5, subset: Subset(("l", "sx"))).Keys);
        Assert.Equal([One], whole.Picks(5, subset: Subset(("l", "[sx,sy]"))).Keys);
    }

    [Fact]
    public void H27_an_empty_default_subset_panics_only_when_allowed()
    {
        using var strict = new UpstreamPlay(Subsets("{ fallback_policy: DEFAULT_SUBSET, default_subset: { v: gone }, subset_selectors: [ { keys: [v] } ] }"));
        Assert.Equal(["none"], strict.Picks(5).Keys);
        using var any = new UpstreamPlay(Subsets("{ fallback_policy: DEFAULT_SUBSET, default_subset: { v: gone }, panic_mode_any: true, subset_selectors: [ { keys: [v] } ] }"));
        Assert.Equal(3, any.Picks(300).Count);
        Assert.Equal(300, any.Proxy.Stat("cluster.c.lb_subsets_fallback_panic"));
    }

    [Fact]
    public void H27_a_weighted_clusters_metadata_is_merged_over_its_routes()
    {
        using var play = new UpstreamPlay(Subsets("{ subset_selectors: [ { keys: [v] }, { keys: [v, w] } ] }"), """
            { match: { prefix: / }, route: { metadata_match: { filter_metadata: { envoy.lb: { v: '1' } } },
              weighted_clusters: { clusters: [ { name: c, weight: 1, metadata_match: { filter_metadata: { envoy.lb: { w: '2' } } } } ] } } }
            """.ReplaceLineEndings(" "));
        for (var i = 0; i < 6; i++)
            Assert.Equal(200, play.Ask());
        Assert.All(play.Asked, a => Assert.Equal(Three, a));
    }

    [Fact]
    public void H27_without_metadata_a_cluster_without_fallback_has_no_host()
    {
        using var play = new UpstreamPlay(Subsets("{ subset_selectors: [ { keys: [v] } ] }"));
        Assert.Equal(503, play.Ask());
        Assert.Empty(play.Asked);
    }

    [Fact]
    public void H31_an_aggregate_uses_the_first_member_with_a_healthy_host()
    {
        using var play = new UpstreamPlay(UpstreamPlay.Named("a", "", "health_status: UNHEALTHY") + UpstreamPlay.Named("b", "", "") + """
              - { name: c, connect_timeout: 1s, lb_policy: CLUSTER_PROVIDED, cluster_type: { name: envoy.clusters.aggregate, typed_config: { "@type": type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [a, b] } } }
              - { name: loop, connect_timeout: 1s, lb_policy: CLUSTER_PROVIDED, cluster_type: { name: envoy.clusters.aggregate, typed_config: { "@type": type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [loop] } } }

            """.Trim('\n') + "\n");
        Assert.Equal("b", play.Proxy.Worker.FindMember("c")!.Config.Name);
        Assert.Null(play.Proxy.Worker.FindMember("loop"));
    }
}
