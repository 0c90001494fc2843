using System.Text;

namespace Tulle.Interop.Tests;

/// <summary>Our TLS beside openssl, nginx and haproxy, in both directions: every suite, key updates, resumption, client certificates.</summary>
public sealed class TlsPeersTests : IAsyncLifetime
{
    private const int BodyBytes = 3_000_000;

    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-tls-").FullName;
    private readonly int _plain = Surroundings.FreePort();
    private readonly int _secure = Surroundings.FreePort();
    private readonly int _other = Surroundings.FreePort();
    private readonly int _admin = Surroundings.FreePort();
    private readonly int _far = Surroundings.FreePort();
    private readonly int _upstream = Surroundings.FreePort();
    private Program? _server;

    private string Certificate => Path.Combine(_folder, "cert.pem");

    private string Key => Path.Combine(_folder, "key.pem");

    public async Task InitializeAsync()
    {
        await Program.RunAsync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", Key, "-out", Certificate, "-days", "2", "-subj", "/CN=shop", "-addext", "subjectAltName=DNS:shop"]);
        await File.WriteAllTextAsync(Path.Combine(_folder, "both.pem"), await File.ReadAllTextAsync(Certificate) + await File.ReadAllTextAsync(Key));
        await Program.RunAsync("chmod", ["-R", "a+rX", _folder]);
        _server = Program.Start(Surroundings.Cli, ["echo", $"--http={_upstream}", "--name=up", "--bind=127.0.0.1"]);
        await Surroundings.UntilAsync("the upstream accepts", () => Surroundings.AcceptsAsync(_upstream));
    }

