using System.Net.Sockets;
using System.Text;

namespace Tulle.Interop.Tests;

/// <summary>Draining as Envoy drains, and an admin port that a flood, a web page or half a request cannot turn against its owner.</summary>
public sealed class DrainAndAdminTests
{
    [NeedsFact("bash")]
    public async Task X08_a_graceful_drain_accepts_until_its_time_and_asks_clients_to_leave()
    {
        await using var proxy = new ProxyUnderTest();
        await proxy.StartAsync(proxy.Bootstrap(), "", "--drain-time-s", "3", "--drain-strategy", "immediate");
        using var old = await proxy.ConnectAsync();
        Assert.DoesNotContain("connection: close", ProxyUnderTest.Ask(old), StringComparison.OrdinalIgnoreCase);
        Assert.Equal(200, (await proxy.AdminAsync("/drain_listeners?graceful", post: true)).Status);
        using var fresh = await proxy.ConnectAsync();
        Assert.Contains("connection: close", ProxyUnderTest.Ask(fresh), StringComparison.OrdinalIgnoreCase);
        Assert.Contains("connection: close", ProxyUnderTest.Ask(old), StringComparison.OrdinalIgnoreCase);
        Assert.Equal((200, "LIVE\n"), await proxy.AdminAsync("/ready"));
        await Surroundings.UntilAsync("the drain time is over and nothing is accepted", async () => !await Surroundings.AcceptsAsync(proxy.Listen));
        Assert.False(proxy.Program.HasExited);
    }

    [NeedsFact("bash")]
    public async Task H16_inbound_only_leaves_the_other_listeners_alone()
    {
        await using var proxy = new ProxyUnderTest();
        var other = Surroundings.FreePort();
        var bootstrap = proxy.Bootstrap(listener: "traffic_direction: INBOUND");
        var listeners = bootstrap.IndexOf("  listeners:\n", StringComparison.Ordinal) + "  listeners:\n".Length;
        var one = bootstrap[listeners..bootstrap.IndexOf("  clusters:", StringComparison.Ordinal)];
        var two = one.Replace("name: in", "name: out", StringComparison.Ordinal).Replace("traffic_direction: INBOUND", "", StringComparison.Ordinal)
            .Replace($"port_value: {proxy.Listen}", $"port_value: {other}", StringComparison.Ordinal);
        await proxy.StartAsync(bootstrap.Insert(listeners, two), "", "--drain-time-s", "2", "--drain-strategy", "immediate");
        Assert.Equal(200, (await proxy.AdminAsync("/drain_listeners?inboundonly&graceful", post: true)).Status);
        using (var inbound = await proxy.ConnectAsync())
            Assert.Contains("connection: close", ProxyUnderTest.Ask(inbound), StringComparison.OrdinalIgnoreCase);
        using var outbound = await proxy.ConnectAsync(other);
        Assert.DoesNotContain("connection: close", ProxyUnderTest.Ask(outbound), StringComparison.OrdinalIgnoreCase);
        await Surroundings.UntilAsync("the inbound listener is closed", async () => !await Surroundings.AcceptsAsync(proxy.Listen));
        Assert.True(await Surroundings.AcceptsAsync(other));
    }

    [NeedsFact("bash")]
    public async Task H52_a_failed_health_check_drains_and_says_so_until_it_is_taken_back()
    {
        await using var proxy = new ProxyUnderTest();
        await proxy.StartAsync(proxy.Bootstrap());
        Assert.Equal(405, (await proxy.AdminAsync("/healthcheck/fail")).Status);
        Assert.Equal((200, "OK\n"), await proxy.AdminAsync("/healthcheck/fail", post: true));
        Assert.Equal((503, "DRAINING\n"), await proxy.AdminAsync("/ready"));
        Assert.Equal(0, await proxy.StatAsync("server.live"));
        using (var socket = await proxy.ConnectAsync())
            Assert.Contains("connection: close", ProxyUnderTest.Ask(socket), StringComparison.OrdinalIgnoreCase);
        await proxy.AdminAsync("/healthcheck/ok", post: true);
        Assert.Equal((200, "LIVE\n"), await proxy.AdminAsync("/ready"));
        using var again = await proxy.ConnectAsync();
        Assert.DoesNotContain("connection: close", ProxyUnderTest.Ask(again), StringComparison.OrdinalIgnoreCase);
    }

