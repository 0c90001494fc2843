using System.Text;
using Tulle.Testing;

namespace Tulle.Sidecar.Tests;

/// <summary>How TCP connections end, and what is counted and logged of it.</summary>
public class TcpEndTests
{
    private const string At = "type.googleapis.com/envoy.extensions.";
    private const string Clusters = "clusters: [ { name: u, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: u, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 10.0.0.3, port_value: 80 } } } } ] } ] } } ]";

    /// <param name="filters">Network filters before tcp_proxy.</param>
    /// <param name="listener">More fields of the listener.</param>
    /// <param name="tcp">More fields of tcp_proxy.</param>
    private static string Configuration(string filters = "", string listener = "", string tcp = "") => $$"""
        static_resources:
          listeners:
          - { name: l0, address: { socket_address: { address: 10.0.0.2, port_value: 8080 } }, {{listener}} filter_chains: [ { filters: [ {{filters}} { name: t, typed_config: { "@type": {{At}}filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: u, {{tcp}} access_log: [ { name: f, typed_config: { "@type": {{At}}access_loggers.file.v3.FileAccessLog, path: LOG, log_format: { text_format_source: { inline_string: "%RESPONSE_FLAGS% rx=%BYTES_RECEIVED% tx=%BYTES_SENT%\n" } } } } ] } } ] } ] }
          {{Clusters}}
        """;

    private sealed class Run : IDisposable
    {
        public string LogPath { get; } = Path.GetTempFileName();
        private readonly byte[] _buffer = new byte[64 * 1024];
        private bool _isDisposed;

        public Run(string configuration)
        {
            Proxy = new SimulatedProxy(1, windowBytes: 16_000, isCalm: true, configuration.Replace("LOG", LogPath, StringComparison.Ordinal));
            Proxy.Kernel.OnConnect = (_, far) =>
            {
                Servers.Add(far);
                return 0;
            };
        }

        public SimulatedProxy Proxy { get; }

        public List<SimulatedSocket> Servers { get; } = [];

        public SimulatedSocket Server => Servers[^1];

        public SimulatedSocket Connect(string says = "")
        {
            var client = Proxy.Connect();
            if (says.Length > 0)
                client.Write(Encoding.ASCII.GetBytes(says));
            return client;
        }

        /// <summary>The far end was told an end of any kind. What comes before it is thrown away.</summary>
        public bool IsOver(SimulatedSocket socket)
        {
            while (Read(socket).Length > 0)
            {
            }
            return socket.IsEnded || socket.IsReset;
        }

        public string Read(SimulatedSocket socket)
        {
            var count = socket.ReadAll(_buffer);
            return count > 0 ? Encoding.ASCII.GetString(_buffer, 0, count) : "";
        }

        public void UntilHeard(Func<SimulatedSocket> socket, string text)
        {
            var heard = "";
            Proxy.Until(() => (heard += Servers.Count > 0 || !text.StartsWith("up", StringComparison.Ordinal) ? Read(socket()) : "") == text, () => $"heard '{heard}' instead of '{text}'");
        }

        public string Log()
        {
            Proxy.EndDraining();
            Dispose();
            return File.ReadAllText(LogPath).Trim();
        }

        public void Dispose()
        {
            if (!_isDisposed)
                Proxy.Dispose();
            _isDisposed = true;
        }
    }

    private static Task On(string configuration, Action<Run> work) => Task.Run(() =>
    {
        using var run = new Run(configuration);
        try
        {
            work(run);
        }
        finally
        {
            run.Dispose();
            File.Delete(run.LogPath);
        }
    });

    [Fact]
    public Task H36_a_reset_of_the_upstream_is_a_reset_for_the_client_behind_what_came_before() => On(Configuration(), run =>
    {
        var client = run.Connect("up");
        run.UntilHeard(() => run.Server, "up");
        run.Server.Write("seven.."u8);
        run.Server.Reset();
        var heard = "";
        run.Proxy.Until(() => (heard += run.Read(client)).Length >= 0 && (client.IsReset || client.IsEnded), () => "the client never learns of it");
        Assert.True(client.IsReset && !client.IsEnded, "a reset became an orderly end");
        Assert.Equal("seven..", heard);
        Assert.Equal("UR rx=2 tx=7", run.Log());
    });

    [Fact]
    public Task H36_a_reset_of_the_client_is_a_reset_for_the_upstream() => On(Configuration(), run =>
    {
        var client = run.Connect("up");
        run.UntilHeard(() => run.Server, "up");
        client.Reset();
        run.Proxy.Until(() => run.IsOver(run.Server), () => "the upstream never learns of it");
        Assert.True(run.Server.IsReset);
        Assert.Equal("- rx=2 tx=0", run.Log());
    });

