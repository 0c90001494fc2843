using System.Text;
using Tulle.Native;
using Tulle.Testing;
using static Tulle.Sidecar.Tests.Tls.TlsFieldTests;

namespace Tulle.Sidecar.Tests.Tls;

/// <summary>auto_sni and auto_san_validation: the request's host is the name that the upstream connection asks for and that its certificate must have.</summary>
public class RequestNameTests
{
    private static readonly TestCertificates s_root = new();

    /// <summary>An HTTPS server at the far end: libssl over the simulated socket.</summary>
    private sealed class SecureServer(SimulatedSocket socket, SslContext context)
    {
        private readonly SslSession _session = new(context, null, null, null);
        private readonly MessageReader _reader = new(isRequest: true);
        private readonly byte[] _buffer = new byte[16 * 1024];
        private readonly byte[] _answer = PlayedServer.Answer(3);
        private bool _isDone;
        private int _answered;

        public string AskedName { get; private set; } = "?";

        public int Answered => _answered;

        public void Play()
        {
            int count;
            while ((count = socket.ReadAll(_buffer)) > 0)
                _session.Feed(_buffer.AsSpan(0, count));
            if (!_isDone)
            {
                _isDone = _session.Handshake() == HandshakeStatus.Done;
                if (_isDone)
                    AskedName = _session.AskedName;
            }
            if (_isDone)
            {
                while ((count = _session.Read(_buffer)) > 0)
                    _reader.Feed(_buffer.AsSpan(0, count));
                for (; _answered < _reader.Messages; _answered++)
                    _session.Write(_answer);
            }
            while ((count = _session.Drain(_buffer)) > 0)
                socket.Write(_buffer.AsSpan(0, count));
            if (socket.IsEnded && !socket.IsClosed)
                socket.Close();
        }
    }

    private static string Configuration(string options, string route = "") => $$"""
        static_resources:
          listeners:
          - name: l0
            address: { socket_address: { address: 10.0.0.2, port_value: 8080 } }
            filter_chains:
            - filters:
              - name: h
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                  stat_prefix: h
                  route_config: { virtual_hosts: [ { name: v, domains: ["*"], routes: [ { match: { prefix: / }, route: { cluster: u{{route}} } } ] } ] }
                  http_filters: [ { name: r, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } } ]
          clusters:
          - { name: u, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: u, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 10.0.0.3, port_value: 443 } } } } ] } ] },
              typed_extension_protocol_options: { envoy.extensions.upstreams.http.v3.HttpProtocolOptions: { "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, upstream_http_protocol_options: { {{options}} }, explicit_http_config: { http_protocol_options: {} } } },
              transport_socket: { name: tls, typed_config: { "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: static.test, {{Common($"validation_context: {{ trusted_ca: {Pem(s_root.Pem)} }}")}} } } }
        """;

    /// <summary>Sends one request after the other on connections of their own; gives the status of each and the name that each upstream connection asked for.</summary>
    private static Task<(List<int> Statuses, List<string> Names)> AskAsync(string configuration, TestCertificate certificate, params string[] heads) => Task.Run(() =>
    {
        var context = new SslContext(new SslContextOptions { IsServer = true, Certificates = [new SslCertificate { ChainPem = certificate.PemBytes, KeyPem = certificate.KeyBytes }], TicketCount = 2 });
        using var proxy = new SimulatedProxy(7, windowBytes: 64 * 1024, isCalm: true, configuration);
        var servers = new List<SecureServer>();
        proxy.Kernel.OnConnect = (_, far) =>
        {
            servers.Add(new SecureServer(far, context));
            return 0;
        };
        var statuses = new List<int>();
        var buffer = new byte[4096];
        foreach (var head in heads)
        {
            var client = proxy.Connect();
            client.Write(Encoding.ASCII.GetBytes($"GET / HTTP/1.1\r\n{head}\r\n\r\n"));
            var answer = "";
            proxy.Until(() =>
            {
                servers.ForEach(s => s.Play());
                int count;
                while ((count = client.ReadAll(buffer)) > 0)
                    answer += Encoding.ASCII.GetString(buffer, 0, count);
                return answer.Contains("\r\n\r\n", StringComparison.Ordinal);
            }, () => $"no answer to {head}: {answer}", 20_000);
            statuses.Add(int.Parse(answer.AsSpan(9, 3)));
            client.Close();
        }
        return (statuses, servers.ConvertAll(s => s.AskedName));
    });

    [Fact]
    public async Task H06_the_host_is_the_server_name_and_connections_are_pooled_by_it()
    {
        var certificate = s_root.Issue(["a.test", "b.test"]);
        var (statuses, names) = await AskAsync(Configuration("auto_sni: true, auto_san_validation: true"), certificate, "Host: a.test", "Host: b.test:8080", "Host: a.test", "Host: b.test", "Host: other.test");
        Assert.Equal([200, 200, 200, 200, 503], statuses);
        Assert.Equal(["a.test", "b.test"], names[..2]);
        // The host that is not in the certificate was tried on a connection of its own, however many the pool had.
        Assert.All(names[2..], n => Assert.Equal("other.test", n));
    }

    [Fact]
    public async Task H06_without_the_check_the_name_is_only_sent()
    {
        var (statuses, names) = await AskAsync(Configuration("auto_sni: true"), s_root.Issue(["a.test"]), "Host: other.test");
        Assert.Equal([200], statuses);
        Assert.Equal(["other.test"], names);
    }

    [Fact]
    public async Task H06_an_address_is_checked_and_not_sent()
    {
        var (statuses, names) = await AskAsync(Configuration("auto_sni: true, auto_san_validation: true"), s_root.Issue(["10.0.0.3"]), "Host: 10.0.0.3:443", "Host: 10.0.0.4");
        Assert.Equal([200, 503], statuses);
        Assert.Equal("static.test", names[0]);
    }

    [Fact]
    public async Task H06_rewrites_and_a_named_field_come_first()
    {
        var (_, rewritten) = await AskAsync(Configuration("auto_sni: true", ", host_rewrite_literal: new.test"), s_root.Issue(["a.test"]), "Host: a.test");
        Assert.Equal(["new.test"], rewritten);
        var (_, named) = await AskAsync(Configuration("auto_sni: true, override_auto_sni_header: x-sni"), s_root.Issue(["a.test"]), "Host: a.test\r\nx-sni: named.test", "Host: a.test");
        Assert.Equal(["named.test", "a.test"], named);
    }

    [Theory]
    [InlineData("")]
    [InlineData("auto_sni: false")]
    public async Task H06_without_the_option_the_configured_name_is_sent(string options)
    {
        var (statuses, names) = await AskAsync(Configuration(options), s_root.Issue(["a.test"]), "Host: a.test", "Host: b.test");
        Assert.Equal([200, 200], statuses);
        Assert.Equal(["static.test"], names);
    }
}