    [NeedsFact("bash")]
    public async Task X20_half_requests_keep_nobody_from_the_admin_port()
    {
        await using var proxy = new ProxyUnderTest();
        await proxy.StartAsync(proxy.Bootstrap());
        var half = new List<Socket>();
        try
        {
            for (var i = 0; i < 200; i++)
            {
                half.Add(await proxy.ConnectAsync(proxy.Admin));
                await half[^1].SendAsync("GET /stats HT"u8.ToArray());
            }
            Assert.Equal(200, (await proxy.AdminAsync("/ready")).Status);
        }
        finally
        {
            half.ForEach(s => s.Dispose());
        }
    }

    [NeedsFact("bash")]
    public async Task X20_what_changes_something_wants_POST()
    {
        await using var proxy = new ProxyUnderTest();
        await proxy.StartAsync(proxy.Bootstrap());
        foreach (var path in new[] { "/logging?level=off", "/reset_counters", "/quitquitquit", "/drain_listeners", "/healthcheck/fail", "/reopen_logs" })
            Assert.Equal(405, (await proxy.AdminAsync(path)).Status);
        Assert.Contains("all: warning", (await proxy.AdminAsync("/logging", post: true)).Text, StringComparison.Ordinal);
    }

    [NeedsFact("bash")]
    public async Task X20_heads_that_are_no_request_are_refused()
    {
        await using var proxy = new ProxyUnderTest();
        await proxy.StartAsync(proxy.Bootstrap());
        async Task<string> SayAsync(string text)
        {
            using var socket = await proxy.ConnectAsync(proxy.Admin);
            await socket.SendAsync(Encoding.ASCII.GetBytes(text));
            var buffer = new byte[4096];
            var count = socket.Receive(buffer);
            return Encoding.ASCII.GetString(buffer, 0, Math.Min(count, 12));
        }
        Assert.Equal("HTTP/1.1 200", await SayAsync("GET /ready HTTP/1.1\r\nHost: a\r\n\r\n"));
        Assert.Equal("HTTP/1.1 400", await SayAsync("GET /ready HTTP/1.1\r\n\r\n"));
        Assert.Equal("HTTP/1.1 400", await SayAsync("GET /ready HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"));
        Assert.Equal("HTTP/1.1 400", await SayAsync("POST /reopen_logs HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"));
        Assert.Equal("HTTP/1.1 431", await SayAsync("GET /ready HTTP/1.1\r\nHost: a\r\nX: " + new string('x', 20_000) + "\r\n\r\n"));
    }

    [NeedsFact("bash", "openssl")]
    public async Task X20_certificates_that_are_written_in_a_listener_are_listed()
    {
        await using var proxy = new ProxyUnderTest();
        await Program.RunAsync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", $"{proxy.Folder}/key.pem", "-out", $"{proxy.Folder}/cert.pem",
            "-days", "2", "-subj", "/CN=shop", "-addext", "subjectAltName=DNS:shop.example"]);
        var tls = $$"""
            transport_socket: { name: tls, typed_config: { "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, common_tls_context: { tls_certificates: [ { certificate_chain: { filename: {{proxy.Folder}}/cert.pem }, private_key: { filename: {{proxy.Folder}}/key.pem } } ] } } }
            """.Trim();
        await proxy.StartAsync(proxy.Bootstrap().Replace("    - filters:\n", $"    - {tls}\n      filters:\n", StringComparison.Ordinal));
        Assert.Contains("shop.example", (await proxy.AdminAsync("/certs")).Text, StringComparison.Ordinal);
    }

    [NeedsFact("bash")]
    public async Task H13_statistics_are_sent_piece_by_piece()
    {
        await using var proxy = new ProxyUnderTest();
        await proxy.StartAsync(proxy.Bootstrap());
        await proxy.GetAsync();
        var (status, text) = await proxy.AdminAsync("/stats/prometheus");
        Assert.Equal(200, status);
        Assert.Contains("envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix=\"in\"} 1\n", text, StringComparison.Ordinal);
        Assert.EndsWith("} 1\n", text, StringComparison.Ordinal);
    }
}