    public async Task DisposeAsync()
    {
        await _server!.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>A plain listener that goes on over mTLS to <c>_far</c>, a listener that takes mTLS, and a second one with another trust.</summary>
    private async Task<Program> StartProxyAsync(string client = "", string server = "")
    {
        const string At = "type.googleapis.com/envoy.extensions";
        string Filters(string cluster) => $$"""[ { name: h, typed_config: { "@type": {{At}}.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: h, route_config: { virtual_hosts: [ { name: v, domains: ["*"], routes: [ { match: { prefix: / }, route: { cluster: {{cluster}} } } ] } ] }, http_filters: [ { name: r, typed_config: { "@type": {{At}}.filters.http.router.v3.Router } } ] } } ]""";
        string Listener(string name, int port, string cluster, string more) => $$"""  - { name: {{name}}, address: { socket_address: { address: 127.0.0.1, port_value: {{port}} } }, filter_chains: [ { filters: {{Filters(cluster)}}{{more}} } ] }""";
        var secret = $$"""tls_certificates: [ { certificate_chain: { filename: {{Certificate}} }, private_key: { filename: {{Key}} } } ], validation_context: { trusted_ca: { filename: {{Certificate}} } }""";
        string Down(string extra) => $$""", transport_socket: { name: tls, typed_config: { "@type": {{At}}.transport_sockets.tls.v3.DownstreamTlsContext, require_client_certificate: true, common_tls_context: { {{secret}}{{extra}} } } }""";
        var up = $$""", transport_socket: { name: tls, typed_config: { "@type": {{At}}.transport_sockets.tls.v3.UpstreamTlsContext, sni: shop, common_tls_context: { {{secret}}{{client}} } } }, typed_extension_protocol_options: { envoy.extensions.upstreams.http.v3.HttpProtocolOptions: { "@type": {{At}}.upstreams.http.v3.HttpProtocolOptions, common_http_protocol_options: { max_requests_per_connection: 1 }, explicit_http_config: { http_protocol_options: {} } } }""";
        string Cluster(string name, int port, string more) => $$"""  - { name: {{name}}, type: STATIC, connect_timeout: 2s, load_assignment: { cluster_name: {{name}}, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: {{port}} } } } } ] } ] }{{more}} }""";
        var file = Path.Combine(_folder, "bootstrap.yaml");
        await File.WriteAllTextAsync(file, $$"""
            admin: { address: { socket_address: { address: 127.0.0.1, port_value: {{_admin}} } } }
            static_resources:
              listeners:
            {{Listener("plain", _plain, "far", "")}}
            {{Listener("secure", _secure, "up", Down(server))}}
            {{Listener("other", _other, "up", Down(", alpn_protocols: [other]"))}}
              clusters:
            {{Cluster("far", _far, up)}}
            {{Cluster("up", _upstream, "")}}
            """);
        var proxy = Program.Start(Surroundings.Proxy, ["-c", file, "--concurrency", "1", "-l", "warning"]);
        await Surroundings.UntilAsync($"the proxy accepts ({proxy.Errors})", () => Surroundings.AcceptsAsync(_plain));
        return proxy;
    }

    private async Task<string> StatsAsync(string filter) => (await Program.RunAsync("curl", ["-s", "-m", "5", $"http://127.0.0.1:{_admin}/stats?filter={filter}"])).Output;

    private Task<(int Code, string Output, string Errors)> ShellAsync(string command) => Program.RunAsync("bash", ["-c", command], 30);

    private string Client(int port, string more) => $"timeout 8 openssl s_client -connect 127.0.0.1:{port} -cert {Certificate} -key {Key} -CAfile {Certificate} -verify_return_error -servername shop {more}";

    [NeedsFact("openssl", "curl")]
    public async Task Openssl_clients_with_every_suite_get_whole_answers()
    {
        await using var proxy = await StartProxyAsync();
        foreach (var suite in new[] { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256" })
        {
            var (_, output, errors) = await ShellAsync($"(printf 'GET / HTTP/1.1\\r\\nHost: shop\\r\\nx-echo: bytes={BodyBytes}\\r\\nConnection: close\\r\\n\\r\\n') | {Client(_secure, $"-tls1_3 -ciphersuites {suite} -ign_eof -quiet")} 2>/dev/null | wc -c");
            Assert.True(int.Parse(output.Trim()) > BodyBytes, $"{suite}: {output} bytes; {errors}");
        }
        foreach (var suite in new[] { "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305" })
        {
            var (_, output, errors) = await ShellAsync($"(printf 'GET / HTTP/1.1\\r\\nHost: shop\\r\\nx-echo: bytes={BodyBytes}\\r\\nConnection: close\\r\\n\\r\\n') | {Client(_secure, $"-tls1_2 -cipher {suite} -ign_eof -quiet")} 2>/dev/null | wc -c");
            Assert.True(int.Parse(output.Trim()) > BodyBytes, $"{suite}: {output} bytes; {errors}");
        }
        Assert.Contains("listener.127.0.0.1_" + _secure + ".ssl.connection_error: 0", await StatsAsync("connection_error"), StringComparison.Ordinal);
    }

    /// <summary>"K" on a line of its own makes s_client change its keys and ask us to change ours (RFC 8446 section 4.6.3).</summary>
    [NeedsFact("openssl", "curl")]
    public async Task Key_updates_in_both_directions_keep_the_connection()
    {
        await using var proxy = await StartProxyAsync();
        var said = Path.Combine(_folder, "said");
        // Each line is written when the answer to the one before is there; s_client's own time-out is the deadline.
        string Ask(string path) => $"printf 'GET {path} HTTP/1.1\\r\\nHost: shop\\r\\n\\r\\n'; seen '\"path\":\"{path}\"' 1";
        await ShellAsync($"export said={said}; : >$said; seen() {{ until [ $(grep -c \"$1\" $said) -ge $2 ]; do :; done; }}; export -f seen; "
            + $"timeout 8 bash -c '{$"{Ask("/one")}; echo K; seen KEYUPDATE 1; {Ask("/two")}; echo k; seen KEYUPDATE 2; {Ask("/three")}".Replace("'", "'\\''", StringComparison.Ordinal)}' | {Client(_secure, "-tls1_3")} >$said 2>&1");
        var output = await File.ReadAllTextAsync(said);
        Assert.Contains("KEYUPDATE", output, StringComparison.Ordinal);
        foreach (var path in new[] { "/one", "/two", "/three" })
            Assert.True(output.Contains($"\"path\":\"{path}\"", StringComparison.Ordinal), $"{path} was not answered: {output}");
    }

    [NeedsFact("openssl", "curl")]
    public async Task A_session_resumes_where_it_began_and_nowhere_else()
    {
        await using var proxy = await StartProxyAsync();
        var session = Path.Combine(_folder, "session.pem");
        const string Ask = "printf 'GET / HTTP/1.1\\r\\nHost: shop\\r\\nConnection: close\\r\\n\\r\\n'";
        var first = await ShellAsync($"{Ask} | {Client(_secure, $"-tls1_3 -ign_eof -sess_out {session}")} 2>&1");
        Assert.Contains("New, TLSv1.3", first.Output, StringComparison.Ordinal);
        var again = await ShellAsync($"{Ask} | {Client(_secure, $"-tls1_3 -ign_eof -sess_in {session}")} 2>&1");
        Assert.Contains("Reused, TLSv1.3", again.Output, StringComparison.Ordinal);
        Assert.Contains("HTTP/1.1 200 OK", again.Output, StringComparison.Ordinal);
        var elsewhere = await ShellAsync($"{Ask} | {Client(_other, $"-tls1_3 -ign_eof -sess_in {session} -alpn other")} 2>&1");
        Assert.Contains("New, TLSv1.3", elsewhere.Output, StringComparison.Ordinal);
    }

    [NeedsFact("openssl", "curl")]
    public async Task Clients_without_a_trusted_certificate_are_refused()
    {
        await using var proxy = await StartProxyAsync();
        var stranger = Path.Combine(_folder, "stranger");
        await Program.RunAsync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", stranger + ".key", "-out", stranger + ".pem", "-days", "2", "-subj", "/CN=stranger"]);
        foreach (var given in new[] { "", $"--cert {stranger}.pem --key {stranger}.key" })
        {
            var (_, output, _) = await ShellAsync($"curl -s -m 5 -o /dev/null -w '%{{http_code}}' --cacert {Certificate} {given} --resolve shop:{_secure}:127.0.0.1 https://shop:{_secure}/");
            Assert.Equal("000", output.Trim());
        }
        Assert.Contains($"127.0.0.1_{_secure}.ssl.connection_error: 2", await StatsAsync("connection_error"), StringComparison.Ordinal);
        Assert.Equal("0", (await Program.RunAsync("curl", ["-s", $"http://127.0.0.1:{_upstream}/count"])).Output.Trim());
    }

    private Task<(int Code, string Output, string Errors)> AskAsync(string path = "/") =>
        Program.RunAsync("curl", ["-s", "-m", "8", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", "-H", $"x-echo: bytes={BodyBytes}", $"http://127.0.0.1:{_plain}{path}"]);

    [NeedsFact("openssl", "curl")]
    public async Task As_a_client_it_speaks_to_openssl_with_every_suite_and_resumes()
    {
        await using var proxy = await StartProxyAsync();
        foreach (var suite in new[] { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256" })
        {
            await using (Program.Start("openssl", ["s_server", "-accept", $"{_far}", "-cert", Certificate, "-key", Key, "-CAfile", Certificate, "-Verify", "1", "-tls1_3", "-ciphersuites", suite, "-www", "-quiet"]))
            {
                await Surroundings.UntilAsync("s_server accepts", () => Surroundings.AcceptsAsync(_far));
                for (var i = 0; i < 3; i++)
                {
                    var (_, output, errors) = await Program.RunAsync("curl", ["-s", "-m", "5", $"http://127.0.0.1:{_plain}/"]);
                    Assert.True(output.Contains(suite, StringComparison.Ordinal), $"{suite}: {output}{errors}");
                }
            }
        }
        Assert.DoesNotContain("cluster.far.ssl.session_reused: 0", await StatsAsync("session_reused"), StringComparison.Ordinal);
    }

    [NeedsFact("nginx", "haproxy", "curl", "openssl")]
    public async Task Nginx_and_haproxy_take_our_connections_and_we_take_theirs()
    {
        await using var proxy = await StartProxyAsync();
        var entry = Surroundings.FreePort();
        var files = new Dictionary<string, string>
        {
            ["nginx"] = $$"""
                daemon off; worker_processes 1; pid {{_folder}}/nginx.pid; error_log {{_folder}}/nginx.err;
                events { worker_connections 100; }
                http { access_log off; client_body_temp_path {{_folder}}; proxy_temp_path {{_folder}}; fastcgi_temp_path {{_folder}}; uwsgi_temp_path {{_folder}}; scgi_temp_path {{_folder}};
                  server { listen 127.0.0.1:{{_far}} ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {{Certificate}}; ssl_certificate_key {{Key}}; ssl_client_certificate {{Certificate}}; ssl_verify_client on; location / { proxy_pass http://127.0.0.1:{{_upstream}}; proxy_set_header x-echo $http_x_echo; } }
                  server { listen 127.0.0.1:{{entry}}; location / { proxy_pass https://127.0.0.1:{{_secure}}; proxy_http_version 1.1; proxy_ssl_protocols TLSv1.3; proxy_ssl_certificate {{Certificate}}; proxy_ssl_certificate_key {{Key}}; proxy_ssl_trusted_certificate {{Certificate}}; proxy_ssl_verify on; proxy_ssl_name shop; proxy_ssl_server_name on; proxy_set_header x-echo $http_x_echo; } }
                }
                """,
            ["haproxy"] = $"""
                defaults
                  mode http
                  timeout connect 5s
                  timeout client 10s
                  timeout server 10s
                frontend in
                  bind 127.0.0.1:{_far} ssl crt {_folder}/both.pem ca-file {Certificate} verify required
                  default_backend up
                backend up
                  server s 127.0.0.1:{_upstream}
                frontend entry
                  bind 127.0.0.1:{entry}
                  default_backend ours
                backend ours
                  server s 127.0.0.1:{_secure} ssl crt {_folder}/both.pem ca-file {Certificate} verify required sni str(shop)

                """,
        };
        foreach (var (name, text) in files)
        {
            var file = Path.Combine(_folder, $"{name}.conf");
            await File.WriteAllTextAsync(file, text);
            await using var peer = Program.Start(name, name == "nginx" ? ["-c", file] : ["-db", "-f", file]);
            await Surroundings.UntilAsync($"{name} accepts ({peer.Errors})", () => Surroundings.AcceptsAsync(entry));
            for (var i = 0; i < 3; i++)
            {
                var (_, ours, _) = await AskAsync();
                Assert.True(ours.Trim() == $"200 {BodyBytes}", $"we to {name}: {ours}; {await StatsAsync("far.*ssl")}");
                var (_, theirs, _) = await Program.RunAsync("curl", ["-s", "-m", "8", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", "-H", $"x-echo: bytes={BodyBytes}", $"http://127.0.0.1:{entry}/"]);
                Assert.True(theirs.Trim() == $"200 {BodyBytes}", $"{name} to us: {theirs}; {await StatsAsync("listener.*ssl")}");
            }
        }
    }
}
