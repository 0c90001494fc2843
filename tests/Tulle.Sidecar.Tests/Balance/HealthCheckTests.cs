using Tulle.Base;

namespace Tulle.Sidecar.Tests;

/// <summary>H23: checks follow their configuration, also when it changes or is taken away.</summary>
public class HealthCheckTests
{
    private const string Route = "{ match: { prefix: / }, route: { cluster: c } }";

    private static Task Loop(Action work) => Task.Run(work);

    private static string Cluster(string check, string more = "", string endpoint = "") => UpstreamPlay.Cluster(
        $"common_lb_config: {{ healthy_panic_threshold: {{ value: 0 }} }}, {more} health_checks: [ {{ timeout: 0.2s, interval: 0.2s, no_traffic_interval: 0.2s, healthy_threshold: 2, unhealthy_threshold: 3, {check} }} ],", endpoint);

    private static string Http(string more = "", string path = "/hc") => $"http_health_check: {{ path: {path}{(more.Length > 0 ? ", " + more : "")} }}";

    private static void Is(UpstreamPlay play, int healthy, string when) =>
        play.Until(() => play.Find().HealthyCount == healthy, $"{when}: {play.Find().HealthyCount} healthy instead of {healthy}");

    [Fact]
    public Task H23_a_host_waits_for_its_first_check_and_a_wrong_status_fails_at_once() => Loop(() =>
    {
        using var play = new UpstreamPlay(Cluster(Http()));
        Assert.Equal(0, play.Find().HealthyCount);
        Is(play, 1, "the first good check");
        play.Answer = _ => (500, 0);
        var failures = play.Proxy.Stat("cluster.c.health_check.failure");
        Is(play, 0, "a wrong status");
        Assert.Equal(failures + 1, play.Proxy.Stat("cluster.c.health_check.failure"));
        // Two good ones in a row are needed from now on.
        play.Answer = _ => (200, 0);
        var successes = play.Proxy.Stat("cluster.c.health_check.success");
        Is(play, 1, "good again");
        Assert.Equal(successes + 2, play.Proxy.Stat("cluster.c.health_check.success"));
    });

    [Fact]
    public Task H23_no_answer_waits_for_the_threshold() => Loop(() =>
    {
        using var play = new UpstreamPlay(Cluster(Http()));
        Is(play, 1, "the first good check");
        play.Answer = _ => (200, 60_000);
        Is(play, 0, "answers that do not come");
        Assert.Equal(3, play.Proxy.Stat("cluster.c.health_check.network_failure"));
    });

    [Fact]
    public Task H23_a_changed_check_takes_the_place_of_the_old_one() => Loop(() =>
    {
        using var play = new UpstreamPlay(Cluster(Http(path: "/h1")), Route);
        Is(play, 1, "the first check");
        play.Proxy.Update(UpstreamPlay.Configuration(Cluster(Http(path: "/h2")), Route));
        Assert.Equal(1, play.Find().HealthyCount);
        play.Received.Clear();
        play.Pass(2000);
        Assert.DoesNotContain("GET /h1 ", play.Received.ToString(), StringComparison.Ordinal);
        Assert.Contains("GET /h2 ", play.Received.ToString(), StringComparison.Ordinal);
    });

    [Fact]
    public Task H23_without_its_checks_a_failed_host_is_used_again() => Loop(() =>
    {
        using var play = new UpstreamPlay(Cluster(Http()), Route) { Answer = _ => (500, 0) };
        play.Until(() => play.Proxy.Stat("cluster.c.health_check.failure") > 0, "no check failed");
        Assert.Equal(503, play.Ask());
        play.Proxy.Update(UpstreamPlay.Configuration(UpstreamPlay.Cluster("common_lb_config: { healthy_panic_threshold: { value: 0 } },", ""), Route));
        play.Answer = _ => (200, 0);
        Assert.Equal(200, play.Ask());
        play.Received.Clear();
        play.Pass(2000);
        Assert.Empty(play.Received.ToString());
    });

    [Fact]
    public Task H23_a_check_under_way_when_the_checks_go_says_nothing() => Loop(() =>
    {
        using var play = new UpstreamPlay(Cluster(Http()), Route) { Answer = _ => (200, 60_000) };
        play.Until(() => play.Asked.Count > 0, "no check was sent");
        play.Proxy.Update(UpstreamPlay.Configuration(UpstreamPlay.Cluster("", ""), Route));
        play.Pass(1000);
        Assert.Equal(1, play.Find().HealthyCount);
    });

    [Theory]
    [InlineData("method: HEAD", "", "HEAD /hc HTTP/1.1\r\nhost: c\r\n")]
    [InlineData("host: hc.test", "", "GET /hc HTTP/1.1\r\nhost: hc.test\r\n")]
    [InlineData("host: hc.test", "health_check_config: { hostname: own.test }", "GET /hc HTTP/1.1\r\nhost: own.test\r\n")]
    public Task H23_the_request_is_as_configured(string more, string endpoint, string expected) => Loop(() =>
    {
        using var play = new UpstreamPlay(Endpoint(Cluster(Http(more)), endpoint));
        play.Until(() => play.Asked.Count > 0, "no check was sent");
        Assert.StartsWith(expected, play.Received.ToString(), StringComparison.Ordinal);
        Assert.Contains("user-agent: Envoy/HC\r\n", play.Received.ToString(), StringComparison.Ordinal);
    });

