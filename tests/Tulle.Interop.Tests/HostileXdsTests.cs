using System.Buffers.Binary;
using System.Net;
using System.Net.Http.Headers;
using System.Text;

namespace Tulle.Interop.Tests;

/// <summary>Clients and users that would end the control plane, or take from it what is not theirs: the shipped program, by its path.</summary>
public sealed class HostileXdsTests : IAsyncLifetime
{
    private const string Cluster = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    private const string Route = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
    private const string Secret = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
    private const string Sidecar = "sidecar~10.1.0.5~client.shop~shop.svc.cluster.local";

    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-xds-").FullName;
    private readonly int _port = Surroundings.FreePort();
    private readonly HttpClient _client = new(new SocketsHttpHandler()) { DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
    private Program? _control;

    public async Task InitializeAsync()
    {
        Write("mesh.yaml", """
            apiVersion: v1
            kind: Service
            metadata: { name: web, namespace: shop }
            spec: { clusterIP: 10.96.1.1, selector: { app: web }, ports: [ { name: http, port: 80 } ] }
            ---
            apiVersion: networking.istio.io/v1
            kind: Gateway
            metadata: { name: g, namespace: istio-system }
            spec: { selector: {}, servers: [ { port: { number: 443, name: https, protocol: HTTPS }, hosts: ["*"], tls: { mode: SIMPLE, credentialName: cred } } ] }
            ---
            apiVersion: v1
            kind: Secret
            metadata: { name: cred, namespace: istio-system }
            data: { tls.crt: Y2VydA==, tls.key: c2VjcmV0LWtleQ== }
            """);
        _control = Program.Start(Surroundings.Control, ["--files", _folder, "--xds", $"127.0.0.1:{_port}"]);
        await Surroundings.UntilAsync("the control plane accepts", () => Surroundings.AcceptsAsync(_port), 60);
    }

    public async Task DisposeAsync()
    {
        await _control!.DisposeAsync();
        _client.Dispose();
        if (Directory.Exists(_folder))
            Directory.Delete(_folder, recursive: true);
    }

    private void Write(string name, string text)
    {
        File.WriteAllText(Path.Combine(_folder, "." + name), text);
        File.Move(Path.Combine(_folder, "." + name), Path.Combine(_folder, name), overwrite: true);
    }

    /// <summary>A length-delimited field of protobuf.</summary>
    private static byte[] Field(int number, byte[] value)
    {
        var bytes = new List<byte> { (byte)((number << 3) | 2) };
        for (var rest = value.Length; ; rest >>= 7)
        {
            if (rest < 0x80)
            {
                bytes.Add((byte)rest);
                break;
            }
            bytes.Add((byte)(rest | 0x80));
        }
        return [.. bytes, .. value];
    }

    private static byte[] Field(int number, string value) => Field(number, Encoding.UTF8.GetBytes(value));

    /// <summary>envoy.service.discovery.v3.DiscoveryRequest: node 2, resource_names 3, type_url 4, error_detail 6.</summary>
    private static byte[] Request(string type, string node = Sidecar, string name = "", byte[]? more = null) =>
        [.. Field(2, Field(1, node)), .. name.Length > 0 ? Field(3, name) : [], .. Field(4, type), .. more ?? []];

    /// <summary>Sends one request on a stream of its own; what comes first, or the status that the stream ends with.</summary>
    private async Task<(string Status, string Answer)> AskAsync(byte[] message)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var framed = new byte[5 + message.Length];
        BinaryPrimitives.WriteUInt32BigEndian(framed.AsSpan(1), (uint)message.Length);
        message.CopyTo(framed, 5);
        using var call = new HttpRequestMessage(HttpMethod.Post, $"http://127.0.0.1:{_port}/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(framed),
        };
        call.Content.Headers.ContentType = new MediaTypeHeaderValue("application/grpc");
        try
        {
            using var response = await _client.SendAsync(call, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            var body = await response.Content.ReadAsByteArrayAsync(limit.Token);
            response.TrailingHeaders.TryGetValues("grpc-status", out var trailer);
            response.Headers.TryGetValues("grpc-status", out var header);
            return ((trailer ?? header ?? []).FirstOrDefault() ?? "", Encoding.Latin1.GetString(body));
        }
        catch (Exception error) when (error is HttpRequestException or IOException)
        {
            return ("gone", "");
        }
    }

    /// <summary>It serves, and an edit still reaches whoever asks: what a dead loop behind open ports would not do.</summary>
    private async Task LivesAsync()
    {
        var name = $"s{Guid.NewGuid():N}";
        Write("more.yaml", $"apiVersion: v1\nkind: Service\nmetadata: {{ name: {name}, namespace: shop }}\nspec: {{ clusterIP: 10.96.1.2, ports: [ {{ name: http, port: 80 }} ] }}\n");
        await Surroundings.UntilAsync("an edit is served", async () =>
        {
            Assert.False(_control!.HasExited, _control.Errors);
            return (await AskAsync(Request(Cluster))).Answer.Contains(name, StringComparison.Ordinal);
        });
    }

    [NeedsFact]
    public async Task B01_no_type_url_ends_the_control_plane()
    {
        foreach (var type in new[] { "", "x", "istio.io/debug", "type.googleapis.com/", "type.googleapis.com/a b", new string('t', 100_000) })
            Assert.Equal("3", (await AskAsync(Request(type))).Status);
        await LivesAsync();
    }

    [NeedsFact]
    public async Task B01_no_bytes_and_no_node_end_the_control_plane()
    {
        foreach (var bytes in new byte[][] { [], [0xFF], [0x12, 0x7F], Field(4, Cluster), Request(Cluster, "web-1"), Request(Cluster, "a~b"), [.. Request(Cluster), 0x0B] })
            Assert.Equal("3", (await AskAsync(bytes)).Status);
        await LivesAsync();
    }

    [NeedsFact]
    public async Task N03_control_nothing_nested_or_large_ends_the_control_plane()
    {
        // error_detail.details: an Any with a Status with an Any with a Status …
        var inner = Array.Empty<byte>();
        for (var i = 0; inner.Length < 1_000_000; i++)
        {
            // Lengths grow with the depth: built in steps, so that the building stays linear.
            inner = [.. Field(1, "type.googleapis.com/google.rpc.Status"), .. Field(2, Field(3, inner))];
            if (i > 8000)
                break;
        }
        await AskAsync(Request(Cluster, more: Field(6, Field(3, inner))));
        Assert.NotEqual("0", (await AskAsync(Request(Cluster, more: Field(5, new byte[5 * 1024 * 1024])))).Status);
        await LivesAsync();
    }

    [NeedsFact]
    public async Task B02_a_mistyped_field_takes_no_configuration_down()
    {
        Assert.Contains("outbound|80||web.shop", (await AskAsync(Request(Route, name: "80"))).Answer, StringComparison.Ordinal);
        foreach (var field in new[] { "directResponse: { status: abc }", "headers: { request: { remove: x-a } }", "redirect: { port: x }", "fault: { abort: { httpStatus: x } }" })
        {
            Write("rules.yaml", $"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{ name: web, namespace: shop }}\nspec:\n  hosts: [web]\n  http:\n  - route: [ {{ destination: {{ host: web }} }} ]\n    {field}\n");
            await Surroundings.UntilAsync($"{field} is told with file and line", () =>
            {
                Assert.False(_control!.HasExited, _control.Errors);
                return Task.FromResult(_control.Errors.Contains("rules.yaml:8: error: ", StringComparison.Ordinal));
            });
            Assert.Contains("outbound|80||web.shop", (await AskAsync(Request(Route, name: "80"))).Answer, StringComparison.Ordinal);
        }
        await LivesAsync();
    }

    [NeedsFact]
    public async Task B03_a_folder_that_goes_away_takes_nothing_along()
    {
        Directory.Move(_folder, _folder + ".away");
        await Surroundings.UntilAsync("it is told", () =>
        {
            Assert.False(_control!.HasExited, _control.Errors);
            return Task.FromResult(_control.Errors.Contains("cannot be listed", StringComparison.Ordinal));
        });
        Assert.Contains("web.shop", (await AskAsync(Request(Cluster))).Answer, StringComparison.Ordinal);
        Directory.Move(_folder + ".away", _folder);
        await LivesAsync();
    }

    [NeedsFact]
    public async Task A02_nobody_gets_a_gateways_key_by_saying_that_he_is_one()
    {
        var (_, answer) = await AskAsync(Request(Secret, "router~10.1.0.9~gw.istio-system~istio-system.svc.cluster.local", "kubernetes://cred"));
        Assert.DoesNotContain("secret-key", answer, StringComparison.Ordinal);
        await LivesAsync();
    }

    [NeedsFact]
    public async Task A10_nobody_gets_a_certificate_by_naming_an_identity()
    {
        var socket = Path.Combine(_folder, "xds.sock");
        await using var control = Program.Start(Surroundings.Control, ["--files", _folder, "--xds", $"unix:{socket}"]);
        await Surroundings.UntilAsync("its socket is there", () => Task.FromResult(File.Exists(socket)), 60);
        using var client = new HttpClient(new SocketsHttpHandler
        {
            ConnectCallback = async (_, stop) =>
            {
                var connection = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Unspecified);
                await connection.ConnectAsync(new System.Net.Sockets.UnixDomainSocketEndPoint(socket), stop);
                return new System.Net.Sockets.NetworkStream(connection, ownsSocket: true);
            },
        });
        using var key = System.Security.Cryptography.ECDsa.Create(System.Security.Cryptography.ECCurve.NamedCurves.nistP256);
        var csr = new System.Security.Cryptography.X509Certificates.CertificateRequest("O=a", key, System.Security.Cryptography.HashAlgorithmName.SHA256).CreateSigningRequestPem();
        // IstioCertificateRequest: csr 1, metadata 4 (Struct: fields 1 (key 1, value 2 (string_value 3))).
        var metadata = Field(1, [.. Field(1, "ImpersonatedIdentity"), .. Field(2, Field(3, "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway"))]);
        byte[] message = [.. Field(1, csr), .. Field(4, metadata)];
        var framed = new byte[5 + message.Length];
        BinaryPrimitives.WriteUInt32BigEndian(framed.AsSpan(1), (uint)message.Length);
        message.CopyTo(framed, 5);
        using var call = new HttpRequestMessage(HttpMethod.Post, "http://control/istio.v1.auth.IstioCertificateService/CreateCertificate")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(framed),
        };
        call.Content.Headers.ContentType = new MediaTypeHeaderValue("application/grpc");
        using var response = await client.SendAsync(call);
        Assert.DoesNotContain("CERTIFICATE", Encoding.Latin1.GetString(await response.Content.ReadAsByteArrayAsync()), StringComparison.Ordinal);
        Assert.Equal("16", response.Headers.TryGetValues("grpc-status", out var status) ? status.First() : "");
    }
}
