namespace Tulle.Sidecar.Tests;

/// <summary>Upstreams that never pause, answer twice, answer what nobody asked, or hang up at the wrong moment.</summary>
public class HostileUpstreamTests
{
    private const string Get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    private const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    private const string Trailers = "http_protocol_options: { enable_trailers: true }";
    private const string UpstreamTrailers = "typed_extension_protocol_options: { envoy.extensions.upstreams.http.v3.HttpProtocolOptions: { \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: { http_protocol_options: { enable_trailers: true } } } },";

    private static SimulatedProxy Calm(string configuration, int windowBytes = 16 * 1024) => new(1, windowBytes, isCalm: true, configuration);

    /// <summary>A request whose answer is written by hand.</summary>
    private static (PlayedUpstream Upstream, PlayedClient Client) Ask(SimulatedProxy proxy, string request = Get)
    {
        var upstream = new PlayedUpstream(proxy);
        var client = new PlayedClient(proxy).Send(request);
        upstream.Until(() => upstream.Connections is [{ Got.Length: > 0 }], "no request came", client);
        return (upstream, client);
    }

    [Fact]
    public Task X02_interim_answers_have_an_end() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(), 4 << 20);
        var (upstream, client) = Ask(proxy);
        upstream.Connections[0].Send(string.Concat(Enumerable.Repeat("HTTP/1.1 103 E\r\nX: y\r\n\r\n", 20_000)));
        upstream.Until(() => client.Statuses.Count > 0, "no answer", client);
        Assert.Equal([502], client.Statuses);
        Assert.Equal(1, proxy.Stat("cluster.u.upstream_cx_protocol_error"));
    });

    [Fact]
    public Task X02_a_few_of_them_take_no_room_and_no_time() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http());
        var (upstream, client) = Ask(proxy);
        for (var i = 0; i < 90; i++)
        {
            upstream.Connections[0].Send($"HTTP/1.1 103 E\r\nX: {new string('y', 700)}\r\n\r\nHTTP/1.1 1");
            for (var turn = 0; turn < 5; turn++)
                proxy.Turn();
            upstream.Connections[0].Send("03 F\r\n\r\n"[..(i % 2 == 0 ? 8 : 8)]);
            if (i >= 48)
                break;
        }
        upstream.Connections[0].Send(Ok);
        upstream.Until(() => client.Statuses.Count == 1, "no answer", client);
        Assert.Equal([200], client.Statuses);
    });

    /// <summary>Found by ConversationFuzzTests: the 101 and the end behind it are seen in one step.</summary>
    [Theory]
    [InlineData("")]
    [InlineData("raw")]
    public Task H16_an_upstream_that_switches_protocols_and_resets_ends_the_tunnel(string behind) => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(manager: "upgrade_configs: [ { upgrade_type: websocket } ]"));
        var (upstream, client) = Ask(proxy, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
        upstream.Connections[0].Send("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + behind);
        upstream.Connections[0].Socket.Reset();
        upstream.Until(() => client.IsEnded, "the client is left alone", client);
        proxy.Until(() => proxy.Loop.SocketCount == 1, () => "a socket is left");
        Assert.Equal(0, proxy.Loop.FaultCount);
        Assert.True(proxy.Breaker is { Connections: 0, Requests: 0 });
    });

    [Fact]
    public Task H11_a_download_that_never_pauses_ends_at_the_route_timeout() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http("timeout: 1s"));
        var (upstream, client) = Ask(proxy);
        upstream.Connections[0].Send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        var turns = 0;
        upstream.Until(() =>
        {
            turns++;
            if (!upstream.Connections[0].Socket.IsClosed)
                upstream.Connections[0].Send("some more");
            return client.IsEnded;
        }, "the answer goes on for ever", client);
        Assert.InRange(turns, 900, 1200);
    });

    [Fact]
    public Task N37_a_long_download_moves_so_much_in_a_turn_and_no_more() => Task.Run(() =>
    {
        foreach (var isChunked in new[] { false, true })
        {
            using var proxy = Calm(SimulatedProxy.Http("timeout: 0s"), 4 << 20);
            var (upstream, client) = Ask(proxy);
            var chunk = $"1000\r\n{new string('c', 4096)}\r\n";
            upstream.Connections[0].Send(isChunked
                ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + string.Concat(Enumerable.Repeat(chunk, 750)) + "0\r\n\r\n"
                : "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + new string('x', 3_000_000));
            proxy.Turn();
            client.Play();
            Assert.InRange(client.Got.Length, 1, 1 << 20);
            upstream.Until(() => client.Got.Length > 3_000_000 && (!isChunked || client.Got.EndsWith("\r\n0\r\n\r\n", StringComparison.Ordinal)), "the download stands still", client);
        }
    });

    [Fact]
    public Task H09_bytes_that_nobody_asked_for_are_nobodys_answer() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(), 4096);
        var (upstream, client) = Ask(proxy);
        upstream.Connections[0].Send("HTTP/1.1 200 OK\r\nContent-Length: 12000\r\n\r\n" + new string('x', 12_000));
        // The client does not read while the answer comes and is complete; more comes then, and the edge that tells of it is used up.
        for (var turn = 0; turn < 50; turn++)
        {
            upstream.Play();
            proxy.Turn();
        }
        upstream.Connections[0].Send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON");
        for (var turn = 0; turn < 50; turn++)
            proxy.Turn();
        upstream.Until(() => client.Got.EndsWith(new string('x', 12_000), StringComparison.Ordinal), "the answer does not end", client);
        upstream.Answer = _ => Ok;
        for (var i = 0; i < 3; i++)
        {
            var next = new PlayedClient(proxy).Send(Get);
            upstream.Until(() => next.Got.Contains("\r\n\r\n", StringComparison.Ordinal) && next.Got.Length > 100, "no answer", next);
            Assert.DoesNotContain("POISON", next.Got, StringComparison.Ordinal);
        }
    });

    private const string BeforeRequest = "retry_policy: { retry_on: \"reset-before-request,connect-failure\", num_retries: 2 }";

    /// <summary>A first exchange, so that the next one gets a connection from the pool, which is closed when the request came.</summary>
    [Theory]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 503, 1)]
    [InlineData("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 503, 1)]
    [InlineData("PATCH / HTTP/1.1\r\nHost: a\r\n\r\n", 503, 1)]
    [InlineData("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 503, 1)]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200, 2)]
    public Task H10_what_was_handed_to_the_upstream_is_sent_again_only_where_that_is_safe(string request, int status, int sent) => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(BeforeRequest));
        var (upstream, client) = Ask(proxy);
        upstream.Connections[0].Send(Ok);
        upstream.Until(() => client.Statuses.Count == 1, "no first answer", client);
        var before = upstream.Connections[0].Got.Length;
        client.Send(request);
        upstream.Until(() => upstream.Connections[0].Got.Length > before, "no second request", client);
        upstream.Connections[0].Socket.Close();
        upstream.Answer = _ => Ok;
        upstream.Until(() => client.Statuses.Count == 2, "no second answer", client);
        Assert.Equal(status, client.Statuses[1]);
        Assert.Equal(sent, upstream.Connections.Count);
    });

    [Fact]
    public Task H10_a_connection_that_dies_before_a_byte_was_sent_is_replaced_even_for_a_POST() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(BeforeRequest));
        var upstream = new PlayedUpstream(proxy) { Refuses = 1, Answer = _ => Ok };
        var client = new PlayedClient(proxy).Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        upstream.Until(() => client.Statuses.Count == 1, "no answer", client);
        Assert.Equal([200], client.Statuses);
    });

    [Theory]
    [InlineData("timeout: 1s", "Content-Length: 20", "x")]
    [InlineData("timeout: 1s", "Transfer-Encoding: chunked", "1\r\nx\r\n")]
    [InlineData("timeout: 0s, retry_policy: { retry_on: reset, per_try_timeout: 0.7s }", "Content-Length: 20", "x")]
    public Task H21_the_time_for_the_answer_begins_when_the_request_is_complete(string route, string framing, string piece) => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(route));
        var (upstream, client) = Ask(proxy, $"POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        for (var i = 0; i < 20; i++)
        {
            for (var turn = 0; turn < 100; turn++)
                proxy.Turn();
            upstream.Play();
            client.Send(piece);
        }
        if (piece.Length > 1)
            client.Send("0\r\n\r\n");
        for (var turn = 0; turn < 400; turn++)
            proxy.Turn();
        Assert.Empty(client.Statuses);
        upstream.Connections[0].Send(Ok);
        upstream.Until(() => client.Statuses.Count == 1, "no answer", client);
        Assert.Equal([200], client.Statuses);

        // And it does run then.
        client.Send(Get);
        upstream.Until(() => client.Statuses.Count == 2, "no time-out", client);
        Assert.Equal([200, 504], client.Statuses);
    });

    [Fact]
    public Task H51_trailers_go_with_every_try() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http("retry_policy: { retry_on: 5xx }", UpstreamTrailers, Trailers));
        var upstream = new PlayedUpstream(proxy);
        var client = new PlayedClient(proxy).Send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n");
        upstream.Until(() => upstream.Connections.Count == 1 && upstream.Connections[0].Got.Contains("x-sum", StringComparison.Ordinal), "no first try", client);
        upstream.Connections[0].Send("HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        upstream.Until(() => upstream.Connections.Count == 2 && upstream.Connections[1].Got.EndsWith("\r\n\r\n", StringComparison.Ordinal), "no second try", client);
        upstream.Until(() => upstream.Connections[1].Got.EndsWith("2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n", StringComparison.Ordinal), "the second try is without trailers", client);
    });

    [Fact]
    public Task H33_a_2xx_to_CONNECT_is_a_tunnel() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http("timeout: 1s", manager: "upgrade_configs: [ { upgrade_type: CONNECT } ]", match: "connect_matcher: {}"));
        var (upstream, client) = Ask(proxy, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
        Assert.StartsWith("CONNECT a:1 HTTP/1.1\r\n", upstream.Connections[0].Got, StringComparison.Ordinal);
        upstream.Connections[0].Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
        upstream.Until(() => client.Got.EndsWith("first", StringComparison.Ordinal), "nothing came down", client);
        Assert.DoesNotContain("content-length", client.Got, StringComparison.Ordinal);
        Assert.DoesNotContain("chunked", client.Got, StringComparison.Ordinal);
        client.Send("raw bytes up");
        upstream.Until(() => upstream.Connections[0].Got.EndsWith("raw bytes up", StringComparison.Ordinal), "nothing came up", client);
        for (var turn = 0; turn < 1500; turn++)
            proxy.Turn();
        upstream.Connections[0].Send("second");
        upstream.Until(() => client.Got.EndsWith("second", StringComparison.Ordinal), "the tunnel ended", client);
    });

    [Fact]
    public Task X04_a_101_opens_a_tunnel_only_to_what_was_asked_for() => Task.Run(() =>
    {
        foreach (var (answer, opens) in new[] { ("Upgrade: WebSocket\r\n", true), ("Upgrade: h2c\r\n", false), ("Upgrade: websocket, h2c\r\n", false), ("", false) })
        {
            using var proxy = Calm(SimulatedProxy.Http(manager: "upgrade_configs: [ { upgrade_type: websocket } ]"));
            var (upstream, client) = Ask(proxy, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
            Assert.Contains("upgrade: websocket\r\n", upstream.Connections[0].Got, StringComparison.Ordinal);
            upstream.Connections[0].Send($"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n{answer}\r\nhello");
            upstream.Until(() => client.Statuses.Count == 1, "no answer", client);
            Assert.Equal([opens ? 101 : 502], client.Statuses);
            if (opens)
                upstream.Until(() => client.Got.EndsWith("hello", StringComparison.Ordinal), "no tunnel", client);
            else
                Assert.DoesNotContain("hello", client.Got, StringComparison.Ordinal);
        }
    });

    [Fact]
    public Task X13_a_101_that_nobody_asked_for_is_a_502() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http());
        var (upstream, client) = Ask(proxy);
        upstream.Connections[0].Send("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        upstream.Until(() => client.Statuses.Count == 1 && upstream.Connections[0].Socket.IsClosed, "no answer, or the connection stays", client);
        Assert.Equal([502], client.Statuses);
    });

    [Theory]
    [InlineData("Content-Length: 9\r\nSet-Cookie: a=b\r\n", false)]
    [InlineData("no colon\r\n", false)]
    [InlineData("x: 1\x01\r\n", false)]
    [InlineData("Content-Length: 9\r\nx-end: 1\r\n", true)]
    public Task X10_trailers_that_may_not_be_ones_do_not_tear_an_answer_off(string trailers, bool on) => Task.Run(() =>
    {
        using var proxy = Calm(on ? SimulatedProxy.Http("timeout: 3s", UpstreamTrailers, Trailers) : SimulatedProxy.Http());
        var (upstream, client) = Ask(proxy);
        upstream.Connections[0].Send($"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{trailers}\r\n");
        upstream.Until(() => client.Got.EndsWith(on ? "\r\n2\r\nok\r\n0\r\nx-end: 1\r\n\r\n" : "\r\n2\r\nok\r\n0\r\n\r\n", StringComparison.Ordinal), "the answer is torn off", client);
        // The client's connection goes on; the upstream's does not.
        upstream.Answer = _ => Ok;
        client.Send(Get);
        upstream.Until(() => client.Statuses.Count == 2, "no second answer", client);
        Assert.Equal(2, upstream.Connections.Count);
    });

    [Fact]
    public Task X12_a_length_goes_on_without_leading_zeros() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http());
        var (upstream, client) = Ask(proxy, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 010\r\n\r\n0123456789");
        Assert.Contains("content-length: 10\r\n", upstream.Connections[0].Got, StringComparison.Ordinal);
        upstream.Connections[0].Send("HTTP/1.1 200 OK\r\nContent-Length: 002\r\n\r\nok");
        upstream.Until(() => client.Got.EndsWith("ok", StringComparison.Ordinal), "no answer", client);
        Assert.Contains("content-length: 2\r\n", client.Got, StringComparison.Ordinal);
    });

    [Fact]
    public Task X14_a_204_says_no_length() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http());
        var (upstream, client) = Ask(proxy);
        upstream.Connections[0].Send("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
        upstream.Until(() => client.Got.EndsWith("\r\n\r\n", StringComparison.Ordinal), "no answer", client);
        Assert.DoesNotContain("content-length", client.Got, StringComparison.Ordinal);
        upstream.Until(() => upstream.Connections[0].Socket.IsClosed, "a connection that may have more to come is kept", client);
    });

    [Fact]
    public Task H11_an_answer_that_came_while_the_process_stood_still_is_an_answer() => Task.Run(() =>
    {
        for (ulong seed = 1; seed <= 30; seed++)
        {
            using var proxy = new SimulatedProxy(seed, 16 * 1024, isCalm: true, SimulatedProxy.Http("timeout: 1s"));
            var (upstream, client) = Ask(proxy);
            // Both sides have news, and the deadline is past, when the loop looks again.
            client.Socket.Write("\r\n"u8);
            upstream.Connections[0].Send(Ok);
            proxy.Kernel.Advance(3000);
            upstream.Until(() => client.Statuses.Count == 1, "no answer", client);
            Assert.Equal([200], client.Statuses);
        }
    });
}