    /// <summary>Puts a field into the endpoint itself.</summary>
    private static string Endpoint(string cluster, string field) => field.Length == 0 ? cluster : cluster.Replace("port_value: 80 } }", $"port_value: 80 }} }}, {field}", StringComparison.Ordinal);

    [Fact]
    public Task H23_an_endpoint_has_its_own_port_or_is_not_checked() => Loop(() =>
    {
        using var port = new UpstreamPlay(Endpoint(Cluster(Http()), "health_check_config: { port_value: 8099 }")) { Answer = a => (a.Port == 8099 ? 200 : 500, 0) };
        Is(port, 1, "checked on its own port");
        Assert.All(port.Connected, a => Assert.EndsWith(":8099", a, StringComparison.Ordinal));
        Assert.Equal(500, port.Ask());
        using var disabled = new UpstreamPlay(Endpoint(Cluster(Http()), "health_check_config: { disable_active_health_check: true }"));
        Assert.Equal(1, disabled.Find().HealthyCount);
        disabled.Pass(1000);
        Assert.Empty(disabled.Connected);
        using var alternate = new UpstreamPlay(Cluster(Http() + ", alt_port: 8098"));
        Is(alternate, 1, "checked on the alternate port");
        Assert.All(alternate.Connected, a => Assert.EndsWith(":8098", a, StringComparison.Ordinal));
    });

    [Theory]
    [InlineData("service_name_matcher: { prefix: shop }", "x-envoy-upstream-healthchecked-cluster: shop-1\r\n", 200, true)]
    [InlineData("service_name_matcher: { prefix: shop }", "x-envoy-upstream-healthchecked-cluster: cart\r\n", 200, false)]
    [InlineData("service_name_matcher: { prefix: shop }", "", 200, false)]
    [InlineData("expected_statuses: [ { start: 200, end: 300 } ]", "", 204, true)]
    [InlineData("", "", 204, false)]
    public Task H23_the_answer_is_judged_as_configured(string more, string fields, int status, bool passes) => Loop(() =>
    {
        using var play = new UpstreamPlay(Cluster(Http(more))) { Fields = fields, Answer = _ => (status, 0) };
        play.Until(() => play.Proxy.Stat(passes ? "cluster.c.health_check.success" : "cluster.c.health_check.failure") > 0, "no verdict");
        Assert.Equal(passes ? 1 : 0, play.Find().HealthyCount);
    });

    [Fact]
    public Task H23_an_answer_that_announces_failure_takes_the_host_out_at_once() => Loop(() =>
    {
        using var play = new UpstreamPlay(Cluster(Http(), "").Replace("interval: 0.2s", "interval: 60s", StringComparison.Ordinal).Replace("no_traffic_interval: 60s", "no_traffic_interval: 60s, unhealthy_interval: 60s", StringComparison.Ordinal));
        Is(play, 1, "the first check");
        play.Fields = "x-envoy-immediate-health-check-fail: true\r\n";
        Assert.Equal(200, play.Ask());
        Is(play, 0, "the announcement");
        Assert.Equal(1, play.Proxy.Stat("cluster.c.membership_excluded"));
        Assert.Equal(1, play.Proxy.Stat("cluster.c.health_check.passive_failure"));
    });

    [Fact]
    public Task H23_a_TCP_check_needs_what_it_waits_for() => Loop(() =>
    {
        string Tcp(string receive) => Cluster($"tcp_health_check: {{ send: {{ text: '474554202f2048545450 2f312e310d0a486f73743a20610d0a0d0a' }}, receive: [ {{ text: '{receive}' }}, {{ binary: 'b2s=' }} ] }}".Replace(" 2f312e", "2f312e", StringComparison.Ordinal));
        // "HTTP" and then "ok" come; "NO" does not.
        using var good = new UpstreamPlay(Tcp("48545450"));
        Is(good, 1, "HTTP … ok");
        using var bad = new UpstreamPlay(Tcp("4e4f"));
        bad.Until(() => bad.Proxy.Stat("cluster.c.health_check.network_failure") > 2, "no failure");
        Assert.Equal(0, bad.Find().HealthyCount);
    });

    [Fact]
    public Task H23_a_failed_host_keeps_no_pooled_connection() => Loop(() =>
    {
        using var play = new UpstreamPlay(Cluster(Http()));
        Is(play, 1, "the first check");
        Assert.Equal(200, play.Ask());
        Assert.Equal(1, play.Proxy.Stat("cluster.c.upstream_cx_active"));
        play.Answer = _ => (500, 0);
        play.Until(() => play.Proxy.Stat("cluster.c.upstream_cx_active") == 0, "the idle connection stays");
    });

    [Fact]
    public Task H23_without_traffic_the_slow_interval_holds() => Loop(() =>
    {
        using var play = new UpstreamPlay(Cluster(Http()).Replace("no_traffic_interval: 0.2s", "no_traffic_interval: 5s", StringComparison.Ordinal));
        Is(play, 1, "the first check");
        play.Pass(4000);
        Assert.Single(play.Asked);
        play.Ask();
        play.Pass(4000);
        Assert.InRange(play.Asked.Count, 8, 40);
    });
}
