using System.Net.Sockets;
using System.Text;

namespace Tulle.Interop.Tests;

/// <summary>tulle-proxy as a program: real sockets, curl, openssl, an independent xDS server.</summary>
public sealed class ProxyProgramTests : IDisposable
{
    /// <summary>The cipher code as it is shipped, compiled by another compiler than the one unit tests run on, beside libcrypto's.</summary>
    [Fact]
    public async Task The_shipped_form_s_own_ciphers_agree_with_libcrypto()
    {
        var (code, output, errors) = await Program.RunAsync(Surroundings.Proxy, ["--self-test"], 60);
        Assert.True(code == 0, output + errors);
        Assert.StartsWith("AES-GCM: ", output, StringComparison.Ordinal);
    }

    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-proxy-").FullName;
    private readonly int _listen = Surroundings.FreePort();
    private readonly int _upstream = Surroundings.FreePort();
    private readonly int _admin = Surroundings.FreePort();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Bootstrap(string chainExtra = "") => $$"""
        admin: { address: { socket_address: { address: 127.0.0.1, port_value: {{_admin}} } } }
        static_resources:
          listeners:
          - name: in
            address: { socket_address: { address: 127.0.0.1, port_value: {{_listen}} } }
            filter_chains:
            - filters:
              - name: envoy.filters.network.http_connection_manager
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                  stat_prefix: in
                  route_config: { virtual_hosts: [ { name: all, domains: ["*"], routes: [ { match: { prefix: "/" }, route: { cluster: up } } ] } ] }
                  http_filters: [ { name: envoy.filters.http.router, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } } ]
        {{chainExtra}}
          clusters:
          - name: up
            type: STATIC
            connect_timeout: 1s
            load_assignment: { cluster_name: up, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: {{_upstream}} } } } } ] } ] }
        """;

    private async Task<Program> StartProxyAsync(string bootstrap)
    {
        var file = Path.Combine(_folder, "bootstrap.yaml");
        await File.WriteAllTextAsync(file, bootstrap);
        var proxy = Program.Start(Surroundings.Proxy, ["-c", file, "--concurrency", "1", "-l", "warning"]);
        await Surroundings.UntilAsync($"the proxy accepts ({proxy.Errors})", () => Surroundings.AcceptsAsync(_listen));
        return proxy;
    }

    private async Task<Program> StartUpstreamAsync()
    {
        var server = Program.Start(Surroundings.Cli, ["echo", $"--http={_upstream}", "--name=up", "--bind=127.0.0.1"]);
        await Surroundings.UntilAsync("the upstream accepts", () => Surroundings.AcceptsAsync(_upstream));
        return server;
    }

    [NeedsFact("curl")]
    public async Task Requests_bodies_and_large_answers_pass()
    {
        await using var upstream = await StartUpstreamAsync();
        await using var proxy = await StartProxyAsync(Bootstrap());
        var plain = await Program.RunAsync("curl", ["-s", "-m", "5", "-d", new string('x', 100_000), $"http://127.0.0.1:{_listen}/a"]);
        Assert.Contains("\"bodyBytes\":100000", plain.Output, StringComparison.Ordinal);
        var chunked = await Program.RunAsync("curl", ["-s", "-m", "5", "-H", "transfer-encoding: chunked", "-d", new string('x', 100_000), $"http://127.0.0.1:{_listen}/a"]);
        Assert.Contains("\"bodyBytes\":100000", chunked.Output, StringComparison.Ordinal);
        var large = await Program.RunAsync("curl", ["-s", "-m", "10", "-o", "/dev/null", "-w", "%{size_download}", "-H", "x-echo: bytes=20000000", $"http://127.0.0.1:{_listen}/a"]);
        Assert.Equal("20000000", large.Output.Trim());
    }

