using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using Tulle.Loop;

namespace Tulle.Interop.Tests;

/// <summary>Records that no TLS library sends, against the shipped proxy: what reaches the upstream, how it ends there, and what the sender is told.</summary>
public sealed class RecordAttackTests : IAsyncLifetime
{
    private const string At = "type.googleapis.com/envoy.extensions";
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-record-attack-").FullName;
    private readonly int _tls = Surroundings.FreePort();
    private readonly int _known = Surroundings.FreePort();
    private readonly TcpListener _upstream = new(IPAddress.Loopback, 0);
    private Program? _proxy;

    public async Task InitializeAsync()
    {
        await Program.RunAsync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", $"{_folder}/key.pem", "-out", $"{_folder}/cert.pem", "-days", "2", "-subj", "/CN=shop"]);
        _upstream.Start();
        var tls = $"transport_socket: {{ name: tls, typed_config: {{ \"@type\": {At}.transport_sockets.tls.v3.DownstreamTlsContext, common_tls_context: {{ tls_certificates: [ {{ certificate_chain: {{ filename: {_folder}/cert.pem }}, private_key: {{ filename: {_folder}/key.pem }} }} ] }} }} }}";
        var tcp = $"{{ name: t, typed_config: {{ \"@type\": {At}.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: up }} }}";
        var deny = $"{{ name: r, typed_config: {{ \"@type\": {At}.filters.network.rbac.v3.RBAC, stat_prefix: r, rules: {{ action: DENY, policies: {{ p: {{ permissions: [ {{ any: true }} ], principals: [ {{ authenticated: {{}} }} ] }} }} }} }} }}, ";
        await File.WriteAllTextAsync($"{_folder}/bootstrap.yaml", $$"""
            static_resources:
              listeners:
              - { name: t, address: { socket_address: { address: 127.0.0.1, port_value: {{_tls}} } }, filter_chains: [ { filters: [ {{tcp}} ], {{tls}} } ] }
              - { name: k, address: { socket_address: { address: 127.0.0.1, port_value: {{_known}} } }, filter_chains: [ { filters: [ {{deny}} {{tcp}} ], {{tls}} } ] }
              clusters:
              - { name: up, type: STATIC, connect_timeout: 5s, load_assignment: { cluster_name: up, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: {{((IPEndPoint)_upstream.LocalEndpoint).Port}} } } } } ] } ] } }
            """);
        _proxy = Program.Start(Surroundings.Proxy, ["-c", $"{_folder}/bootstrap.yaml", "--concurrency", "1", "-l", "warning"]);
        await Surroundings.UntilAsync("the proxy accepts", () => Surroundings.AcceptsAsync(_tls));
        // The look whether it accepts came through to the upstream, perhaps.
        if (_upstream.Pending())
            (await _upstream.AcceptTcpClientAsync()).Dispose();
    }

