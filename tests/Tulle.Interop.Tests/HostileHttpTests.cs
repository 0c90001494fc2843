using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;

namespace Tulle.Interop.Tests;

/// <summary>What ended the program, its memory or its service before: on the real program, so that an older build shows it (TULLE_DIST).</summary>
public sealed class HostileHttpTests : IDisposable
{
    private const string Get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    private const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-http-").FullName;
    private readonly int _listen = Surroundings.FreePort();
    private string _heard = "";
    private readonly CancellationTokenSource _end = new(TimeSpan.FromSeconds(60));

    public void Dispose()
    {
        _end.Cancel();
        _end.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task<Program> StartAsync(string route, string cluster, int concurrency, params TcpListener[] upstreams)
    {
        const string At = "type.googleapis.com/envoy.extensions.filters";
        var endpoints = string.Join(", ", upstreams.Select(u =>
            $"{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {((IPEndPoint)u.LocalEndpoint).Port} }} }} }} }}"));
        await File.WriteAllTextAsync($"{_folder}/bootstrap.yaml", $$"""
            static_resources:
              listeners:
              - name: l
                address: { socket_address: { address: 127.0.0.1, port_value: {{_listen}} } }
                filter_chains:
                - filters:
                  - name: h
                    typed_config:
                      "@type": {{At}}.network.http_connection_manager.v3.HttpConnectionManager
                      stat_prefix: h
                      route_config: { virtual_hosts: [ { name: v, domains: ["*"], routes: [ { match: { prefix: / }, route: { cluster: u, {{route}} } } ] } ] }
                      http_filters: [ { name: r, typed_config: { "@type": {{At}}.http.router.v3.Router } } ]
              clusters:
              - { name: u, type: STATIC, connect_timeout: 1s, {{cluster}} load_assignment: { cluster_name: u, endpoints: [ { lb_endpoints: [ {{endpoints}} ] } ] } }
            """);
        var proxy = Program.Start(Surroundings.Proxy, ["-c", $"{_folder}/bootstrap.yaml", "--concurrency", $"{concurrency}", "-l", "warning"]);
        await Surroundings.UntilAsync("the proxy accepts", () => Surroundings.AcceptsAsync(_listen));
        return proxy;
    }

    /// <summary>An upstream that answers each connection's bytes with whatever <paramref name="answer"/> writes.</summary>
    private TcpListener Upstream(Func<NetworkStream, Task> answer)
    {
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        _ = Task.Run(async () =>
        {
            while (!_end.IsCancellationRequested)
            {
                var client = await listener.AcceptTcpClientAsync(_end.Token);
                _ = Task.Run(async () =>
                {
                    using (client)
                    {
                        try
                        {
                            await answer(client.GetStream());
                        }
                        catch (Exception error) when (error is IOException or OperationCanceledException)
                        {
                            // The proxy or the test is done with it.
                        }
                    }
                });
            }
        });
        return listener;
    }

    private async Task AnswerAllAsync(NetworkStream stream)
    {
        var buffer = new byte[4096];
        while (await stream.ReadAsync(buffer, _end.Token) > 0)
            await stream.WriteAsync(Encoding.ASCII.GetBytes(Ok), _end.Token);
    }

    private async Task<TcpClient> AskAsync(string text = Get)
    {
        var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", _listen, _end.Token);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(text), _end.Token);
        return client;
    }

    private async Task<int> StatusAsync(TcpClient client)
    {
        var buffer = new byte[4096];
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
        limit.CancelAfter(TimeSpan.FromSeconds(8));
        try
        {
            var count = await client.GetStream().ReadAsync(buffer, limit.Token);
            _heard = Encoding.ASCII.GetString(buffer, 0, count);
            return count < 12 ? 0 : int.Parse(Encoding.ASCII.GetString(buffer, 9, 3), CultureInfo.InvariantCulture);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            return 0;
        }
    }

    private static long ResidentKilobytes(Program program) =>
        long.Parse(Regex.Match(File.ReadAllText($"/proc/{program.Id}/status"), @"VmRSS:\s+(\d+)").Groups[1].Value, CultureInfo.InvariantCulture);

    [Fact]
    public async Task H01_requests_that_time_out_in_the_queue_while_the_process_stands_still_do_not_end_it()
    {
        using var upstream = Upstream(async stream =>
        {
            var buffer = new byte[4096];
            while (await stream.ReadAsync(buffer, _end.Token) > 0)
            {
            }
        });
        await using var proxy = await StartAsync("timeout: 0.5s", "circuit_breakers: { thresholds: [ { max_connections: 1 } ] },", 1, upstream);
        for (var round = 0; round < 4; round++)
        {
            var clients = await Task.WhenAll(Enumerable.Range(0, 12).Select(_ => AskAsync()));
            await proxy.SignalAsync("STOP");
            await Task.Delay(700); // Not a wait for anything: the time that the process does not get.
            await proxy.SignalAsync("CONT");
            var statuses = await Task.WhenAll(clients.Select(StatusAsync));
            foreach (var client in clients)
                client.Dispose();
            Assert.False(proxy.HasExited, proxy.Errors);
            Assert.Equal(Enumerable.Repeat(504, 12), statuses);
        }
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(2, 1)]
    public async Task H02_an_idle_connection_does_not_keep_a_request_waiting(int concurrency, int endpoints)
    {
        var upstreams = Enumerable.Range(0, endpoints).Select(_ => Upstream(AnswerAllAsync)).ToArray();
        await using var proxy = await StartAsync("timeout: 2s", "circuit_breakers: { thresholds: [ { max_connections: 1 } ] },", concurrency, upstreams);
        for (var i = 0; i < 12; i++)
        {
            using var client = await AskAsync();
            Assert.True(await StatusAsync(client) == 200, $"request {i}: {_heard}");
        }
        foreach (var upstream in upstreams)
            upstream.Dispose();
    }

    [Fact]
    public async Task H03_clients_that_leave_the_queue_together_take_no_permit_with_them()
    {
        using var upstream = Upstream(async stream =>
        {
            var buffer = new byte[4096];
            while (await stream.ReadAsync(buffer, _end.Token) > 0)
            {
                await Task.Delay(400, _end.Token); // An answer that takes its time.
                await stream.WriteAsync(Encoding.ASCII.GetBytes(Ok), _end.Token);
            }
        });
        await using var proxy = await StartAsync("timeout: 2s", "circuit_breakers: { thresholds: [ { max_connections: 1 } ] },", 1, upstream);
        var clients = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => AskAsync()));
        await proxy.SignalAsync("STOP");
        foreach (var client in clients)
            client.Dispose();
        await proxy.SignalAsync("CONT");
        for (var i = 0; i < 3; i++)
        {
            using var next = await AskAsync();
            Assert.Equal(200, await StatusAsync(next));
        }
    }

    [Fact]
    public async Task X01_H12_a_head_that_begins_with_CR_takes_no_memory()
    {
        using var upstream = Upstream(AnswerAllAsync);
        await using var proxy = await StartAsync("timeout: 2s", "", 1, upstream);
        var before = ResidentKilobytes(proxy);
        using var client = await AskAsync("\rX");
        var flood = new byte[1 << 20];
        try
        {
            for (var i = 0; i < 200; i++)
                await client.GetStream().WriteAsync(flood, _end.Token);
        }
        catch (IOException)
        {
            // Refused, as it should be.
        }
        Assert.InRange(ResidentKilobytes(proxy) - before, -100_000, 30_000);
    }

    [Fact]
    public async Task X02_interim_answers_without_end_take_neither_memory_nor_the_deadline()
    {
        var flood = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("HTTP/1.1 103 E\r\nX: y\r\n\r\n", 4000)));
        using var upstream = Upstream(async stream =>
        {
            _ = await stream.ReadAsync(new byte[4096], _end.Token);
            while (true)
                await stream.WriteAsync(flood, _end.Token);
        });
        await using var proxy = await StartAsync("timeout: 2s", "", 1, upstream);
        var before = ResidentKilobytes(proxy);
        using var client = await AskAsync();
        Assert.InRange(await StatusAsync(client), 502, 504);
        Assert.InRange(ResidentKilobytes(proxy) - before, -100_000, 30_000);
    }

    [Fact]
    public async Task H10_a_POST_that_an_upstream_received_is_not_sent_again()
    {
        var posts = 0;
        using var upstream = Upstream(async stream =>
        {
            var buffer = new byte[4096];
            for (int count; (count = await stream.ReadAsync(buffer, _end.Token)) > 0;)
            {
                if (Encoding.ASCII.GetString(buffer, 0, count).StartsWith("POST", StringComparison.Ordinal))
                {
                    Interlocked.Increment(ref posts);
                    return;
                }
                await stream.WriteAsync(Encoding.ASCII.GetBytes(Ok), _end.Token);
            }
        });
        await using var proxy = await StartAsync("retry_policy: { retry_on: reset-before-request, num_retries: 2 }", "", 1, upstream);
        using var client = await AskAsync();
        Assert.Equal(200, await StatusAsync(client));
        await client.GetStream().WriteAsync("POST /pay HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n42"u8.ToArray(), _end.Token);
        Assert.Equal(503, await StatusAsync(client));
        Assert.Equal(1, Volatile.Read(ref posts));
    }
}
