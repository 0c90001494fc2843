using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Tulle.Loop;

namespace Tulle.Interop.Tests;

/// <summary>Attacks and accidents on TLS and TCP connections of the shipped proxy: the process lives, no byte is lost, nobody is read for who is gone.</summary>
public sealed class TlsAttackTests : IAsyncLifetime
{
    private const string At = "type.googleapis.com/envoy.extensions";
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-tls-attack-").FullName;
    private readonly int _tls = Surroundings.FreePort();
    private readonly int _late = Surroundings.FreePort();
    private readonly int _both = Surroundings.FreePort();
    private readonly int _admin = Surroundings.FreePort();
    private readonly TcpListener _echo = new(IPAddress.Loopback, 0);
    private readonly TcpListener _source = new(IPAddress.Loopback, 0);
    private long _sourceBytes;
    private int _sourceOpen;
    private Program? _proxy;

    public async Task InitializeAsync()
    {
        await Program.RunAsync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", $"{_folder}/key.pem", "-out", $"{_folder}/cert.pem", "-days", "2", "-subj", "/CN=shop"]);
        _echo.Start();
        _source.Start();
        _ = Task.Run(EchoAsync);
        _ = Task.Run(SourceAsync);
        var common = $"common_tls_context: {{ tls_certificates: [ {{ certificate_chain: {{ filename: {_folder}/cert.pem }}, private_key: {{ filename: {_folder}/key.pem }} }} ] }}";
        string Chain(string cluster) => $$"""{ filters: [ { name: t, typed_config: { "@type": {{At}}.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: {{cluster}} } } ], transport_socket: { name: tls, typed_config: { "@type": {{At}}.transport_sockets.tls.v3.DownstreamTlsContext, {{common}} } } }""";
        string Listener(string name, int port, string cluster, string more = "") => $"{{ name: {name}, address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}, {more} filter_chains: [ {Chain(cluster)} ] }}";
        string Cluster(string name, TcpListener to, string more = "") => $"{{ name: {name}, type: STATIC, connect_timeout: 5s, load_assignment: {{ cluster_name: {name}, endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {((IPEndPoint)to.LocalEndpoint).Port} }} }} }} }} ] }} ] }} {more} }}";
        await File.WriteAllTextAsync($"{_folder}/bootstrap.yaml", $$"""
            admin: { address: { socket_address: { address: 127.0.0.1, port_value: {{_admin}} } } }
            static_resources:
              listeners:
              - {{Listener("t", _tls, "echo")}}
              - {{Listener("late", _late, "echo", $"listener_filters_timeout: 0.2s, continue_on_listener_filters_timeout: true, listener_filters: [ {{ name: i, typed_config: {{ \"@type\": {At}.filters.listener.tls_inspector.v3.TlsInspector }} }} ],")}}
              - {{Listener("both", _both, "source")}}
              clusters:
              - {{Cluster("echo", _echo)}}
              - {{Cluster("source", _source, $", transport_socket: {{ name: tls, typed_config: {{ \"@type\": {At}.transport_sockets.tls.v3.UpstreamTlsContext }} }}")}}
            """);
        _proxy = Program.Start(Surroundings.Proxy, ["-c", $"{_folder}/bootstrap.yaml", "--concurrency", "1", "-l", "warning"]);
        foreach (var port in new[] { _tls, _late, _both })
            await Surroundings.UntilAsync("the proxy accepts", () => Surroundings.AcceptsAsync(port));
    }

