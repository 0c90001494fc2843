using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Tulle.Sidecar.Tests;

/// <summary>Connections that end, or are ended, before there is anything to relay.</summary>
public class HandshakeEndTests
{
    private const string At = "type.googleapis.com/envoy.extensions.";

    private static string Configuration(string listener = "")
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var certificate = new CertificateRequest("CN=test", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1));
        static string Quoted(string pem) => $"\"{pem.Replace("\n", "\\n", StringComparison.Ordinal)}\"";
        return $$"""
            static_resources:
              listeners:
              - name: l0
                address: { socket_address: { address: 10.0.0.2, port_value: 8080 } }
                {{listener}}
                filter_chains:
                - filters: [ { name: t, typed_config: { "@type": {{At}}filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: u } } ]
                  transport_socket: { name: tls, typed_config: { "@type": {{At}}transport_sockets.tls.v3.DownstreamTlsContext, common_tls_context: { tls_certificates: [ { certificate_chain: { inline_string: {{Quoted(certificate.ExportCertificatePem())}} }, private_key: { inline_string: {{Quoted(key.ExportPkcs8PrivateKeyPem())}} } } ] } } }
              clusters: [ { name: u, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: u, endpoints: [] } } ]
            """;
    }

    /// <summary>The first half of a hello: a record of 200 bytes is promised and 100 come.</summary>
    private static byte[] HalfAHello() => [22, 3, 1, 0, 200, 1, 0, 0, 196, .. new byte[91]];

    [Fact]
    public Task N27_a_connection_that_is_closed_in_the_middle_of_its_handshake_leaves_nothing() => Task.Run(() =>
    {
        using var proxy = new SimulatedProxy(1, isCalm: true, configuration: Configuration());
        var clients = Enumerable.Range(0, 10).Select(_ => proxy.Connect()).ToList();
        clients.ForEach(c => c.Write(HalfAHello()));
        proxy.Until(() => proxy.Loop.Buffers.Rented == 10, () => $"{proxy.Loop.Buffers.Rented} connections hold their half hello");
        proxy.EndDraining();
        Assert.Equal(0, proxy.Loop.Buffers.Rented);
        Assert.Equal(0, proxy.Loop.SocketCount);
        Assert.Equal(0, proxy.Loop.FaultCount);
    });

    [Fact]
    public Task X19_half_a_hello_is_ended_by_the_time_limit_of_the_handshake() => Task.Run(() =>
    {
        using var proxy = new SimulatedProxy(1, isCalm: true, configuration: Configuration());
        var client = proxy.Connect();
        client.Write(HalfAHello());
        var buffer = new byte[100];
        proxy.Until(() => client.ReadAll(buffer) <= 0 && (client.IsEnded || client.IsReset), () => "it is kept", turnsMax: 16_000);
        Assert.Equal(0, proxy.Loop.Buffers.Rented);
    });

    /// <summary>A first message that fills the sniffing buffer and is still not complete has nothing to wait for.</summary>
    [Fact]
    public Task N31_a_hello_that_never_ends_is_closed_at_16_KiB() => Task.Run(() =>
    {
        var filters = $"listener_filters_timeout: 0s\n    listener_filters: [ {{ name: i, typed_config: {{ \"@type\": {At}filters.listener.tls_inspector.v3.TlsInspector }} }} ]";
        using var proxy = new SimulatedProxy(1, windowBytes: 30_000, isCalm: true, configuration: Configuration(filters));
        var client = proxy.Connect();
        // Two records of a hello of 16,380 bytes; with their headers 16 KiB are full before it is complete.
        Assert.Equal(16_384, client.Write([22, 3, 1, 0x20, 0, 1, 0, 0x3F, 0xFC, .. new byte[8188], 22, 3, 1, 0x20, 0, .. new byte[8182]]));
        var buffer = new byte[100];
        proxy.Until(() => client.ReadAll(buffer) <= 0 && (client.IsEnded || client.IsReset), () => "it waits for ever");
        Assert.Equal(0, proxy.Loop.Buffers.Rented);
    });
}
