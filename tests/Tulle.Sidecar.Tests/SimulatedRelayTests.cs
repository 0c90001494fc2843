using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Tulle.Base;
using Tulle.Testing;

namespace Tulle.Sidecar.Tests;

/// <summary>TCP through the proxy, plain and over mutual TLS to itself, while the kernel cuts, delays and interrupts.</summary>
public class SimulatedRelayTests
{
    private const string At = "type.googleapis.com/";
    private const string Plain = """{ name: u, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: u, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 10.0.0.3, port_value: 80 } } } } ] } ] } }""";

    private static string Listener(int index, string cluster, string direction, string more = "", string socket = "") => $$"""
          - name: l{{index}}
            traffic_direction: {{direction}}
            address: { socket_address: { address: 10.0.0.2, port_value: {{8080 + index}} } }
            filter_chains:
            - filters: [ {{more}}{ name: t, typed_config: { "@type": {{At}}envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: {{cluster}} } } ]
              {{socket}}
        """;

    /// <summary>l0 sends to l1 over mutual TLS with metadata exchange, l1 to a plain upstream.</summary>
    private static string Mesh()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=test", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddUri(new Uri("spiffe://cluster.local/ns/shop/sa/web"));
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1));
        string Quoted(string pem) => $"\"{pem.Replace("\n", "\\n", StringComparison.Ordinal)}\"";
        var common = $"tls_certificates: [ {{ certificate_chain: {{ inline_string: {Quoted(certificate.ExportCertificatePem())} }}, private_key: {{ inline_string: {Quoted(key.ExportPkcs8PrivateKeyPem())} }} }} ], validation_context: {{ trusted_ca: {{ inline_string: {Quoted(certificate.ExportCertificatePem())} }} }}";
        const string Exchange = $"{{ name: istio.metadata_exchange, typed_config: {{ \"@type\": {At}udpa.type.v1.TypedStruct, type_url: {At}envoy.tcp.metadataexchange.config.MetadataExchange, value: {{ enable_discovery: true, protocol: istio-peer-exchange }} }} }}";
        const string Stats = $"{{ name: istio.stats, typed_config: {{ \"@type\": {At}udpa.type.v1.TypedStruct, type_url: {At}stats.PluginConfig, value: {{}} }} }}, ";
        var server = $"transport_socket: {{ name: tls, typed_config: {{ \"@type\": {At}envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, require_client_certificate: true, common_tls_context: {{ {common}, alpn_protocols: [istio-peer-exchange] }} }} }}";
        var client = $"transport_socket: {{ name: tls, typed_config: {{ \"@type\": {At}envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: {{ {common}, alpn_protocols: [istio-peer-exchange, istio] }} }} }}";
        return $$"""
            node: { id: "sidecar~10.0.0.2~web-1.shop~shop.svc.cluster.local", cluster: web.shop, metadata: { WORKLOAD_NAME: web-v1, NAMESPACE: shop, NAME: web-1, CLUSTER_ID: Kubernetes, LABELS: { app: web, version: v1 } } }
            static_resources:
              listeners:
            {{Listener(0, "far", "OUTBOUND", Stats)}}
            {{Listener(1, "u", "INBOUND", Exchange + ", " + Stats, server)}}
              clusters:
              - {{Plain}}
              - { name: far, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: far, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 10.0.0.2, port_value: 8081 } } } } ] } ] }, filters: [ {{Exchange}} ], {{client}} }
            """;
    }

    /// <summary>Two ends of the network joined: bytes and ends of one go to the other.</summary>
    private sealed class Wire(SimulatedSocket a, SimulatedSocket b)
    {
        private readonly byte[] _there = new byte[4096], _back = new byte[4096];
        private int _thereLength, _backLength;

        public void Carry()
        {
            Carry(a, b, _there, ref _thereLength);
            Carry(b, a, _back, ref _backLength);
        }

        private static void Carry(SimulatedSocket from, SimulatedSocket to, byte[] held, ref int length)
        {
            if (length == 0)
                length = Math.Max(0, from.ReadAll(held));
            if (length > 0)
            {
                var sent = Math.Max(0, to.Write(held.AsSpan(0, length)));
                held.AsSpan(sent, length - sent).CopyTo(held);
                length -= sent;
            }
            else if (from.IsEnded)
            {
                to.ShutdownWrite();
            }
        }
    }

    private static void Converse(SimulatedProxy proxy, ulong seed, List<Wire> wires, Func<SimulatedSocket?> server)
    {
        var random = new SeededRandom(seed * 31);
        var asked = Payload(random, random.Next(40_000));
        var answered = Payload(random, random.Next(40_000));
        var client = proxy.Connect();
        var (gotAsked, gotAnswered) = (new List<byte>(), new List<byte>());
        int sentAsked = 0, sentAnswered = 0;
        var buffer = new byte[4096];
        proxy.Until(() =>
        {
            foreach (var wire in wires)
                wire.Carry();
            Play(client, asked, ref sentAsked, gotAnswered, buffer);
            if (server() is { } far)
                Play(far, answered, ref sentAnswered, gotAsked, buffer);
            return client.IsEnded && server() is { IsEnded: true } && gotAsked.Count == asked.Length && gotAnswered.Count == answered.Length;
        }, () => $"seed {seed}: sent {sentAsked}/{asked.Length} and {sentAnswered}/{answered.Length}, arrived {gotAsked.Count} and {gotAnswered.Count}");
        Assert.True(asked.AsSpan().SequenceEqual(gotAsked.ToArray()), $"seed {seed}: what was asked arrived changed");
        Assert.True(answered.AsSpan().SequenceEqual(gotAnswered.ToArray()), $"seed {seed}: what was answered arrived changed");
        client.Close();
        server()!.Close();
        proxy.Until(() => proxy.Loop.Buffers.Rented == 0, () => $"seed {seed}: {proxy.Loop.Buffers.Rented} buffers are still rented");
    }

    private static byte[] Payload(SeededRandom random, int count)
    {
        var bytes = new byte[count];
        for (var i = 0; i < count; i++)
            bytes[i] = (byte)random.Next(256);
        return bytes;
    }

    /// <summary>Sends, ends its half when all is sent, and reads what comes.</summary>
    private static void Play(SimulatedSocket socket, byte[] sending, ref int sent, List<byte> got, byte[] buffer)
    {
        if (sent < sending.Length)
            sent += Math.Max(0, socket.Write(sending.AsSpan(sent)));
        if (sent == sending.Length)
            socket.ShutdownWrite();
        int count;
        while ((count = socket.ReadAll(buffer)) > 0)
            got.AddRange(buffer.AsSpan(0, count));
    }

    [Fact]
    public Task Bytes_and_ends_go_both_ways_whatever_the_kernel_does() => Task.Run(() =>
    {
        var configuration = $"static_resources:\n  listeners:\n{Listener(0, "u", "OUTBOUND")}\n  clusters:\n  - {Plain}\n";
        for (ulong seed = 1; seed <= 40; seed++)
        {
            using var proxy = new SimulatedProxy(seed, configuration: configuration);
            SimulatedSocket? server = null;
            proxy.Kernel.OnConnect = (_, far) =>
            {
                server = far;
                return 0;
            };
            Converse(proxy, seed, [], () => server);
        }
    });

    [Fact]
    public Task Through_mutual_TLS_to_another_sidecar_too_and_both_know_who_the_other_is() => Task.Run(() =>
    {
        var configuration = Mesh();
        for (ulong seed = 1; seed <= 15; seed++)
        {
            using var proxy = new SimulatedProxy(seed, configuration: configuration, listeners: 2);
            SimulatedSocket? server = null;
            var wires = new List<Wire>();
            proxy.Kernel.OnConnect = (remote, far) =>
            {
                if (remote.ToString() == "10.0.0.2:8081")
                    wires.Add(new Wire(far, proxy.Connect(listener: 1)));
                else
                    server = far;
                return 0;
            };
            Converse(proxy, seed, wires, () => server);
            var opened = proxy.Metrics().Where(m => m.Key.StartsWith("istio_tcp_connections_opened_total", StringComparison.Ordinal) && m.Value == 1).Select(m => m.Key).ToList();
            Assert.Equal(2, opened.Count);
            Assert.Contains(opened, m => m.Contains("reporter=\"destination\",source_workload=\"web-v1\"", StringComparison.Ordinal) && m.Contains("source_principal=\"spiffe://cluster.local/ns/shop/sa/web\"", StringComparison.Ordinal) && m.Contains("connection_security_policy=\"mutual_tls\"", StringComparison.Ordinal));
            Assert.Contains(opened, m => m.Contains("reporter=\"source\"", StringComparison.Ordinal) && m.Contains("destination_workload=\"web-v1\"", StringComparison.Ordinal) && m.Contains("destination_app=\"web\"", StringComparison.Ordinal));
        }
    });
}
