namespace Tulle.Sidecar.Tests;

/// <summary>Clients that never pause, never end, or send what nobody should take.</summary>
public class HostileClientTests
{
    private const string Get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    private const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    private const string Direct = "direct_response: { status: 200, body: { inline_string: hello } }";
    private const int Window = 4 << 20;

    private static SimulatedProxy Calm(string configuration, int windowBytes = 16 * 1024) => new(1, windowBytes, isCalm: true, configuration);

    [Theory]
    [InlineData("\rX")]
    [InlineData("\r\r\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("\r\n\rX")]
    [InlineData("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("\x16\x03\x01")]
    public Task X01_H12_what_does_not_begin_like_a_request_is_refused_at_once(string text) => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(action: Direct));
        var client = new PlayedClient(proxy).Send(text);
        new PlayedUpstream(proxy).Until(() => client.IsEnded, "the connection stays open", client);
        Assert.Equal([400], client.Statuses);
        client.Socket.Close();
        proxy.Until(() => proxy.Loop.Buffers.Rented == 0, () => "a buffer is still rented");
    });

    [Theory]
    [InlineData("A")]
    [InlineData("\r\nA")]
    [InlineData("GET / HTTP/1.1\r\nX: ")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nA")]
    public Task X01_H12_a_head_has_a_ceiling_whatever_it_begins_with(string begin) => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(action: Direct), Window);
        var client = new PlayedClient(proxy).Send(begin + new string('a', 1 << 20));
        new PlayedUpstream(proxy).Until(() => client.IsEnded, "the connection stays open", client);
        Assert.Equal(431, client.Statuses[^1]);
    });

    [Fact]
    public Task One_empty_line_before_a_request_is_ignored() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(action: Direct));
        var client = new PlayedClient(proxy).Send("\r\n" + Get + "\r\n" + Get);
        new PlayedUpstream(proxy).Until(() => client.Statuses.Count == 2, "not answered", client);
        Assert.Equal([200, 200], client.Statuses);
    });

    [Fact]
    public Task H44_empty_lines_keep_no_connection() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(manager: "common_http_protocol_options: { idle_timeout: 1s }", action: Direct));
        var client = new PlayedClient(proxy);
        var turns = 0;
        new PlayedUpstream(proxy).Until(() =>
        {
            if (turns++ % 300 == 0)
                client.Send("\r\n");
            return client.IsEnded;
        }, "empty lines keep the connection", client);
        Assert.InRange(turns, 1, 2200);
    });

    [Fact]
    public Task H11_a_client_that_never_pauses_runs_into_the_request_timeout() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http("timeout: 0s", manager: "request_timeout: 1s"));
        var upstream = new PlayedUpstream(proxy);
        var client = new PlayedClient(proxy).Send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        var turns = 0;
        upstream.Until(() =>
        {
            turns++;
            client.Send("1\r\nx\r\n");
            return client.IsEnded || client.Statuses.Count > 0;
        }, "the request goes on for ever", client);
        Assert.Equal([408], client.Statuses);
        Assert.InRange(turns, 900, 1200);
        Assert.Equal(1, proxy.Stat("http.h.downstream_rq_timeout"));
    });

    [Fact]
    public Task H11_one_that_sends_a_head_byte_by_byte_into_the_head_timeout() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(action: Direct, manager: "request_headers_timeout: 1s\n          request_timeout: 30s"));
        var client = new PlayedClient(proxy).Send("GET /");
        var turns = 0;
        new PlayedUpstream(proxy).Until(() =>
        {
            turns++;
            client.Send("a");
            return client.IsEnded || client.Statuses.Count > 0;
        }, "the head goes on for ever", client);
        Assert.Equal([408], client.Statuses);
        Assert.InRange(turns, 900, 1200);
    });

    [Fact]
    public Task X03_pipelined_requests_leave_the_loop_to_others_after_a_few() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(action: Direct), Window);
        var client = new PlayedClient(proxy);
        proxy.Turn();
        client.Send(string.Concat(Enumerable.Repeat(Get, 1000)));
        proxy.Turn();
        client.Play();
        Assert.InRange(client.Statuses.Count, 1, 32);
        new PlayedUpstream(proxy).Until(() => client.Statuses.Count == 1000, "not all are answered", client);
        Assert.InRange(proxy.Stat("http.h.downstream_cx_turn_budget_spent"), 100, 1000);
    });

    [Fact]
    public Task N37_a_long_upload_moves_so_much_in_a_turn_and_no_more() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http("timeout: 0s"), Window);
        var upstream = new PlayedUpstream(proxy);
        var client = new PlayedClient(proxy).Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
        upstream.Until(() => upstream.Connections is [{ Got.Length: > 0 }], "no request came", client);
        client.Send(new string('x', 3_000_000));
        var before = upstream.Connections[0].Got.Length;
        proxy.Turn();
        upstream.Play();
        Assert.InRange(upstream.Connections[0].Got.Length - before, 1, 1 << 20);
        upstream.Until(() => upstream.Connections[0].Got.Length >= 3_000_000, "the upload stands still", client);
    });

    [Fact]
    public Task H43_a_refused_client_is_not_read_on() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(action: Direct, manager: "delayed_close_timeout: 5s"));
        var client = new PlayedClient(proxy).Send("\rX");
        var flood = new byte[64 * 1024];
        long taken = 0;
        new PlayedUpstream(proxy).Until(() =>
        {
            taken += Math.Max(0, client.Socket.Write(flood));
            return client.Socket.IsReset || taken > 1 << 20;
        }, "the connection stays open", client);
        Assert.InRange(taken, 1, 256 * 1024);
    });

    [Fact]
    public Task H50_half_a_head_that_came_with_the_request_before_has_its_own_time() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(manager: "request_headers_timeout: 1s"));
        var upstream = new PlayedUpstream(proxy);
        var client = new PlayedClient(proxy).Send(Get + Get[..10]);
        upstream.Until(() => upstream.Connections.Count == 1, "no connection", client);
        proxy.Kernel.Advance(1500);
        proxy.Turn();
        upstream.Connections[0].Send(Ok);
        upstream.Answer = _ => Ok;
        upstream.Until(() => client.Statuses.Count == 1, "no first answer", client);
        client.Send(Get[10..]);
        upstream.Until(() => client.Statuses.Count == 2, "no second answer", client);
        Assert.Equal([200, 200], client.Statuses);
    });

    [Fact]
    public Task H34_a_request_that_is_answered_here_and_then_breaks_gets_one_answer() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(action: "direct_response: { status: 404 }"));
        var client = new PlayedClient(proxy).Send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello");
        new PlayedUpstream(proxy).Until(() => client.IsEnded, "the connection stays open", client);
        Assert.Equal([404], client.Statuses);
    });

    [Fact]
    public Task H35_a_long_direct_response_arrives_whole() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(action: $"direct_response: {{ status: 200, body: {{ inline_string: {new string('d', 200_000)} }} }}"));
        var client = new PlayedClient(proxy).Send(Get);
        new PlayedUpstream(proxy).Until(() => client.Got.Length > 200_000, "the body does not come", client);
        Assert.Contains("content-length: 200000\r\n", client.Got, StringComparison.Ordinal);
        Assert.EndsWith(new string('d', 200_000), client.Got, StringComparison.Ordinal);
    });

    [Fact]
    public Task H42_X21_chunks_that_come_together_go_on_together() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http("timeout: 0s"));
        var upstream = new PlayedUpstream(proxy);
        var client = new PlayedClient(proxy).Send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        upstream.Until(() => upstream.Connections is [{ Got.Length: > 0 }], "no request came", client);
        client.Send(string.Concat(Enumerable.Repeat("1\r\nx\r\n", 200)));
        upstream.Until(() => upstream.Connections[0].Got.Contains("xx", StringComparison.Ordinal), "no body came", client);
        Assert.EndsWith("\r\n\r\nc8\r\n" + new string('x', 200) + "\r\n", upstream.Connections[0].Got, StringComparison.Ordinal);
        upstream.Connections[0].Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        upstream.Until(() => client.Statuses.Count == 1, "no answer", client);
        upstream.Connections[0].Send(string.Concat(Enumerable.Repeat("1\r\ny\r\n", 200)) + "0\r\n\r\n");
        upstream.Until(() => client.Got.EndsWith("0\r\n\r\n", StringComparison.Ordinal), "no end", client);
        Assert.EndsWith("\r\n\r\nc8\r\n" + new string('y', 200) + "\r\n0\r\n\r\n", client.Got, StringComparison.Ordinal);
    });

    [Fact]
    public Task H60_an_HTTP_1_0_client_gets_no_interim_answer_and_is_told_that_its_connection_stays() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(manager: "http_protocol_options: { accept_http_10: true }"));
        var upstream = new PlayedUpstream(proxy) { Answer = _ => Ok };
        var client = new PlayedClient(proxy).Send("POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
        upstream.Until(() => upstream.Connections is [{ Got.Length: > 0 }], "no request came", client);
        client.Send("hi");
        upstream.Until(() => client.Got.EndsWith("ok", StringComparison.Ordinal), "no answer", client);
        Assert.Equal([200], client.Statuses);
        Assert.Contains("connection: keep-alive\r\n", client.Got, StringComparison.Ordinal);
    });

    [Fact]
    public Task X11_trailers_are_as_strict_and_as_few_as_fields() => Task.Run(() =>
    {
        foreach (var trailers in new[] { "x: 1\x01\r\n", "x: \x1b\r\n", string.Concat(Enumerable.Range(0, 101).Select(i => $"x{i}: 1\r\n")) })
        {
            using var proxy = Calm(SimulatedProxy.Http(manager: "http_protocol_options: { enable_trailers: true }"));
            var upstream = new PlayedUpstream(proxy);
            var client = new PlayedClient(proxy).Send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + trailers + "\r\n");
            upstream.Until(() => client.Statuses.Count > 0, "no answer", client);
            Assert.Equal([400], client.Statuses);
        }
    });

    [Fact]
    public Task X05_fields_that_Connection_names_end_here_both_ways() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http());
        var upstream = new PlayedUpstream(proxy) { Answer = _ => "HTTP/1.1 200 OK\r\nConnection: x-back\r\nX-Back: secret\r\nX-Stay: 1\r\nContent-Length: 2\r\n\r\nok" };
        var client = new PlayedClient(proxy).Send("GET / HTTP/1.1\r\nHost: a\r\nX-Hop: secret\r\nConnection: x-hop, Authorization\r\nX-hop: 2\r\nAuthorization: b\r\nX-Stay: 1\r\n\r\n");
        upstream.Until(() => client.Statuses.Count == 1, "no answer", client);
        var got = upstream.Connections[0].Got;
        Assert.DoesNotContain("x-hop", got, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("authorization", got, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("x-stay: 1", got, StringComparison.Ordinal);
        Assert.DoesNotContain("x-back", client.Got, StringComparison.Ordinal);
        Assert.Contains("x-stay: 1", client.Got, StringComparison.Ordinal);
    });

    [Theory]
    [InlineData("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", 403)]
    [InlineData("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n", 403)]
    [InlineData("Connection: Upgrade\r\nUpgrade: tls\r\n", 403)]
    [InlineData("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", 200)]
    [InlineData("Upgrade: foo\r\n", 200)]
    public Task X04_every_protocol_that_is_asked_for_must_be_allowed(string fields, int status) => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(manager: "upgrade_configs: [ { upgrade_type: websocket } ]"));
        var upstream = new PlayedUpstream(proxy) { Answer = _ => Ok };
        var client = new PlayedClient(proxy).Send($"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        upstream.Until(() => client.Statuses.Count == 1, "no answer", client);
        Assert.Equal([status], client.Statuses);
        Assert.All(upstream.Connections, c => Assert.DoesNotContain("upgrade", c.Got, StringComparison.OrdinalIgnoreCase));
        Assert.All(upstream.Connections, c => Assert.DoesNotContain("http2-settings", c.Got, StringComparison.OrdinalIgnoreCase));
    });
}
