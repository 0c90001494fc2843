namespace Tulle.Sidecar.Tests;

/// <summary>How long a request, an attempt and a connection may last (row 16), and how long an attempt may say nothing (row 20).</summary>
public class DurationTests
{
    private const string Get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    private const string Manager = "common_http_protocol_options: { max_stream_duration: 0.4s }";

    private static SimulatedProxy Calm(string configuration) => new(1, 16 * 1024, isCalm: true, configuration);

    private static string Answer(string configuration, string request, out long afterMs)
    {
        using var proxy = Calm(configuration);
        var upstream = new PlayedUpstream(proxy);
        var client = new PlayedClient(proxy).Send(request);
        var start = proxy.Kernel.NowMs;
        upstream.Until(() => client.Statuses.Count > 0, "no answer", client);
        afterMs = proxy.Kernel.NowMs - start;
        return client.Got;
    }

    [Theory]
    [InlineData("", Get, "504")]
    [InlineData("", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", "408")]
    [InlineData("", "POST / HT", "408")]
    [InlineData("max_stream_duration: { max_stream_duration: 0.2s },", Get, "504")]
    [InlineData("max_stream_duration: { max_stream_duration: 0s }, idle_timeout: 0.9s,", Get, "504")]
    public Task Row16_a_request_has_so_long(string route, string request, string status) => Task.Run(() =>
    {
        var got = Answer(SimulatedProxy.Http(route + " timeout: 0s", manager: Manager), request, out var afterMs);
        Assert.StartsWith("HTTP/1.1 " + status, got, StringComparison.Ordinal);
        var (limit, text) = route.Contains("0.2s", StringComparison.Ordinal) ? (200, "downstream duration timeout")
            : route.Length > 0 ? (900, "stream timeout") : (400, "downstream duration timeout");
        Assert.InRange(afterMs, limit, limit + 40);
        Assert.EndsWith("\r\n\r\n" + text, got, StringComparison.Ordinal);
    });

    [Fact]
    public Task Row16_an_attempt_has_so_long() => Task.Run(() =>
    {
        var got = Answer(SimulatedProxy.Http("timeout: 0s", "common_http_protocol_options: { max_stream_duration: 0.4s },"), Get, out var afterMs);
        Assert.StartsWith("HTTP/1.1 504", got, StringComparison.Ordinal);
        Assert.EndsWith("\r\n\r\nupstream max stream duration reached", got, StringComparison.Ordinal);
        Assert.InRange(afterMs, 400, 440);
    });

    [Fact]
    public Task Row20_an_attempt_that_says_nothing_is_repeated_and_then_given_up() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http("timeout: 0s, retry_policy: { retry_on: reset, num_retries: 1, per_try_idle_timeout: 0.3s }"));
        var upstream = new PlayedUpstream(proxy);
        var client = new PlayedClient(proxy).Send(Get);
        upstream.Until(() => client.Statuses.Count > 0, "no answer", client);
        Assert.Equal([504], client.Statuses);
        Assert.Equal(2, upstream.Connections.Count);
        Assert.Equal(2, proxy.Stat("cluster.u.upstream_rq_per_try_idle_timeout"));
    });

    [Fact]
    public Task Row20_an_attempt_that_goes_on_is_not_cut() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http("timeout: 0s, retry_policy: { per_try_idle_timeout: 0.3s }"));
        var upstream = new PlayedUpstream(proxy);
        var client = new PlayedClient(proxy).Send(Get);
        upstream.Until(() => upstream.Connections is [{ Got.Length: > 0 }], "no request came", client);
        upstream.Connections[0].Send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n");
        for (var i = 0; i < 6; i++)
        {
            proxy.Pass(200);
            upstream.Connections[0].Send("x");
        }
        upstream.Until(() => client.Got.EndsWith("xxxxxx", StringComparison.Ordinal), "the answer was cut", client);
        Assert.Equal(0, proxy.Stat("cluster.u.upstream_rq_per_try_idle_timeout"));
    });

    [Fact]
    public Task Row16_an_old_connection_says_close_and_an_idle_one_is_closed() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(
            manager: "common_http_protocol_options: { max_connection_duration: 0.5s }\n          drain_timeout: 1s", action: "direct_response: { status: 200 }"));
        var upstream = new PlayedUpstream(proxy);
        var (asks, idle) = (new PlayedClient(proxy).Send(Get), new PlayedClient(proxy).Send(Get));
        upstream.Until(() => asks.Statuses.Count == 1 && idle.Statuses.Count == 1, "no answer", asks, idle);
        Assert.DoesNotContain("close", asks.Got, StringComparison.OrdinalIgnoreCase);
        proxy.Pass(700);
        idle.Play();
        Assert.False(idle.IsEnded);
        asks.Send(Get);
        upstream.Until(() => asks.IsEnded, "it goes on for ever", asks);
        Assert.Equal([200, 200], asks.Statuses);
        Assert.Contains("connection: close", asks.Got, StringComparison.OrdinalIgnoreCase);
        proxy.Pass(1000);
        idle.Play();
        Assert.True(idle.IsEnded);
        Assert.Equal(2, proxy.Stat("http.h.downstream_cx_max_duration_reached"));
    });
}
