using Tulle.Base;
using Tulle.Proxy;
using Tulle.Snapshot;

namespace Tulle.Sidecar.Tests;

/// <summary>H39: who is ejected, for how long, and how many at once. Numbers as Envoy 1.40 showed them.</summary>
public class OutlierTests
{
    private static UpstreamPlay Play(string outlier, int hosts) => new(UpstreamPlay.Cluster($"common_lb_config: {{ healthy_panic_threshold: {{ value: 0 }} }}, outlier_detection: {{ {outlier} }},", [.. Enumerable.Repeat("", hosts)]));

    private static HostState Host(UpstreamPlay play, int index) => play.Find().Hosts.ElementAt(index);

    private static void Fail(UpstreamPlay play, int index, int times)
    {
        for (var i = 0; i < times; i++)
            OutlierDetector.Answered(play.Proxy.Worker, Host(play, index), 500);
    }

    [Theory]
    [InlineData(2, "", false, 0)]
    [InlineData(2, "always_eject_one_host: true", true, 0)]
    [InlineData(2, "max_ejection_percent: 50", true, 0)]
    [InlineData(3, "max_ejection_percent: 34", true, 0)]
    [InlineData(3, "max_ejection_percent: 33", false, 0)]
    [InlineData(2, "max_ejection_percent: 100, enforcing_consecutive_5xx: 0", false, 1)]
    public void H39_the_percentage_is_never_passed_by_an_ejection(int hosts, string more, bool ejects, int ignored)
    {
        using var play = Play($"consecutive_5xx: 3, interval: 600s, {more}".TrimEnd(' ', ','), hosts);
        Fail(play, 0, 2);
        Assert.False(Host(play, 0).Health.IsEjected);
        Fail(play, 0, 1);
        Assert.Equal(ejects, Host(play, 0).Health.IsEjected);
        Assert.Equal(ejects ? 1 : 0, play.Proxy.Stat("cluster.c.outlier_detection.ejections_active"));
        Assert.Equal(1, play.Proxy.Stat("cluster.c.outlier_detection.ejections_detected_consecutive_5xx"));
        Assert.Equal(ejects || ignored > 0 ? 0 : 1, play.Proxy.Stat("cluster.c.outlier_detection.ejections_overflow"));
    }

    [Fact]
    public void H39_ejections_grow_while_a_host_fails_and_fall_while_it_does_not()
    {
        using var play = Play("consecutive_5xx: 1, interval: 0.2s, base_ejection_time: 0.6s, max_ejection_percent: 100", 1);
        long Out()
        {
            Fail(play, 0, 1);
            Assert.Equal("none", play.Picks(1).Keys.Single());
            var begun = play.Proxy.Kernel.NowMs;
            while (Host(play, 0).Health.IsEjected && play.Proxy.Kernel.NowMs < begun + 20_000)
                play.Pass(10);
            return play.Proxy.Kernel.NowMs - begun;
        }
        Assert.InRange(Out(), 590, 900);
        Assert.InRange(Out(), 1190, 1500);
        Assert.InRange(Out(), 1790, 2100);
        play.Pass(3000);
        Assert.InRange(Out(), 590, 900);
    }

    [Fact]
    public void H39_failures_to_connect_count_apart_when_split()
    {
        using var play = Play("split_external_local_origin_errors: true, consecutive_5xx: 2, consecutive_local_origin_failure: 3, interval: 600s, max_ejection_percent: 100", 2);
        Fail(play, 0, 1);
        for (var i = 0; i < 2; i++)
            OutlierDetector.Failed(play.Proxy.Worker, Host(play, 0), 503);
        Assert.False(Host(play, 0).Health.IsEjected);
        OutlierDetector.Connected(play.Proxy.Worker, Host(play, 0), isAnswer: false);
        for (var i = 0; i < 2; i++)
            OutlierDetector.Failed(play.Proxy.Worker, Host(play, 0), 503);
        Assert.False(Host(play, 0).Health.IsEjected);
        OutlierDetector.Failed(play.Proxy.Worker, Host(play, 0), 503);
        Assert.True(Host(play, 0).Health.IsEjected);
        Assert.Equal(1, play.Proxy.Stat("cluster.c.outlier_detection.ejections_enforced_consecutive_local_origin_failure"));
        Assert.Equal(0, play.Proxy.Stat("cluster.c.outlier_detection.ejections_detected_consecutive_5xx"));
    }

    [Fact]
    public void H39_a_TCP_connection_that_stands_resets_the_count()
    {
        using var play = Play("consecutive_5xx: 3, interval: 600s, max_ejection_percent: 100", 2);
        for (var i = 0; i < 6; i++)
        {
            OutlierDetector.Failed(play.Proxy.Worker, Host(play, 0), 503);
            if (i % 2 == 1)
                OutlierDetector.Connected(play.Proxy.Worker, Host(play, 0), isAnswer: true);
        }
        Assert.False(Host(play, 0).Health.IsEjected);
    }

    [Theory]
    [InlineData("failure_percentage_threshold: 80, enforcing_failure_percentage: 100, failure_percentage_request_volume: 5, enforcing_success_rate: 0", "failure_percentage", 8, 1)]
    [InlineData("failure_percentage_threshold: 81, enforcing_failure_percentage: 100, failure_percentage_request_volume: 5, enforcing_success_rate: 0", "failure_percentage", 8, 0)]
    [InlineData("success_rate_stdev_factor: 1000, success_rate_request_volume: 10", "success_rate", 5, 1)]
    [InlineData("success_rate_stdev_factor: 1000, success_rate_request_volume: 11", "success_rate", 5, 0)]
    [InlineData("success_rate_stdev_factor: 1000, success_rate_request_volume: 10, success_rate_minimum_hosts: 7", "success_rate", 5, 0)]
    public void H39_rates_eject_who_stands_out(string more, string kind, int bad, int ejected)
    {
        using var play = Play($"consecutive_5xx: 0, interval: 0.5s, base_ejection_time: 600s, max_ejection_percent: 100, {more}", 6);
        for (var host = 0; host < 6; host++)
        {
            for (var i = 0; i < 10; i++)
                OutlierDetector.Answered(play.Proxy.Worker, Host(play, host), host == 0 && i < bad ? 500 : 200);
        }
        play.Pass(700);
        Assert.Equal(ejected, play.Proxy.Stat($"cluster.c.outlier_detection.ejections_enforced_{kind}"));
        Assert.Equal(ejected == 1, Host(play, 0).Health.IsEjected);
    }

    [Fact]
    public void H39_without_the_configuration_nobody_stays_ejected()
    {
        using var play = Play("consecutive_5xx: 1, interval: 600s, base_ejection_time: 600s, max_ejection_percent: 100", 2);
        Fail(play, 0, 1);
        Assert.Equal(1, play.Find().HealthyCount);
        play.Proxy.Update(UpstreamPlay.Configuration(UpstreamPlay.Cluster("", "", ""), "{ match: { prefix: / }, route: { cluster: c } }"));
        Assert.Equal(2, play.Find().HealthyCount);
    }
}
