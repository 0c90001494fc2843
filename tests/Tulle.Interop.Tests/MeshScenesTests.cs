using Tulle.Base.Documents;

namespace Tulle.Interop.Tests;

/// <summary>Changes under load in a real mesh: what goes away takes no request along, what is closed never opens again.</summary>
[Trait("Suite", "scenes")]
public sealed class MeshScenesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-scenes-").FullName;
    private readonly string _state = $"/run/tulle-scenes-{Environment.ProcessId}";

    public MeshScenesTests()
    {
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Surroundings.Root, "samples", "shop")))
            File.Copy(file, Path.Combine(_folder, Path.GetFileName(file)));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private async Task<Program> UpAsync(string seconds)
    {
        var mesh = Program.Start(Surroundings.Cli, ["up", _folder, "--state", _state, "--for", seconds, "--rate", "100", "-o", "json"]);
        await Surroundings.UntilAsync("the mesh is up", () => mesh.HasExited ? throw new InvalidOperationException(mesh.Errors) : Task.FromResult(mesh.Errors.Contains("the mesh is up after", StringComparison.Ordinal)), 60);
        return mesh;
    }

    private void Write(string name, string text)
    {
        File.WriteAllText(Path.Combine(_folder, "." + name), text);
        File.Move(Path.Combine(_folder, "." + name), Path.Combine(_folder, name), overwrite: true);
    }

    private static async Task<string> CodeAsync() => (await Program.RunAsync("curl", ["-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8080/"])).Output.Trim();

    /// <summary>Subset v2 and the route to it disappear in one edit, and come back: no request meets a route without its cluster.</summary>
    [NeedsFact("root", "nft", "ip", "setpriv", "curl")]
    public async Task D01_a_subset_and_its_route_go_and_come_without_a_failed_request()
    {
        var file = Path.Combine(_folder, "routing.yaml");
        var both = await File.ReadAllTextAsync(file);
        var documents = both.Split("\n---\n");
        documents[1] = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: cart, namespace: shop }\nspec: { hosts: [cart], http: [ { route: [ { destination: { host: cart, subset: v1 } } ] } ] }";
        documents[2] = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: cart, namespace: shop }\nspec: { host: cart, subsets: [ { name: v1, labels: { version: v1 } } ] }";
        var one = string.Join("\n---\n", documents);
        await using var mesh = await UpAsync("45s");
        var web = NodeJson.Parse(await File.ReadAllBytesAsync(Path.Combine(_state, "mesh.json")))["pods"]!.Items.First(p => p["name"]!.AsText.StartsWith("web", StringComparison.Ordinal));
        async Task<bool> HasClusterAsync() => (await Program.RunAsync("ip", ["netns", "exec", web["netns"]!.AsText, "curl", "-s", "-m", "5", "http://127.0.0.1:15000/clusters"]))
            .Output.Contains("outbound|80|v2|cart.shop", StringComparison.Ordinal);
        for (var round = 0; round < 3; round++)
        {
            Write("routing.yaml", one);
            await Surroundings.UntilAsync("the cluster of v2 is gone", async () => !await HasClusterAsync());
            Write("routing.yaml", both);
            await Surroundings.UntilAsync("the cluster of v2 is back", HasClusterAsync);
        }
        await mesh.EndAsync(90);
        var report = NodeJson.Parse(mesh.Output.Trim().Split('\n')[^1]);
        Assert.Equal(0, report["failed"]!.AsInteger);
    }

    /// <summary>A DENY that nobody can evaluate: 200 before, then 403, never again 200, whoever is started anew.</summary>
    [NeedsFact("root", "nft", "ip", "setpriv", "curl")]
    public async Task A_policy_that_cannot_be_enforced_closes_under_load_and_stays_closed()
    {
        await using var mesh = await UpAsync("60s");
        Assert.Equal("200", await CodeAsync());
        Write("deny.yaml", "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: deny, namespace: shop }\nspec: { selector: { matchLabels: { app: web } }, action: DENY, rules: [ { from: [ { source: { principals: [\"*\"] } } ] } ] }\n");
        await Surroundings.UntilAsync("web is closed", async () => await CodeAsync() == "403");
        async Task StaysClosedAsync(string after)
        {
            var codes = new List<string>();
            for (var i = 0; i < 50; i++)
                codes.Add(await CodeAsync());
            Assert.True(!codes.Contains("200"), $"open again after {after}");
        }
        await StaysClosedAsync("the edit");
        await Program.RunAsync("pkill", ["-9", "-f", "--", $"--xds unix:{_state}/xds.sock"]);
        await Surroundings.UntilAsync("the control plane was started again", () => Task.FromResult(mesh.Errors.Contains("starting it again", StringComparison.Ordinal)));
        await StaysClosedAsync("a new control plane");
        await Program.RunAsync("pkill", ["-9", "-f", $"{_state}/run/shop_web-v1"]);
        await Surroundings.UntilAsync("web's proxy answers again", async () => await CodeAsync() == "403", 60);
        await StaysClosedAsync("a new proxy");
        var status = await Program.RunAsync(Surroundings.Cli, ["proxy-status", "--state", _state]);
        Assert.Contains("CLOSED by AuthorizationPolicy shop/deny", status.Output, StringComparison.Ordinal);
        await mesh.SignalAsync("INT");
        await mesh.EndAsync(30);
    }
}
