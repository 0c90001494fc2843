namespace Tulle.Sidecar.Tests;

/// <summary>Priorities, limits of one host, and pools of one downstream connection; bounds of answers' heads.</summary>
public class PriorityPoolTests
{
    private const string Routes = "{ match: { prefix: /high }, route: { cluster: c, priority: HIGH } }, { match: { prefix: / }, route: { cluster: c } }";

    private static string Options(string options) => $"common_http_protocol_options: {{ {options} }},";

    [Fact]
    public Task Row21_a_route_of_high_priority_has_thresholds_of_its_own() => Task.Run(() =>
    {
        using var play = new UpstreamPlay(
            UpstreamPlay.Cluster("circuit_breakers: { thresholds: [ { max_requests: 0 }, { priority: HIGH, max_requests: 1 } ] },", ""), Routes);
        Assert.Equal(503, play.Ask());
        Assert.Equal(200, play.Ask("/high"));
        Assert.Equal(200, play.Ask("/high"));
        Assert.Equal(503, play.Ask());
        Assert.Equal(0, play.Find().Shared.HighBreaker.Requests);
        Assert.Single(play.Connected);
    });

    [Fact]
    public Task Row21_and_connections_of_its_own() => Task.Run(() =>
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("", ""), Routes);
        foreach (var path in new[] { "/high", "/", "/high", "/" })
            Assert.Equal(200, play.Ask(path));
        Assert.Equal(2, play.Connected.Count);
        Assert.Equal(1, play.Find().Breaker.Connections);
        Assert.Equal(1, play.Find().Shared.HighBreaker.Connections);
        Assert.Equal(2, play.Find().Hosts.Single().Connections);
        // The pool goes with its host.
        play.Proxy.Update(UpstreamPlay.Configuration(UpstreamPlay.Named("d", "", ""), "{ match: { prefix: / }, route: { cluster: d } }"));
        play.Until(() => play.Proxy.Stat("cluster.c.upstream_cx_active") == 0, "a connection is left");
    });

    [Fact]
    public Task Row21_one_host_has_so_many_connections_and_who_waits_is_served() => Task.Run(() =>
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("circuit_breakers: { per_host_thresholds: [ { max_connections: 2 } ] },", "", ""), Routes);
        play.Answer = _ => (200, 50);
        var clients = Enumerable.Range(0, 12).Select(_ => play.Client()).ToList();
        clients.ForEach(c => c.Send("/"));
        play.Until(() => clients.All(c => c.Poll() > 0), "not every client has an answer");
        Assert.All(clients, c => Assert.Equal(200, c.Status));
        Assert.Equal(4, play.Connected.Count);
        Assert.All(play.Connected.CountBy(c => c), c => Assert.Equal(2, c.Value));
        // Another priority is another limit.
        Assert.Equal(200, play.Ask("/high"));
        Assert.Equal(5, play.Connected.Count);
    });

    [Fact]
    public Task Row21_an_answers_head_has_the_bytes_and_fields_that_its_cluster_says() => Task.Run(() =>
    {
        void Answers(int status, string options, string fields)
        {
            using var proxy = new SimulatedProxy(1, 4 << 20, isCalm: true, SimulatedProxy.Http(cluster: options));
            var upstream = new PlayedUpstream(proxy) { Answer = _ => $"HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok" };
            var client = new PlayedClient(proxy).Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            upstream.Until(() => client.Statuses.Count > 0, "no answer", client);
            Assert.Equal([status], client.Statuses);
            Assert.Equal(status == 502 ? 1 : 0, proxy.Stat("cluster.u.upstream_cx_protocol_error"));
        }
        var big = $"big: {new string('x', 10_000)}\r\n";
        var many = string.Concat(Enumerable.Range(0, 150).Select(i => $"h{i}: x\r\n"));
        Answers(200, "", big);
        Answers(502, Options("max_response_headers_kb: 8"), big);
        Answers(502, "", many);
        Answers(200, Options("max_headers_count: 200"), many);
        Answers(502, Options("max_headers_count: 10"), string.Concat(Enumerable.Repeat("a: b\r\n", 10)));
    });

    [Theory]
    [InlineData(180, 502)]
    [InlineData(300, 200)]
    public Task Row21_a_head_may_be_larger_than_what_a_loop_writes_at_once(int kilobytes, int status) => Task.Run(() =>
    {
        using var proxy = new SimulatedProxy(1, 4 << 20, isCalm: true, SimulatedProxy.Http(cluster: Options($"max_response_headers_kb: {kilobytes}")));
        var fields = string.Concat(Enumerable.Repeat($"big: {new string('x', 10_000)}\r\n", 20));
        var upstream = new PlayedUpstream(proxy) { Answer = _ => $"HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok" };
        var client = new PlayedClient(proxy).Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        upstream.Until(() => client.Statuses.Count > 0 && client.Got.EndsWith(status == 200 ? "\r\n\r\nok" : "error", StringComparison.Ordinal), "no answer", client);
        Assert.Equal([status], client.Statuses);
        Assert.Equal(status == 200 ? 20 : 0, client.Got.Split("big: ").Length - 1);
    });

    [Fact]
    public Task Row28_a_downstream_connection_has_upstream_connections_of_its_own() => Task.Run(() =>
    {
        using var play = new UpstreamPlay(UpstreamPlay.Cluster("connection_pool_per_downstream_connection: true,", ""));
        var (a, b) = (play.Client(), play.Client());
        for (var round = 1; round <= 3; round++)
        {
            foreach (var client in new[] { a, b })
            {
                client.Send("/");
                play.Until(() => client.Poll() == round, "no answer");
            }
        }
        Assert.Equal(2, play.Connected.Count);
        a.Socket.Close();
        play.Until(() => play.Find().Breaker.Connections == 1, "the connection outlives its owner");
        b.Socket.Close();
        play.Until(() => play.Find().Breaker.Connections == 0, "the connection outlives its owner");
    });
}