    /// <summary>A client that goes while the upstream sends without end: nothing more is read for it.</summary>
    [Fact]
    public Task N38_nobody_reads_for_a_client_that_is_gone() => On(Configuration(), run =>
    {
        var client = run.Connect("up");
        run.UntilHeard(() => run.Server, "up");
        for (var turn = 0; turn < 20; turn++)
        {
            run.Server.Write(new byte[16_000]);
            run.Proxy.Turn();
        }
        client.Close();
        run.Proxy.Until(() => run.IsOver(run.Server), () => "the upstream is read on for nobody", turnsMax: 100);
        run.Proxy.Until(() => run.Proxy.Loop.SocketCount == 1, () => "a socket is left", turnsMax: 100);
    });

    /// <summary>A megabyte and more is at hand and the client takes everything: a direction moves 256 KiB and one read more, then others have their turn.</summary>
    [Fact]
    public Task N37_a_bulk_transfer_has_a_budget_per_turn() => Task.Run(() =>
    {
        using var proxy = new SimulatedProxy(1, windowBytes: 2_000_000, isCalm: true, Configuration().Replace("LOG", "/dev/null", StringComparison.Ordinal));
        SimulatedSocket? server = null;
        proxy.Kernel.OnConnect = (_, far) =>
        {
            server = far;
            return 0;
        };
        var client = proxy.Connect();
        var buffer = new byte[2_000_000];
        proxy.Until(() => server is not null, () => "no connection to the upstream");
        Assert.Equal(1_800_000, server!.Write(new byte[1_800_000]));
        var got = 0;
        for (var turn = 0; got < 1_800_000; turn++)
        {
            Assert.True(turn < 100, $"{got} bytes came");
            proxy.Turn();
            var count = Math.Max(0, client.ReadAll(buffer));
            // Twice where an event came in the same turn.
            Assert.InRange(count, 0, 640 * 1024);
            got += count;
        }
    });

    [Fact]
    public Task H37_what_is_open_at_the_end_of_the_drain_time_is_logged_with_its_bytes() => On(Configuration(), run =>
    {
        var client = run.Connect("up here");
        run.UntilHeard(() => run.Server, "up here");
        run.Server.Write("and down"u8);
        run.UntilHeard(() => client, "and down");
        Assert.Equal("- rx=7 tx=8", run.Log());
        Assert.Equal(7, run.Proxy.Stat("tcp.t.downstream_cx_rx_bytes_total"));
    });

    [Fact]
    public Task A_connection_may_live_so_long_however_busy_it_is() => On(Configuration(tcp: "max_downstream_connection_duration: 0.5s,"), run =>
    {
        var client = run.Connect("up");
        run.UntilHeard(() => run.Server, "up");
        for (var turn = 0; turn < 2000 && !client.IsEnded; turn++)
        {
            client.Write("x"u8);
            run.Read(run.Server);
            run.Read(client);
            run.Proxy.Turn();
        }
        Assert.True(run.IsOver(client) && run.IsOver(run.Server) && client.IsEnded && run.Server.IsEnded, "the connection went on");
        Assert.Equal(1, run.Proxy.Stat("tcp.t.max_downstream_connection_duration"));
        Assert.StartsWith("DT rx=", run.Log(), StringComparison.Ordinal);
    });

    private static string Limit(string prefix, int max, string more = "") =>
        $"{{ name: c, typed_config: {{ \"@type\": {At}filters.network.connection_limit.v3.ConnectionLimit, stat_prefix: {prefix}, max_connections: {max}, {more} }} }},";

    [Fact]
    public Task H48_a_refusal_by_the_second_filter_gives_the_permit_of_the_first_back() => On(Configuration(Limit("first", 2) + Limit("second", 1)), run =>
    {
        var client = run.Connect("up");
        run.UntilHeard(() => run.Server, "up");
        for (var i = 0; i < 8; i++)
        {
            var refused = run.Connect("up");
            run.Proxy.Until(() => run.IsOver(refused), () => $"connection {i} above the limit is not closed");
            refused.Close();
        }
        Assert.Equal(1, run.Proxy.Stat("connection_limit.first.active_connections"));
        Assert.Equal(8, run.Proxy.Stat("connection_limit.second.limited_connections"));
        client.Close();
        run.Proxy.Until(() => run.IsOver(run.Server), () => "the upstream never learns of the end");
        run.Server.Close();
        run.Proxy.Until(() => run.Proxy.Stat("connection_limit.first.active_connections") == 0 && run.Proxy.Stat("connection_limit.second.active_connections") == 0, () => "a permit is lost");
        run.Connect("up again");
        run.UntilHeard(() => run.Server, "up again");
    });