    /// <summary>A client that leaves while its answer is on the way must not keep the loop busy: found by running the mesh, kept by this test.</summary>
    [NeedsFact("curl")]
    public async Task Clients_that_leave_early_leave_nothing_behind()
    {
        await using var upstream = await StartUpstreamAsync();
        await using var proxy = await StartProxyAsync(Bootstrap());
        for (var i = 0; i < 60; i++)
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync("127.0.0.1", _listen);
            await socket.SendAsync(Encoding.ASCII.GetBytes($"GET /{i} HTTP/1.1\r\nHost: a\r\nx-echo: bytes={(i % 3) * 400_000 + 13}\r\n\r\n"));
            if (i % 2 == 0)
                await socket.ReceiveAsync(new byte[10]);
            socket.LingerState = new LingerOption(true, 0);
        }
        var answer = await Program.RunAsync("curl", ["-s", "-m", "3", $"http://127.0.0.1:{_listen}/after"]);
        Assert.Contains("\"path\":\"/after\"", answer.Output, StringComparison.Ordinal);
        await Surroundings.UntilAsync("no request is in flight", async () =>
            (await Program.RunAsync("curl", ["-s", "-m", "3", $"http://127.0.0.1:{_admin}/stats?filter=upstream_rq_active"])).Output.Contains("cluster.up.upstream_rq_active: 0", StringComparison.Ordinal));
    }

    [NeedsFact]
    public async Task Smuggling_is_refused_and_the_connection_closed()
    {
        await using var upstream = await StartUpstreamAsync();
        await using var proxy = await StartProxyAsync(Bootstrap());
        foreach (var text in new[]
        {
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "\u0016\u0003\u0001 not http\r\n\r\n",
        })
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 5000 };
            await socket.ConnectAsync("127.0.0.1", _listen);
            await socket.SendAsync(Encoding.Latin1.GetBytes(text));
            var heard = new StringBuilder();
            var buffer = new byte[4096];
            int count;
            while ((count = socket.Receive(buffer)) > 0)
                heard.Append(Encoding.Latin1.GetString(buffer, 0, count));
            Assert.Matches("^HTTP/1.1 (400|501)", heard.ToString());
        }
        var after = await Program.RunAsync("curl", ["-s", "-m", "3", $"http://127.0.0.1:{_upstream}/count"]);
        Assert.Equal("0", after.Output.Trim());
    }

    /// <summary>The head was fine and went on; what follows is no chunk: the client hears 400 or a closed connection, and the connection serves nothing more.</summary>
    [NeedsFact]
    public async Task A_broken_chunk_ends_the_connection()
    {
        await using var upstream = await StartUpstreamAsync();
        await using var proxy = await StartProxyAsync(Bootstrap());
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 5000 };
        await socket.ConnectAsync("127.0.0.1", _listen);
        await socket.SendAsync(Encoding.ASCII.GetBytes("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"));
        var heard = new StringBuilder();
        var buffer = new byte[4096];
        int count;
        while ((count = socket.Receive(buffer)) > 0)
            heard.Append(Encoding.Latin1.GetString(buffer, 0, count));
        Assert.Matches("^(HTTP/1.1 400|$)", heard.ToString());
        Assert.DoesNotContain("/hidden", heard.ToString(), StringComparison.Ordinal);
    }

    [NeedsFact("openssl", "curl")]
    public async Task Tls_is_spoken_with_openssl_and_curl()
    {
        var key = Path.Combine(_folder, "key.pem");
        var certificate = Path.Combine(_folder, "cert.pem");
        await Program.RunAsync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=shop", "-addext", "subjectAltName=DNS:shop"]);
        await using var upstream = await StartUpstreamAsync();
        await using var proxy = await StartProxyAsync(Bootstrap($$"""
                  transport_socket:
                    name: envoy.transport_sockets.tls
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
                      common_tls_context:
                        tls_certificates: [ { certificate_chain: { filename: {{certificate}} }, private_key: { filename: {{key}} } } ]
            """));
        foreach (var version in new[] { "1.2", "1.3" })
        {
            var answer = await Program.RunAsync("curl", ["-s", "-m", "8", "--http1.1", $"--tlsv{version}", "--tls-max", version, "--cacert", certificate, "--resolve", $"shop:{_listen}:127.0.0.1", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", "-H", "x-echo: bytes=3000000", $"https://shop:{_listen}/"]);
            Assert.Equal("200 3000000", answer.Output.Trim());
        }
    }

    /// <summary>The example of the independent server, made to fit: our ports, and no cluster that needs a secret (the example's is no certificate).</summary>
    private async Task<string> GivenAsync()
    {
        var text = await File.ReadAllTextAsync(Path.Combine(Surroundings.Peers, "examples", "basic.yaml"));
        text = text[..text.IndexOf("\nsecrets:", StringComparison.Ordinal)].Replace("18100", $"{_listen}", StringComparison.Ordinal).Replace("18101", $"{_upstream}", StringComparison.Ordinal);
        return text[..text.IndexOf("  transport_socket:", StringComparison.Ordinal)] + text[text.IndexOf("routes:", StringComparison.Ordinal)..];
    }

    private string AdsBootstrap(string type, int port) => $$"""
        node: { id: stranger, cluster: test }
        admin: { address: { socket_address: { address: 127.0.0.1, port_value: {{_admin}} } } }
        dynamic_resources:
          ads_config: { api_type: {{type}}, transport_api_version: V3, grpc_services: [ { envoy_grpc: { cluster_name: xds } } ] }
          lds_config: { ads: {}, resource_api_version: V3 }
          cds_config: { ads: {}, resource_api_version: V3 }
        static_resources:
          clusters:
          - name: xds
            type: STATIC
            typed_extension_protocol_options:
              envoy.extensions.upstreams.http.v3.HttpProtocolOptions: { "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: { http2_protocol_options: {} } }
            load_assignment: { cluster_name: xds, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: {{port}} } } } } ] } ] }
        """;

    private async Task<string> AskAsync(string path) => (await Program.RunAsync("curl", ["-s", "-m", "5", $"http://127.0.0.1:{_listen}{path}"])).Output;

    private async Task<Program> StartAdsAsync(string given, int port)
    {
        var server = Program.Start(await Surroundings.PeerAsync("ads"), ["-f", given, "-listen", $"127.0.0.1:{port}"]);
        await Surroundings.UntilAsync("the xDS server accepts", () => Surroundings.AcceptsAsync(port));
        return server;
    }

    [NeedsFact("peers", "curl")]
    public async Task An_independent_xds_server_configures_it()
    {
        await using var upstream = await StartUpstreamAsync();
        foreach (var type in new[] { "GRPC", "DELTA_GRPC" })
        {
            var port = Surroundings.FreePort();
            var given = Path.Combine(_folder, "given.yaml");
            await File.WriteAllTextAsync(given, await GivenAsync());
            await using var server = await StartAdsAsync(given, port);
            await using var proxy = await StartProxyAsync(AdsBootstrap(type, port));
            Assert.Contains("\"path\":\"/hello\"", await AskAsync("/hello"), StringComparison.Ordinal);
            Assert.DoesNotContain("\"nack\"", server.Output + server.Errors, StringComparison.OrdinalIgnoreCase);
        }
    }

    [NeedsFact("peers", "curl")]
    public async Task A_bad_resource_is_refused_by_name_and_the_stream_survives_its_server()
    {
        await using var upstream = await StartUpstreamAsync();
        foreach (var type in new[] { "GRPC", "DELTA_GRPC" })
        {
            var port = Surroundings.FreePort();
            var given = Path.Combine(_folder, "given.yaml");
            var text = await GivenAsync();
            await File.WriteAllTextAsync(given, text);
            var server = await StartAdsAsync(given, port);
            await using var proxy = await StartProxyAsync(AdsBootstrap(type, port));

            // One cluster that we cannot honour beside a good new one: only the bad one is refused, by name.
            var more = text.Replace("clusters:\n", $$"""
                clusters:
                - { name: ring, type: STATIC, connect_timeout: 1s, lb_policy: MAGLEV, load_assignment: { cluster_name: ring } }
                - { name: fresh, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: fresh, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: {{_upstream}} } } } } ] } ] } }

                """, StringComparison.Ordinal);
            Assert.NotEqual(text, more);
            await File.WriteAllTextAsync(given, more);
            await Surroundings.UntilAsync($"the server hears of the refused cluster ({type})", () => Task.FromResult((server.Output + server.Errors).Split('\n').Any(l => l.Contains("nack", StringComparison.OrdinalIgnoreCase) && l.Contains("ring", StringComparison.Ordinal))));
            await Surroundings.UntilAsync("the good cluster is there", async () => (await Program.RunAsync("curl", ["-s", "-m", "3", $"http://127.0.0.1:{_admin}/clusters"])).Output.Contains("fresh::", StringComparison.Ordinal));
            Assert.Contains("\"path\":\"/hello\"", await AskAsync("/hello"), StringComparison.Ordinal);

            // The server dies: traffic goes on. It comes back with a change: the change takes effect.
            await server.SignalAsync("KILL");
            await server.DisposeAsync();
            Assert.Contains("\"path\":\"/still\"", await AskAsync("/still"), StringComparison.Ordinal);
            await File.WriteAllTextAsync(given, text.Replace("{ match: { prefix: \"/b\" }, route: { cluster: b } }", "{ match: { prefix: \"/b\" }, direct_response: { status: 418 } }", StringComparison.Ordinal));
            await using var next = await StartAdsAsync(given, port);
            await Surroundings.UntilAsync("the new route is in force", async () => (await Program.RunAsync("curl", ["-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", $"http://127.0.0.1:{_listen}/b"])).Output.Trim() == "418", 40);
        }
    }

    [NeedsFact]
    public async Task A_bad_bootstrap_is_told_whole()
    {
        var file = Path.Combine(_folder, "bad.yaml");
        await File.WriteAllTextAsync(file, Bootstrap().Replace("connect_timeout: 1s", "connect_timeout: soon", StringComparison.Ordinal).Replace("type: STATIC", "type: STATICK", StringComparison.Ordinal));
        var (code, output, errors) = await Program.RunAsync(Surroundings.Proxy, ["-c", file, "--mode", "validate"], 20);
        Assert.NotEqual(0, code);
        Assert.Contains("connect_timeout", output + errors, StringComparison.Ordinal);
        Assert.Contains("STATICK", output + errors, StringComparison.Ordinal);
    }
}