    public async Task DisposeAsync()
    {
        await _proxy!.DisposeAsync();
        _echo.Dispose();
        _source.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task EchoAsync()
    {
        while (true)
        {
            var client = await _echo.AcceptTcpClientAsync();
            _ = Task.Run(async () =>
            {
                using (client)
                    await client.GetStream().CopyToAsync(client.GetStream());
            });
        }
    }

    /// <summary>Sends without end over TLS and never reads: it learns that nobody listens only when its connection is reset.</summary>
    private async Task SourceAsync()
    {
        using var certificate = X509Certificate2.CreateFromPemFile($"{_folder}/cert.pem", $"{_folder}/key.pem");
        var block = new byte[256 * 1024];
        while (true)
        {
            var client = await _source.AcceptTcpClientAsync();
            _ = Task.Run(async () =>
            {
                using (client)
                await using (var stream = new SslStream(client.GetStream()))
                {
                    try
                    {
                        await stream.AuthenticateAsServerAsync(certificate);
                        Interlocked.Increment(ref _sourceOpen);
                        while (true)
                        {
                            await stream.WriteAsync(block);
                            Interlocked.Add(ref _sourceBytes, block.Length);
                        }
                    }
                    catch (IOException)
                    {
                        Interlocked.Decrement(ref _sourceOpen);
                    }
                }
            });
        }
    }

    private static async Task<SslStream> ConnectAsync(int port, SslProtocols protocols = SslProtocols.Tls12 | SslProtocols.Tls13, TcpClient? connected = null)
    {
        var client = connected ?? new TcpClient();
        if (connected is null)
            await client.ConnectAsync("127.0.0.1", port);
        var stream = new SslStream(client.GetStream());
#pragma warning disable CA5359 // The certificate was made for this test and has no authority.
        await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "shop", EnabledSslProtocols = protocols, RemoteCertificateValidationCallback = (_, _, _, _) => true });
#pragma warning restore CA5359
        return stream;
    }

    private static async Task AssertEchoesAsync(SslStream stream, int bytes, string what)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var data = new byte[bytes];
        new Random(1).NextBytes(data);
        var back = new byte[bytes];
        try
        {
            await stream.WriteAsync(data, limit.Token);
            await stream.ReadExactlyAsync(back, limit.Token);
        }
        catch (Exception error) when (error is OperationCanceledException or IOException)
        {
            Assert.Fail($"{what}: {error.Message}");
        }
        Assert.Equal(data, back);
    }

    /// <summary>80 KiB and a bit behind the Finished, all there at the proxy's first read of it: a busy proxy and an ordinary upload.</summary>
    [NeedsFact("openssl")]
    public async Task N01_what_follows_the_Finished_at_once_ends_no_process_and_loses_no_byte()
    {
        foreach (var records in new[] { 1, 4, 5, 6, 12 })
        {
            var (socket, finished, layer) = await RawTls.HandshakeAsync(_tls);
            using (socket)
            using (layer)
            {
                var flight = finished.ToList();
                var record = new byte[17_000];
                for (var i = 0; i < records; i++)
                    flight.AddRange(record.AsSpan(0, layer.Seal(Enumerable.Repeat((byte)('a' + i), 16_384).ToArray(), 23, record)));
                await _proxy!.SignalAsync("STOP");
                var sending = socket.SendAsync(flight.ToArray());
                // More than 80 KiB in the proxy's socket before it wakes: its first read sees what it could see under load.
                await Surroundings.UntilAsync("the flight is with the proxy's kernel", async () => await WaitingAsync(_tls, socket) >= Math.Min(flight.Count, 82_000));
                await _proxy.SignalAsync("CONT");
                await sending;
                using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
                var got = new List<byte>();
                var header = new byte[5];
                while (got.Count < records * 16_384)
                {
                    await RawTls.ReceiveAsync(socket, header, limit.Token);
                    var whole = new byte[5 + RecordLayer.BodyLength(header)];
                    header.CopyTo(whole, 0);
                    await RawTls.ReceiveAsync(socket, whole.AsMemory(5), limit.Token);
                    if (layer.Open(whole, out var content) == RecordContent.ApplicationData)
                        got.AddRange(content);
                }
                for (var i = 0; i < got.Count; i++)
                    Assert.True(got[i] == 'a' + i / 16_384, $"byte {i} of {records} records is not what was sent");
            }
        }
        Assert.False(_proxy!.HasExited, _proxy.Errors);
    }

    /// <summary>Bytes that the kernel holds for the proxy of this connection (/proc/net/tcp: local and remote address, state, tx:rx queues).</summary>
    private static async Task<int> WaitingAsync(int port, Socket client)
    {
        var ends = $":{port:X4} 0100007F:{((IPEndPoint)client.LocalEndPoint!).Port:X4} 01 ";
        foreach (var line in await File.ReadAllLinesAsync("/proc/net/tcp"))
        {
            if (line.IndexOf(ends, StringComparison.Ordinal) is > 0 and var at)
                return Convert.ToInt32(line.Substring(at + ends.Length + 9, 8), 16);
        }
        return 0;
    }

    /// <summary>The proxy is late by one turn: several records of TLS 1.2 are there at its first read, and no further event comes.</summary>
    [NeedsFact("openssl")]
    public async Task N06_TLS_1_2_does_not_stall_behind_the_first_record()
    {
        foreach (var protocol in new[] { SslProtocols.Tls12, SslProtocols.Tls13 })
        {
            await using var stream = await ConnectAsync(_tls, protocol);
            await AssertEchoesAsync(stream, 10, $"{protocol}, first");
            await _proxy!.SignalAsync("STOP");
            var echoing = AssertEchoesAsync(stream, 48 * 1024, $"{protocol}, 48 KiB at once");
            await Task.WhenAny(echoing, Task.Delay(200));
            await _proxy.SignalAsync("CONT");
            await echoing;
        }
    }

    [NeedsFact("openssl")]
    public async Task N35_TLS_that_begins_after_the_listener_filters_gave_up_works()
    {
        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", _late);
        using var http = new HttpClient();
        await Surroundings.UntilAsync("the filters' time is over", async () => (await http.GetStringAsync($"http://127.0.0.1:{_admin}/stats?filter=pre_cx_timeout")).Split('\n').Any(l => l.Contains("downstream_pre_cx_timeout: 1", StringComparison.Ordinal)));
        try
        {
            await using var stream = await ConnectAsync(_late, connected: client);
            await AssertEchoesAsync(stream, 1000, "behind the time-out");
        }
        catch (Exception error) when (error is IOException or AuthenticationException)
        {
            Assert.Fail($"the handshake failed: {error.Message}");
        }
    }

    /// <summary>
    /// Clients that go away in full flow while the upstream sends without end: the connections to the upstream end with them. An error of a write was
    /// forgotten where records are sealed, so the proxy went on to read and seal for nobody, and the next clients got no byte for seconds.
    /// </summary>
    [NeedsFact("openssl")]
    public async Task N38_bulk_transfers_of_clients_that_are_gone_end()
    {
        var buffer = new byte[64 * 1024];
        var clients = new List<SslStream>();
        for (var i = 0; i < 4; i++)
            clients.Add(await ConnectAsync(_both, SslProtocols.Tls13));
        foreach (var client in clients)
        {
            for (var read = 0; read < 2_000_000;)
                read += await client.ReadAsync(buffer);
        }
        await Surroundings.UntilAsync("all four are served", () => Task.FromResult(Volatile.Read(ref _sourceOpen) == 4));
        foreach (var client in clients)
        {
            // Unread bytes make the close a reset.
            await client.DisposeAsync();
        }
        await Surroundings.UntilAsync("the upstream is told that nobody listens", () => Task.FromResult(Volatile.Read(ref _sourceOpen) == 0), seconds: 10);
        await using var next = await ConnectAsync(_both, SslProtocols.Tls13);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        for (var read = 0; read < 2_000_000;)
            read += await next.ReadAsync(buffer, limit.Token);
    }
}