    [Fact]
    public Task A_refused_connection_is_held_for_the_delay_and_not_before_nor_longer() => On(Configuration(Limit("c", 1, "delay: 0.5s")), run =>
    {
        run.Connect("up");
        run.UntilHeard(() => run.Server, "up");
        var refused = run.Connect("up");
        for (var turn = 0; turn < 400; turn++)
            run.Proxy.Turn();
        Assert.False(run.IsOver(refused));
        run.Proxy.Until(() => run.IsOver(refused), () => "it is held for ever", turnsMax: 300);
        Assert.Single(run.Servers);
    });

    [Fact]
    public Task A_limit_that_is_not_enabled_limits_nobody() => On(Configuration(Limit("c", 1, "runtime_enabled: { default_value: false, runtime_key: k }")), run =>
    {
        for (var i = 1; i <= 3; i++)
        {
            run.Connect("up");
            run.UntilHeard(() => run.Server, "up");
            Assert.Equal(i, run.Servers.Count);
        }
    });

    private const string ProxyProtocol = "{ name: p, typed_config: { \"@type\": " + At + "filters.listener.proxy_protocol.v3.ProxyProtocol, MORE } }";
    private const string V1 = "PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n";
    private const string V2Local = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

    [Theory]
    [InlineData("", V1 + "up", "up")]
    [InlineData("", V2Local + "up", "up")]
    [InlineData("", "up without a header", null)]
    [InlineData("allow_requests_without_proxy_protocol: true", "up without a header", "up without a header")]
    [InlineData("allow_requests_without_proxy_protocol: true", V1 + "up", "up")]
    [InlineData("allow_requests_without_proxy_protocol: true", "PROXY TCP9 1.2.3.4 5.6.7.8 1 2\r\nup", null)]
    [InlineData("disallowed_versions: [V1]", V1 + "up", null)]
    [InlineData("disallowed_versions: [V1]", V2Local + "up", "up")]
    [InlineData("disallowed_versions: [V2]", V2Local + "up", null)]
    [InlineData("disallowed_versions: [V1], allow_requests_without_proxy_protocol: true", V1 + "up", V1 + "up")]
    [InlineData("", "PROXY TCP4 ::1 ::1 1 2\r\nup", null)]
    [InlineData("", "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\nup", null)]
    public Task The_PROXY_filter_does_what_its_configuration_says(string more, string says, string? arrives) =>
        On(Configuration(listener: $"listener_filters: [ {ProxyProtocol.Replace("MORE", more, StringComparison.Ordinal)} ],"), run =>
        {
            var client = run.Connect(says);
            if (arrives is not null)
            {
                run.Proxy.Until(() => run.Servers.Count == 1, () => "no connection to the upstream");
                run.UntilHeard(() => run.Server, arrives);
                return;
            }
            run.Proxy.Until(() => run.IsOver(client), () => "the connection is not closed");
            Assert.Empty(run.Servers);
        });

    [Fact]
    public Task Use_proxy_proto_of_the_first_chain_expects_a_header() => On(Configuration().Replace("filter_chains: [ {", "filter_chains: [ { use_proxy_proto: true,", StringComparison.Ordinal), run =>
    {
        run.Connect(V1 + "up");
        run.UntilHeard(() => run.Server, "up");
    });

    private static string Rbac(string action, string principal) =>
        $"{{ name: r, typed_config: {{ \"@type\": {At}filters.network.rbac.v3.RBAC, stat_prefix: r, rules: {{ action: {action}, policies: {{ p: {{ permissions: [ {{ any: true }} ], principals: [ {principal} ] }} }} }} }} }},";

    /// <summary>The client is 10.0.0.1 and says in its PROXY header that it is 1.2.3.4.</summary>
    [Theory]
    [InlineData("direct_remote_ip: { address_prefix: 10.0.0.1, prefix_len: 32 }", true)]
    [InlineData("direct_remote_ip: { address_prefix: 1.2.3.4, prefix_len: 32 }", false)]
    [InlineData("remote_ip: { address_prefix: 1.2.3.4, prefix_len: 32 }", true)]
    [InlineData("remote_ip: { address_prefix: 10.0.0.1, prefix_len: 32 }", false)]
    [InlineData("source_ip: { address_prefix: 1.2.3.4, prefix_len: 32 }", true)]
    [InlineData("authenticated: {}", false)]
    public Task H08_direct_remote_ip_believes_no_header(string principal, bool passes) =>
        On(Configuration(Rbac("ALLOW", $"{{ {principal} }}"), $"listener_filters: [ {ProxyProtocol.Replace("MORE", "", StringComparison.Ordinal)} ],"), run =>
        {
            var client = run.Connect(V1 + "up");
            if (passes)
            {
                run.Proxy.Until(() => run.Servers.Count == 1, () => "refused");
                return;
            }
            run.Proxy.Until(() => run.IsOver(client), () => "the connection is not closed");
            Assert.Empty(run.Servers);
        });
}
