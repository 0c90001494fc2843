using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;

namespace Tulle.Interop.Tests;

/// <summary>Peers that send garbage, too much, or nothing: answered 4xx or closed, counted, never forwarded, memory bounded.</summary>
public sealed class HostilePeersTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-hostile-").FullName;
    private readonly int _listen = Surroundings.FreePort();
    private readonly int _tls = Surroundings.FreePort();
    private readonly int _admin = Surroundings.FreePort();
    private readonly int _upstream = Surroundings.FreePort();
    private Program? _server, _proxy;

    public async Task InitializeAsync()
    {
        const string At = "type.googleapis.com/envoy.extensions";
        var filters = $$"""[ { name: h, typed_config: { "@type": {{At}}.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: h, request_headers_timeout: 0.5s, route_config: { virtual_hosts: [ { name: v, domains: ["*"], routes: [ { match: { prefix: / }, route: { cluster: up } } ] } ] }, http_filters: [ { name: r, typed_config: { "@type": {{At}}.filters.http.router.v3.Router } } ] } } ]""";
        await Program.RunAsync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", $"{_folder}/key.pem", "-out", $"{_folder}/cert.pem", "-days", "2", "-subj", "/CN=shop"]);
        await File.WriteAllTextAsync($"{_folder}/bootstrap.yaml", $$"""
            admin: { address: { socket_address: { address: 127.0.0.1, port_value: {{_admin}} } } }
            static_resources:
              listeners:
              - { name: l, address: { socket_address: { address: 127.0.0.1, port_value: {{_listen}} } }, filter_chains: [ { filters: {{filters}} } ] }
              - { name: t, address: { socket_address: { address: 127.0.0.1, port_value: {{_tls}} } }, filter_chains: [ { transport_socket_connect_timeout: 1s, filters: {{filters}}, transport_socket: { name: tls, typed_config: { "@type": {{At}}.transport_sockets.tls.v3.DownstreamTlsContext, common_tls_context: { tls_certificates: [ { certificate_chain: { filename: {{_folder}}/cert.pem }, private_key: { filename: {{_folder}}/key.pem } } ] } } } } ] }
              clusters:
              - { name: up, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: up, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: {{_upstream}} } } } } ] } ] } }
            """);
        _server = Program.Start(Surroundings.Cli, ["echo", $"--http={_upstream}", "--name=up", "--bind=127.0.0.1"]);
        _proxy = Program.Start(Surroundings.Proxy, ["-c", $"{_folder}/bootstrap.yaml", "--concurrency", "1", "-l", "warning"]);
        await Surroundings.UntilAsync("the upstream accepts", () => Surroundings.AcceptsAsync(_upstream));
        await Surroundings.UntilAsync("the proxy accepts", () => Surroundings.AcceptsAsync(_listen));
    }

    public async Task DisposeAsync()
    {
        await _proxy!.DisposeAsync();
        await _server!.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>What the proxy says until it closes; sending goes on while it listens.</summary>
    private static async Task<string> SayAsync(int port, byte[] bytes)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync("127.0.0.1", port, limit.Token);
        var heard = new StringBuilder();
        var sending = Task.Run(async () =>
        {
            try
            {
                for (var at = 0; at < bytes.Length; at += 16_000)
                    await socket.SendAsync(bytes.AsMemory(at, Math.Min(16_000, bytes.Length - at)), limit.Token);
            }
            catch (SocketException)
            {
                // The proxy closed: what this test is about.
            }
        });
        try
        {
            var buffer = new byte[16_384];
            for (int count; (count = await socket.ReceiveAsync(buffer, limit.Token)) > 0;)
                heard.Append(Encoding.Latin1.GetString(buffer, 0, count));
        }
        catch (SocketException)
        {
            // A reset is a close too.
        }
        await sending;
        return heard.ToString();
    }

    private async Task<long> CountAsync(string name)
    {
        var (_, output, _) = await Program.RunAsync("curl", ["-s", "-m", "5", $"http://127.0.0.1:{_admin}/stats?filter={Regex.Escape(name)}"]);
        return Regex.Matches(output, @": (\d+)\s*$", RegexOptions.Multiline).Sum(m => long.Parse(m.Groups[1].Value, CultureInfo.InvariantCulture));
    }

    private async Task NothingWasForwardedAsync() =>
        Assert.Equal("0", (await Program.RunAsync("curl", ["-s", "-m", "5", $"http://127.0.0.1:{_upstream}/count"])).Output.Trim());

    [NeedsFact("curl", "openssl")]
    public async Task Heads_that_are_too_large_get_431_and_are_counted()
    {
        var many = new StringBuilder("GET / HTTP/1.1\r\nHost: a\r\n");
        for (var i = 0; i < 10_000; i++)
            many.Append(CultureInfo.InvariantCulture, $"x-{i}: 1\r\n");
        foreach (var text in new[] { $"GET / HTTP/1.1\r\nHost: a\r\nx-large: {new string('x', 1_000_000)}\r\n\r\n", many.Append("\r\n").ToString(), $"GET /{new string('p', 1_000_000)} HTTP/1.1\r\nHost: a\r\n\r\n" })
            Assert.Matches("^(HTTP/1.1 431|HTTP/1.1 414|$)", await SayAsync(_listen, Encoding.ASCII.GetBytes(text)));
        Assert.True(await CountAsync("http.h.downstream_rq_4xx") + await CountAsync("http.h.downstream_cx_protocol_error") >= 3);
        await NothingWasForwardedAsync();
    }

    [NeedsFact("curl", "openssl")]
    public async Task Half_a_request_and_silence_ends_after_the_time_for_heads()
    {
        var watch = Stopwatch.StartNew();
        var heard = await SayAsync(_listen, Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\nHost: a\r\nx-half: "));
        Assert.Matches("^(HTTP/1.1 408|$)", heard);
        Assert.InRange(watch.ElapsedMilliseconds, 300, 9000);
        await NothingWasForwardedAsync();
    }

    [NeedsFact("curl", "openssl")]
    public async Task Garbage_is_refused_on_every_port()
    {
        var random = new Random(17);
        for (var i = 0; i < 60; i++)
        {
            var bytes = new byte[1 + random.Next(3000)];
            random.NextBytes(bytes);
            Assert.Matches("^(HTTP/1.1 400|$)", await SayAsync(_listen, bytes));
        }
        foreach (var text in new[] { "GET / HTTP/1.1\r\nHost: a\r\nx: \0\r\n\r\n", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\nx: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd" })
            Assert.Matches("^HTTP/1.1 400", await SayAsync(_listen, Encoding.Latin1.GetBytes(text)));
        var before = await CountAsync($"{_tls}.ssl.connection_error");
        foreach (var bytes in new byte[][] { [22, 3, 1, 0, 5, 1, 0, 0, 1, 3], Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), [22, 3, 3, 255, 255, .. new byte[5000]] })
            Assert.DoesNotContain("HTTP", await SayAsync(_tls, bytes), StringComparison.Ordinal);
        Assert.True(await CountAsync($"{_tls}.ssl.connection_error") >= before + 3);
        await NothingWasForwardedAsync();
    }

    [NeedsFact("curl", "openssl")]
    public async Task Many_slow_clients_do_not_grow_memory_without_bound()
    {
        long Resident() => long.Parse(Regex.Match(File.ReadAllText($"/proc/{_proxy!.Id}/status"), @"VmRSS:\s+(\d+)").Groups[1].Value, CultureInfo.InvariantCulture);
        var before = Resident();
        var clients = new List<Socket>();
        try
        {
            for (var i = 0; i < 1000; i++)
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync("127.0.0.1", _listen);
                await socket.SendAsync(Encoding.ASCII.GetBytes($"POST / HTTP/1.1\r\nHost: a\r\nx: {new string('y', 3000)}"));
                clients.Add(socket);
            }
            // 4 KiB of head each, and as much for the connection itself.
            Assert.InRange(Resident() - before, 0, 40_000);
            Assert.Equal("200", (await Program.RunAsync("curl", ["-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", $"http://127.0.0.1:{_listen}/"])).Output.Trim());
        }
        finally
        {
            clients.ForEach(c => c.Dispose());
        }
        await Surroundings.UntilAsync("all of them are gone", async () => await CountAsync("http.h.downstream_cx_active") == 0);
    }
}
