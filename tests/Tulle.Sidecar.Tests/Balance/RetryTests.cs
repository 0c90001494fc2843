using Tulle.Base;
using Tulle.Proxy;

namespace Tulle.Sidecar.Tests;

/// <summary>Retries: how many at once, of what, when, and where to.</summary>
public class RetryTests
{
    private static string Route(string policy, string more = "") => $"{{ match: {{ prefix: / }}, {more} route: {{ cluster: c, timeout: 0s, retry_policy: {{ {policy} }} }} }}";

    private static Task Loop(Action work) => Task.Run(work);

    /// <summary>Ten requests at once, whose answers take a while; what the upstream saw.</summary>
    private static (int Seen, long Overflow) Ten(string breaker)
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster($"circuit_breakers: {{ thresholds: [ {{ {breaker} }} ] }},", ""), Route("retry_on: 5xx, num_retries: 1, retry_back_off: { base_interval: 0.001s }"))
        {
            Answer = _ => (503, 1000),
        };
        var clients = Enumerable.Range(0, 10).Select(_ => play.Client()).ToList();
        clients.ForEach(c => c.Send("/"));
        play.Until(() => clients.All(c => c.Poll() > 0), "not all are answered");
        // Nothing stays taken.
        Assert.Equal(0, play.Find().Breaker.Retries);
        return (play.Asked.Count, play.Proxy.Stat("cluster.c.upstream_rq_retry_overflow"));
    }

    [Theory]
    [InlineData("max_retries: 1", 11, 9)]
    [InlineData("max_retries: 4", 14, 6)]
    [InlineData("max_retries: 0", 10, 10)]
    [InlineData("max_retries: 1, retry_budget: { budget_percent: { value: 50 }, min_retry_concurrency: 1 }", 15, 5)]
    [InlineData("max_retries: 1, retry_budget: { budget_percent: { value: 1 }, min_retry_concurrency: 2 }", 12, 8)]
    [InlineData("max_retries: 1, retry_budget: {}", 13, 7)]
    public Task H22_retries_in_flight_have_a_limit(string breaker, int seen, int overflow) => Loop(() => Assert.Equal((seen, (long)overflow), Ten(breaker)));

    [Theory]
    [InlineData("GET", 2)]
    [InlineData("POST", 1)]
    public Task Row17_only_requests_that_match_are_retried(string method, int seen) => Loop(() =>
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("", ""), Route("retry_on: 5xx, retriable_request_headers: [ { name: ':method', string_match: { exact: GET } } ]")) { Answer = _ => (503, 0) };
        var client = play.Client();
        client.Send("/", "content-length: 0\r\n", method);
        play.Until(() => client.Poll() > 0, "no answer");
        Assert.Equal(seen, play.Asked.Count);
    });

    [Theory]
    [InlineData("5xx", 503, "x-envoy-ratelimited: true\r\n", 1)]
    [InlineData("envoy-ratelimited", 429, "x-envoy-ratelimited: true\r\n", 2)]
    [InlineData("envoy-ratelimited", 429, "", 1)]
    [InlineData("unavailable", 200, "grpc-status: 14\r\n", 2)]
    [InlineData("unavailable", 200, "grpc-status: 8\r\n", 1)]
    [InlineData("resource-exhausted", 200, "grpc-status: 8\r\n", 2)]
    [InlineData("cancelled", 200, "grpc-status: 1\r\n", 2)]
    [InlineData("deadline-exceeded", 200, "grpc-status: 4\r\n", 2)]
    [InlineData("internal", 200, "grpc-status: 13\r\n", 2)]
    [InlineData("internal", 200, "grpc-status: 0\r\n", 1)]
    public Task Row18_the_words_look_at_the_answer(string on, int status, string fields, int seen) => Loop(() =>
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("", ""), Route($"retry_on: {on}")) { Answer = _ => (status, 0), Fields = fields };
        Assert.Equal(status, play.Ask());
        Assert.Equal(seen, play.Asked.Count);
    });

    private const string At = "type.googleapis.com/envoy.extensions.retry.";

    [Theory]
    [InlineData("{ name: any, typed_config: { '@type': " + At + "host.previous_hosts.v3.PreviousHostsPredicate } }", "")]
    [InlineData("{ name: any, typed_config: { '@type': " + At + "host.omit_canary_hosts.v3.OmitCanaryHostsPredicate } }", "")]
    [InlineData("{ name: any, typed_config: { '@type': " + At + "host.omit_host_metadata.v3.OmitHostMetadataConfig, metadata_match: { filter_metadata: { envoy.lb: { v: a } } } } }", "")]
    public Task Row19_a_host_predicate_is_known_by_its_type(string predicate, string ignored) => Loop(() =>
    {
        const string Odd = "metadata: { filter_metadata: { envoy.lb: { canary: true, v: a } } }";
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("", Odd, ""), Route($"retry_on: 5xx, retry_host_predicate: [ {predicate} ], host_selection_retry_max_attempts: 20")) { Answer = a => (a.ToString() == "10.0.1.1:80" ? 503 : 200, 0) };
        for (var i = 0; i < 20; i++)
            Assert.Equal(200, play.Ask());
        Assert.Empty(ignored);
    });

    [Fact]
    public Task Row19_a_retry_moves_to_the_next_priority() => Loop(() =>
    {
        var levels = "  - { name: c, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: c, endpoints: [ { lb_endpoints: [ " + UpstreamPlay.Endpoint(1) + " ] }, { priority: 1, lb_endpoints: [ " + UpstreamPlay.Endpoint(2) + " ] } ] } }\n";
        using var play = new UpstreamPlay(levels, Route($"retry_on: 5xx, retry_priority: {{ name: any, typed_config: {{ '@type': {At}priority.previous_priorities.v3.PreviousPrioritiesConfig, update_frequency: 1 }} }}"))
        {
            Answer = a => (a.ToString() == "10.0.1.1:80" ? 503 : 200, 0),
        };
        for (var i = 0; i < 5; i++)
            Assert.Equal(200, play.Ask());
        Assert.Equal(10, play.Asked.Count);
    });

    [Theory]
    [InlineData("reset: 3", "SECONDS", "", 3000, 4600)]
    [InlineData("reset: 3", "SECONDS", "max_interval: 2s,", 0, 300)]
    [InlineData("reset: x", "SECONDS", "", 0, 300)]
    public Task Row20_an_answer_may_say_how_long_to_wait(string field, string format, string max, int from, int to) => Loop(() =>
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("", ""), Route($"retry_on: 5xx, retry_back_off: {{ base_interval: 0.01s }}, rate_limited_retry_back_off: {{ {max} reset_headers: [ {{ name: Reset, format: {format} }} ] }}"))
        {
            Answer = _ => (503, 0),
            Fields = field + "\r\n",
        };
        var begun = play.Proxy.Kernel.NowMs;
        Assert.Equal(503, play.Ask());
        Assert.Equal(2, play.Asked.Count);
        Assert.InRange(play.Proxy.Kernel.NowMs - begun, from, to);
    });

    [Theory]
    [InlineData("per_request_buffer_limit_bytes: 100,", 1)]
    [InlineData("per_request_buffer_limit_bytes: 1000,", 2)]
    [InlineData("request_body_buffer_limit: 100, per_request_buffer_limit_bytes: 1000,", 1)]
    [InlineData("", 2)]
    public Task Row20_a_body_above_its_limit_passes_and_is_not_retried(string more, int seen) => Loop(() =>
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("", ""), Route("retry_on: 5xx", more)) { Answer = _ => (503, 0) };
        var client = play.Client();
        client.Send("/", "content-length: 500\r\n", "POST");
        client.Socket.Write(new byte[500]);
        play.Until(() => client.Poll() > 0, "no answer");
        Assert.Equal(503, client.Status);
        Assert.Equal(seen, play.Asked.Count);
    });
}
