using System.Text.RegularExpressions;
using Tulle.Base.Documents;

namespace Tulle.Interop.Tests;

/// <summary>The mesh on one machine as a user runs it: real namespaces, nftables, mTLS, and things going wrong.</summary>
public sealed class MeshTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-up-").FullName;
    private readonly string _state = "/run/tulle-test";

    public MeshTests()
    {
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Surroundings.Root, "samples", "shop")))
            File.Copy(file, Path.Combine(_folder, Path.GetFileName(file)));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private async Task<Program> UpAsync(params string[] more)
    {
        var mesh = Program.Start(Surroundings.Cli, ["up", _folder, "--state", _state, .. more]);
        await Surroundings.UntilAsync("the mesh is up", () => mesh.HasExited ? throw new InvalidOperationException(mesh.Errors) : Task.FromResult(mesh.Errors.Contains("the mesh is up after", StringComparison.Ordinal)), 60);
        return mesh;
    }

    private static async Task<Node> GetAsync(params string[] more) => NodeJson.Parse((await Program.RunAsync("curl", ["-s", "-m", "5", .. more, "http://127.0.0.1:8080/"])).Output);

    private static string CartOf(Node answer) => answer["calls"]!.Items.First(c => c["name"]!.AsText.StartsWith("cart", StringComparison.Ordinal))["name"]!.AsText;

    private static async Task<bool> NothingIsLeftAsync() =>
        !(await Program.RunAsync("ip", ["netns"])).Output.Contains("tulle", StringComparison.Ordinal) && !(await Program.RunAsync("ip", ["-br", "link"])).Output.Contains("tulle", StringComparison.Ordinal);

    [NeedsFact("root", "nft", "ip", "setpriv")]
    public async Task The_sample_runs_with_its_split_and_mutual_tls()
    {
        await using var mesh = await UpAsync("--for", "10s", "-o", "json");
        Assert.Equal(0, await mesh.EndAsync(60));
        var report = NodeJson.Parse(mesh.Output.Trim().Split('\n')[^1]);
        Assert.Equal(0, report["failed"]!.AsInteger);
        // The command judges the split itself and fails when it is off.
        Assert.InRange(report["requests"]!.AsInteger, 300, 100_000);
        Assert.InRange(report["byVersion"]!["v1"]!.AsDouble, 0.84, 0.96);
        Assert.Equal(1, report["mtlsShare"]!.AsDouble);
        Assert.True(await NothingIsLeftAsync());
    }

    /// <summary>The same without root: nobody may make namespaces here, so the mesh lives in one of its own.</summary>
    [NeedsFact("root", "nft", "ip", "setpriv", "unshare")]
    public async Task Without_root_it_runs_in_a_namespace_of_its_own()
    {
        await Program.RunAsync("chmod", ["-R", "a+rX", _folder]);
        await using var mesh = Program.Start("setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", Surroundings.Cli, "up", _folder, "--for", "5s", "-o", "json"]);
        Assert.True(await mesh.EndAsync(60) == 0, mesh.Errors);
        var report = NodeJson.Parse(mesh.Output.Trim().Split('\n')[^1]);
        Assert.Equal(0, report["failed"]!.AsInteger);
        Assert.InRange(report["requests"]!.AsInteger, 300, 100_000);
        Assert.Equal(1, report["mtlsShare"]!.AsDouble);
        Assert.True(await NothingIsLeftAsync());
    }

    [NeedsFact("root", "nft", "ip", "setpriv", "curl")]
    public async Task The_mesh_keeps_its_promises_while_things_change()
    {
        await using var mesh = await UpAsync("--rate", "100");

        // The header rule always wins over the split.
        for (var i = 0; i < 20; i++)
            Assert.StartsWith("cart-v2", CartOf(await GetAsync("-H", "x-canary: yes")), StringComparison.Ordinal);

        // Both sides know who the other is.
        var answer = await GetAsync();
        Assert.Equal("spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway", answer["peer"]!.AsText);
        Assert.Equal("spiffe://cluster.local/ns/shop/sa/web", answer["calls"]!.Items[0]["peer"]!.AsText);

        // Without a certificate nobody gets into a STRICT pod.
        var index = NodeJson.Parse(await File.ReadAllBytesAsync(Path.Combine(_state, "mesh.json")));
        var web = index["pods"]!.Items.First(p => p["owner"]!.AsText == "web-v1")["address"]!.AsText;
        Assert.NotEqual(0, (await Program.RunAsync("curl", ["-s", "-m", "3", $"http://{web}:8080/"])).Code);

        // The access logs of both sides say so too.
        await Surroundings.UntilAsync("the access log of cart names web", () => Task.FromResult(Directory.EnumerateFiles(Path.Combine(_state, "run"), "proxy.log", SearchOption.AllDirectories)
            .Any(f => f.Contains("cart-v1", StringComparison.Ordinal) && ReadShared(f).Contains("spiffe://cluster.local/ns/shop/sa/web", StringComparison.Ordinal))));

        // Metrics of the destination's side name the source's workload, over HTTP and over TCP: the sidecars told each other.
        foreach (var (owner, metric) in new[] { ("cart-v1", "istio_requests_total"), ("stock-v1", "istio_tcp_connections_opened_total") })
        {
            var space = index["pods"]!.Items.First(p => p["owner"]!.AsText == owner)["netns"]!.AsText;
            await Surroundings.UntilAsync($"{metric} of {owner} names web", async () => Regex.IsMatch((await Program.RunAsync("ip", ["netns", "exec", space, "curl", "-s", "http://127.0.0.1:15090/stats/prometheus"])).Output,
                $"^{metric}\\{{reporter=\"destination\",source_workload=\"web-v1\".*,destination_workload=\"{owner}\".*connection_security_policy=\"mutual_tls\"", RegexOptions.Multiline));
        }
        Assert.DoesNotContain(answer["headers"]!.Fields, h => h.Key.StartsWith("x-envoy-peer-metadata", StringComparison.Ordinal));

        // Traffic does not need the control plane.
        await Program.RunAsync("pkill", ["-KILL", "-f", $"tulle-control --files {_folder}"]);
        Assert.StartsWith("cart", CartOf(await GetAsync()), StringComparison.Ordinal);
        await Surroundings.UntilAsync("the control plane is back", () => Task.FromResult(mesh.Errors.Contains("starting it again", StringComparison.Ordinal)));

        // An edit takes effect; a broken one is told and changes nothing.
        var rules = Path.Combine(_folder, "routing.yaml");
        var text = await File.ReadAllTextAsync(rules);
        var edited = Regex.Replace(Regex.Replace(text, @"weight: 90\b", "weight: 0"), @"weight: 10\b", "weight: 100");
        Assert.NotEqual(text, edited);
        await File.WriteAllTextAsync(rules, edited);
        var row = 0;
        await Surroundings.UntilAsync("all requests go to v2", async () => (row = CartOf(await GetAsync()).StartsWith("cart-v2", StringComparison.Ordinal) ? row + 1 : 0) >= 20);
        await File.WriteAllTextAsync(rules, edited + "\n  broken: [");
        await Surroundings.UntilAsync("the broken file is told", () => Task.FromResult(Regex.IsMatch(mesh.Errors, @"routing\.yaml:\d+: error")));
        Assert.StartsWith("cart-v2", CartOf(await GetAsync()), StringComparison.Ordinal);

        // One of two pods dies: retries and the other pod save every request.
        await File.WriteAllTextAsync(rules, edited);
        var pods = (await Program.RunAsync("pgrep", ["-f", "name=cart-v2$"])).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, pods.Length);
        var during = Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            var failed = 0;
            for (var i = 0; i < 40; i++)
                failed += (await Program.RunAsync("curl", ["-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8080/"])).Output.Trim() == "200" ? 0 : 1;
            return failed;
        })).ToList();
        await Program.RunAsync("kill", ["-KILL", pods[0]]);
        Assert.Equal(0, (await Task.WhenAll(during)).Sum());

        await mesh.SignalAsync("TERM");
        await mesh.EndAsync(30);
        Assert.True(await NothingIsLeftAsync());
    }

    private static string ReadShared(string file)
    {
        using var reader = new StreamReader(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        return reader.ReadToEnd();
    }

    [NeedsFact("root", "nft", "ip", "setpriv", "curl")]
    public async Task After_a_hard_kill_the_next_start_cleans_up()
    {
        await using (var first = await UpAsync("--rate", "20"))
        {
            await first.SignalAsync("KILL");
            await first.EndAsync(10);
        }
        // Everything that it started dies with it; namespaces stay until the next start.
        await Surroundings.UntilAsync("the proxies are gone", async () => (await Program.RunAsync("pgrep", ["-f", $"{_state}/run"])).Code != 0);
        await using var second = await UpAsync("--rate", "20");
        Assert.StartsWith("cart", CartOf(await GetAsync()), StringComparison.Ordinal);
        await second.SignalAsync("TERM");
        await second.EndAsync(30);
        Assert.True(await NothingIsLeftAsync());
    }

    [NeedsFact("peers", "root", "nft", "ip", "setpriv")]
    public async Task A_stock_Envoy_runs_in_the_same_mesh()
    {
        await using var mesh = await UpAsync("--proxy", await Surroundings.PeerAsync("envoy"), "--for", "6s", "-o", "json");
        // It has no metadata exchange, so it may not agree to one: what a sidecar tells would reach the application.
        var index = NodeJson.Parse(await File.ReadAllBytesAsync(Path.Combine(_state, "mesh.json")));
        var stock = index["pods"]!.Items.First(p => p["owner"]!.AsText == "stock-v1")["netns"]!.AsText;
        var dump = (await Program.RunAsync("ip", ["netns", "exec", stock, "curl", "-s", "http://127.0.0.1:15000/config_dump"])).Output;
        Assert.Matches("\"alpn_protocols\"", dump);
        Assert.DoesNotMatch("\"alpn_protocols\": \\[\\s*\"istio-peer-exchange\"", dump);
        Assert.Equal(0, await mesh.EndAsync(60));
        var report = NodeJson.Parse(mesh.Output.Trim().Split('\n')[^1]);
        Assert.Equal(0, report["failed"]!.AsInteger);
        Assert.Equal(1, report["mtlsShare"]!.AsDouble);
    }
}