    public async Task DisposeAsync()
    {
        await _proxy!.DisposeAsync();
        _upstream.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Says hello and waits until the upstream has it, then sends the attack; what came of it at both ends.</summary>
    private async Task<(string Heard, bool Reset, int? Alert)> AttackAsync(Func<RecordLayer, byte[]> attack)
    {
        var (socket, finished, layer) = await RawTls.HandshakeAsync(_tls);
        using (socket)
        using (layer)
        {
            await socket.SendAsync((byte[])[.. finished, .. RawTls.Seal(layer, "hello;"u8)]);
            var heard = new StringBuilder();
            var buffer = new byte[64 * 1024];
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            TcpClient? upstream = null;
            try
            {
                // A connection that says nothing is the look whether the proxy accepts.
                while (heard.Length == 0)
                {
                    upstream?.Dispose();
                    upstream = await _upstream.AcceptTcpClientAsync(limit.Token);
                    heard.Append(Encoding.ASCII.GetString(buffer, 0, await upstream.GetStream().ReadAsync(buffer, limit.Token)));
                }
                var sending = socket.SendAsync(attack(layer));
                var listening = RawTls.ReadToEndAsync(socket, layer);
                var isReset = false;
                try
                {
                    for (int count; (count = await upstream!.GetStream().ReadAsync(buffer, limit.Token)) > 0;)
                        heard.Append(Encoding.ASCII.GetString(buffer, 0, count));
                }
                catch (IOException)
                {
                    isReset = true;
                }
                catch (OperationCanceledException)
                {
                    Assert.Fail($"nothing ended; the upstream heard {heard.Length} bytes");
                }
                var (alert, _) = await listening;
                await Task.WhenAny(sending, Task.Delay(1000));
                return (heard.ToString(), isReset, alert);
            }
            finally
            {
                upstream?.Dispose();
            }
        }
    }

    /// <summary>A man in the middle flips one bit of the second of three records that arrive together.</summary>
    [NeedsFact("openssl")]
    public async Task N02_a_changed_record_is_the_end_and_not_a_hole()
    {
        var (heard, reset, alert) = await AttackAsync(layer =>
        {
            var records = new[] { "PAY 1 TO ALICE;", "BUT ONLY IF SHE SIGNED;", "COMMIT;" }.Select(m => RawTls.Seal(layer, Encoding.ASCII.GetBytes(m))).ToArray();
            records[1][12] ^= 1;
            return [.. records.SelectMany(r => r)];
        });
        Assert.Equal("hello;PAY 1 TO ALICE;", heard);
        Assert.True(reset, "the upstream saw an orderly end of a stream that was changed on its way");
        Assert.Equal(20, alert);
    }

    private static byte[] Many(int count, Func<byte[]> make)
    {
        var bytes = new List<byte>();
        for (var i = 0; i < count; i++)
            bytes.AddRange(make());
        return [.. bytes];
    }

    [NeedsFact("openssl")]
    public async Task X09_what_RFC_8446_forbids_ends_the_connection_with_an_alert()
    {
        foreach (var (name, alert, attack) in new (string, int?, Func<RecordLayer, byte[]>)[]
        {
            ("change_cipher_spec in clear", 10, _ => [20, 3, 3, 0, 1, 1]),
            ("change_cipher_spec, encrypted", 10, layer => RawTls.Seal(layer, [1], 20)),
            ("HTTP in clear", 10, _ => [.. "GET / HTTP/1.1\r\n"u8]),
            ("17,000 bytes in one record", 22, layer => RawTls.Seal(layer, new byte[17_000])),
            ("60,000 bytes in one record", 22, layer => RawTls.Seal(layer, new byte[60_000])),
            ("half a KeyUpdate, then data", 10, layer => [.. RawTls.Seal(layer, [24, 0], 22), .. RawTls.Seal(layer, "x"u8)]),
            ("a KeyUpdate that asks for 2", 47, layer => RawTls.Seal(layer, [24, 0, 0, 1, 2], 22)),
            ("20,000 empty records", 10, layer => Many(20_000, () => RawTls.Seal(layer, []))),
            ("1,000 KeyUpdates", 10, layer => Many(1000, () => [.. layer.SealKeyUpdate(new byte[64])])),
            ("an alert", null, layer => RawTls.Seal(layer, [2, 40], 21)),
        })
        {
            var (heard, reset, told) = await AttackAsync(attack);
            Assert.True(heard == "hello;", $"{name}: the upstream heard '{heard}'");
            Assert.True(reset, $"{name}: the upstream saw an orderly end");
            // Where bytes are left unread the kernel's reset may overtake the alert.
            Assert.True(told == alert || (told is null && name.Contains("0,000", StringComparison.Ordinal)) || (told is null && name.Contains("1,000", StringComparison.Ordinal)), $"{name}: alert {told} instead of {alert}");
        }
        Assert.False(_proxy!.HasExited, _proxy.Errors);
    }

    /// <summary>DENY of everybody who is authenticated, and a client that is encrypted without a certificate: as in Envoy it is denied.</summary>
    [NeedsFact("openssl")]
    public async Task H20_authenticated_without_a_name_means_encrypted()
    {
        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", _known);
        await using var stream = new SslStream(client.GetStream());
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        try
        {
#pragma warning disable CA5359 // The certificate was made for this test and has no authority.
            await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "shop", RemoteCertificateValidationCallback = (_, _, _, _) => true }, limit.Token);
#pragma warning restore CA5359
            Assert.Equal(0, await stream.ReadAsync(new byte[10], limit.Token));
        }
        catch (Exception error) when (error is IOException or AuthenticationException)
        {
            // Closed: what is asked for.
        }
        catch (OperationCanceledException)
        {
            Assert.Fail("the connection was let in");
        }
    }
}
