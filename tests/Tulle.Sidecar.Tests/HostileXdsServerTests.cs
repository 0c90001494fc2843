using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Tulle.Base.Documents;
using Tulle.Xds;

namespace Tulle.Sidecar.Tests;

/// <summary>An xDS server that is silent, speaks garbage or repeats what was refused: every end is followed by another try, every response answered.</summary>
public sealed class HostileXdsServerTests : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly BlockingCollection<Action> _control = [];
    private readonly List<Socket> _held = [];

    public HostileXdsServerTests() => _listener.Start();

    public void Dispose()
    {
        _held.ForEach(s => s.Dispose());
        _listener.Stop();
        _control.Dispose();
    }

    private GrpcSource Start(string name = "xds|grpc", string more = "")
    {
        var port = ((IPEndPoint)_listener.LocalEndpoint).Port;
        var cluster = NodeYaml.Parse($$"""
            name: "{{name}}"
            connect_timeout: 0.3s
            {{more}}
            load_assignment: { endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: {{port}} } } } } ] } ] }
            """);
        var source = new GrpcSource("ads", new GrpcTarget(cluster), "ads", false, Node.Map(("id", "n")), _control.Add, (_, _) => []);
        source.Start();
        return source;
    }

    /// <summary>Three connections: the first two ended, and were followed by another.</summary>
    private async Task ThreeConnectionsAsync(Func<Socket, Task> behave)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        for (var i = 0; i < 3; i++)
        {
            var socket = await _listener.AcceptSocketAsync(limit.Token);
            _held.Add(socket);
            await behave(socket);
        }
    }

    private async Task TellsWhyAsync(GrpcSource source)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (source.LastError.Length == 0)
        {
            limit.Token.ThrowIfCancellationRequested();
            if (_control.TryTake(out var action, 50))
                action();
            await Task.Yield();
        }
    }

    [Fact]
    public async Task N12_a_server_that_accepts_and_says_nothing_is_left()
    {
        using var source = Start();
        await ThreeConnectionsAsync(_ => Task.CompletedTask);
        await TellsWhyAsync(source);
        Assert.Contains("said nothing", source.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task N12_a_server_that_never_finishes_the_handshake_is_left()
    {
        using var source = Start(more: "transport_socket: { name: tls, typed_config: { sni: a } }");
        await ThreeConnectionsAsync(_ => Task.CompletedTask);
        await TellsWhyAsync(source);
        Assert.Contains("connect_timeout", source.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task N12_garbage_and_half_a_frame_end_a_stream_not_the_source()
    {
        using var source = Start();
        await ThreeConnectionsAsync(async socket => await socket.SendAsync("HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray()));
        await ThreeConnectionsAsync(async socket =>
        {
            await socket.SendAsync(new byte[] { 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 9, 1, 4 });
            socket.Shutdown(SocketShutdown.Send);
        });
    }

    [Fact]
    public async Task N12_missing_certificate_files_are_told_and_tried_again()
    {
        using var source = Start(more: "transport_socket: { name: tls, typed_config: { common_tls_context: { validation_context: { trusted_ca: { filename: /nowhere/ca.pem } } } } }");
        await ThreeConnectionsAsync(_ => Task.CompletedTask);
        await TellsWhyAsync(source);
        Assert.Contains("/nowhere", source.LastError, StringComparison.Ordinal);
    }

    private static XdsUpdate Update(string content, string nonce, string type = XdsTypes.Listener) =>
        new(type, nonce, nonce, [("l", nonce, Node.Map(("name", "l"), ("stat_prefix", content)))], [], true);

    [Fact]
    public void X23_the_same_content_refused_again_is_answered_with_a_growing_pause()
    {
        var pace = new RefusalPace();
        var pauses = Enumerable.Range(0, 12).Select(i => pace.Note(Update("bad", $"{i}"), isRefused: true)).ToList();
        Assert.Equal([0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000], pauses);
        Assert.True(pace.IsRepeated(Update("bad", "13")));
        Assert.False(pace.IsRepeated(Update("bad", "13", XdsTypes.Cluster)));
        Assert.Equal(0, pace.Note(Update("bad", "1", XdsTypes.Cluster), isRefused: true));
        Assert.Equal(0, pace.Note(Update("other", "14"), isRefused: true));
        Assert.Equal(100, pace.Note(Update("other", "15"), isRefused: true));
        Assert.Equal(0, pace.Note(Update("good", "16"), isRefused: false));
        Assert.Equal(0, pace.Note(Update("other", "17"), isRefused: true));
    }

    [Fact]
    public void N12_the_servers_names_are_a_list_that_binds()
    {
        using var key = System.Security.Cryptography.ECDsa.Create(System.Security.Cryptography.ECCurve.NamedCurves.nistP256);
        var request = new System.Security.Cryptography.X509Certificates.CertificateRequest("CN=x", key, System.Security.Cryptography.HashAlgorithmName.SHA256);
        var names = new System.Security.Cryptography.X509Certificates.SubjectAlternativeNameBuilder();
        names.AddDnsName("istiod.istio-system.svc");
        names.AddUri(new Uri("spiffe://cluster.local/ns/istio-system/sa/istiod"));
        request.CertificateExtensions.Add(names.Build());
        var now = TimeProvider.System.GetUtcNow();
        using var certificate = request.CreateSelfSigned(now.AddHours(-1), now.AddHours(1));
        bool Accepts(string validation) => new ServerNames(NodeYaml.Parse(validation)).Accept(certificate.RawData);
        Assert.True(Accepts("match_typed_subject_alt_names: [ { san_type: URI, matcher: { exact: spiffe://cluster.local/ns/istio-system/sa/istiod } } ]"));
        Assert.False(Accepts("match_typed_subject_alt_names: [ { san_type: DNS, matcher: { exact: spiffe://cluster.local/ns/istio-system/sa/istiod } } ]"));
        Assert.False(Accepts("match_subject_alt_names: [ { exact: istiod } ]"));
        Assert.True(Accepts("match_subject_alt_names: [ { safe_regex: { regex: \"istiod[.].*\" } } ]"));
        Assert.False(Accepts("match_subject_alt_names: [ { unknown: x } ]"));
    }
}
