using System.Text.RegularExpressions;
using Tulle.Base.Documents;

namespace Tulle.Interop.Tests;

/// <summary>Programs of Istio and gRPC that know nothing of us: pilot-agent starts our proxy in Envoy's place, proxyless gRPC reads our control plane.</summary>
public sealed class StrangersTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-strangers-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [NeedsFact("peers")]
    public Task Proxyless_grpc_finds_its_server_through_our_control_plane() => CallGreeterAsync(async (bootstrap, greeter) =>
    {
        var (code, output, errors) = await Program.RunAsync(greeter, ["-bootstrap", bootstrap, "-target", Greeter, "-n", "50"], 30);
        Assert.True(code == 0 && output.Contains("\"hosts\":{\"blue\":50}", StringComparison.Ordinal), output + errors);
    });

    /// <summary>The same with gRPC for JavaScript, whose xDS client is another one.</summary>
    [NeedsFact("peers", "node", "grpc-js-xds")]
    public Task Grpc_for_JavaScript_finds_it_too() => CallGreeterAsync(async (bootstrap, _) =>
    {
        var script = Path.Combine(Surroundings.Root, "tests", "js", "call.js");
        var (code, output, errors) = await Program.RunAsync("env", [$"GRPC_XDS_BOOTSTRAP={bootstrap}", "node", script, Greeter, "/grpc.testing.TestService/UnaryCall", "50"], 60);
        Assert.True(code == 0, output + errors);
    });

    private const string Greeter = "xds:///greeter.default.svc.cluster.local:8080";

    private async Task CallGreeterAsync(Func<string, string, Task> call)
    {
        int server = Surroundings.FreePort(), xds = Surroundings.FreePort();
        await File.WriteAllTextAsync(Path.Combine(_folder, "greeter.yaml"), $$"""
            apiVersion: v1
            kind: Service
            metadata: { name: greeter, namespace: default }
            spec: { clusterIP: 10.96.7.7, ports: [ { name: grpc, port: 8080, targetPort: {{server}} } ] }
            ---
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: { name: greeter-1, namespace: default, labels: { kubernetes.io/service-name: greeter } }
            addressType: IPv4
            ports: [ { name: grpc, port: {{server}}, protocol: TCP } ]
            endpoints: [ { addresses: [ 127.0.0.1 ], conditions: { ready: true } } ]
            """);
        var greeter = await Surroundings.PeerAsync("xdsgreeter");
        await using var control = Program.Start(Surroundings.Control, ["--files", _folder, "--xds", $"127.0.0.1:{xds}"]);
        await using var upstream = Program.Start(greeter, ["-mode", "server", "-listen", $"127.0.0.1:{server}", "-name", "blue"]);
        await Surroundings.UntilAsync("the control plane accepts", () => Surroundings.AcceptsAsync(xds));
        await Surroundings.UntilAsync("the server accepts", () => Surroundings.AcceptsAsync(server));
        var bootstrap = Path.Combine(_folder, "bootstrap.json");
        var made = NodeJson.Parse((await Program.RunAsync(greeter, ["-mode", "bootstrap", "-xds-server", $"127.0.0.1:{xds}", "-node", "grpc-client"])).Output);
        // gRPC for JavaScript wants to be told a locality.
        await File.WriteAllTextAsync(bootstrap, NodeJson.Write(made.With("node", made["node"]!.With("locality", Node.Map(("zone", "here"))))));
        await call(bootstrap, greeter);
    }

    /// <summary>Kubernetes' API server, istiod and pilot-agent as they are: certificate by SDS, configuration by ADS through the agent, ready as the agent judges it.</summary>
    [NeedsFact("peers", "curl", "openssl")]
    public async Task Pilot_agent_starts_our_proxy_in_envoys_place()
    {
        string Peer(string name) => Path.Combine(Surroundings.Peers, name);
        async Task ShellAsync(string command) => Assert.True((await Program.RunAsync("bash", ["-c", $"{command} >{_folder}/out 2>&1 </dev/null"], 150)).Code == 0, await File.ReadAllTextAsync($"{_folder}/out"));
        await ShellAsync($"{Peer("k8s")} up");
        try
        {
            await ShellAsync($"{Peer("istiod")} up --k8s");
            var log = Path.Combine(_folder, "agent.log");
            await using var agent = Program.Start("bash", ["-c", $"exec {Peer("sidecar")} run --dir {_folder}/sidecar --proxy {Surroundings.Proxy} >{log} 2>&1"]);
            async Task<string> AskAsync(string url) => (await Program.RunAsync("curl", ["-s", "-m", "3", "-w", "\n%{http_code}", url])).Output;
            await Surroundings.UntilAsync("the agent calls the proxy ready", async () => (await AskAsync("http://127.0.0.1:15021/healthz/ready")).TrimEnd().EndsWith("200", StringComparison.Ordinal), 60);
            Assert.DoesNotMatch("rejected: [1-9]", await AskAsync("http://127.0.0.1:15000/stats?filter=rejected"));
            Assert.Contains("spiffe://cluster.local/ns/default/sa/app", await AskAsync("http://127.0.0.1:15000/certs"), StringComparison.Ordinal);
            Assert.Matches(new Regex("^envoy_server_live|^envoy_", RegexOptions.Multiline), await AskAsync("http://127.0.0.1:15020/stats/prometheus"));
        }
        finally
        {
            await Program.RunAsync("bash", ["-c", $"{Peer("istiod")} down; {Peer("k8s")} down"], 60);
        }
    }
}
