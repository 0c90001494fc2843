using Tulle.Base.Documents;

namespace Tulle.Interop.Tests;

/// <summary>What Istio's own discovery server sends for our sample, and what tulle-control sends.</summary>
public sealed class AgainstIstiodTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-istiod-").FullName;

    private static readonly string[] Proxies =
        ["sidecar:web-v1.shop:", "sidecar:cart-v1.shop:", "sidecar:stock-v1.shop:", "router:istio-ingressgateway.istio-system:"];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [NeedsFact("peers", "python3")]
    public async Task The_sample_gives_what_istiod_gives()
    {
        var sample = Path.Combine(Surroundings.Root, "samples", "shop");
        var oracle = await Surroundings.PeerAsync("istio-oracle");
        var asked = await Program.RunAsync(oracle, ["-f", sample, .. Proxies.SelectMany(p => new[] { "-proxy", p }), "-out", _folder], 60);
        Assert.True(asked.Code == 0, asked.Errors);
        var port = Surroundings.FreePort();
        await using var control = Program.Start(Surroundings.Control, ["--files", sample, "--xds", $"127.0.0.1:{port}", "--simulate-pods"]);
        await Surroundings.UntilAsync("the control plane accepts", () => Surroundings.AcceptsAsync(port));
        var client = await Surroundings.PeerAsync("adsclient");
        var seen = 0;
        foreach (var expected in Directory.EnumerateDirectories(_folder).Order(StringComparer.Ordinal).ToList())
        {
            var node = NodeJson.Parse(await File.ReadAllBytesAsync(Path.Combine(expected, "node.json")));
            foreach (var mode in new[] { "sotw", "delta" })
            {
                var answer = await Program.RunAsync(client, ["-addr", $"127.0.0.1:{port}", "-istio", "-mode", mode, "-node", node["id"]!.AsText, "-cluster", node["cluster"]!.AsText, "-metadata", NodeJson.Write(node["metadata"]!)], 30);
                Assert.True(answer.Code is 0 or 3, answer.Errors);
                var file = Path.Combine(_folder, "answer.json");
                await File.WriteAllTextAsync(file, answer.Output);
                var compared = await Program.RunAsync(Path.Combine(Surroundings.Peers, "xdsdiff"), [expected, file, "--type", "cds,eds,rds,lds", "--max", "20"], 30);
                Assert.True(compared.Code == 0, $"{Path.GetFileName(expected)} ({mode}):\n{compared.Output}{compared.Errors}");
                seen++;
            }
        }
        Assert.Equal(Proxies.Length * 2, seen);
    }

    [NeedsFact]
    public async Task A_broken_folder_is_told_with_file_and_line()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "rules.yaml"), "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: a\nspec:\n  hosts: [a]\n  http:\n  - route:\n    - destination: { host: a }\n      weight: minus\n");
        var (code, output, errors) = await Program.RunAsync(Surroundings.Control, ["--files", _folder, "--check"], 20);
        Assert.Equal(79, code);
        Assert.Contains("rules.yaml:10", output + errors, StringComparison.Ordinal);
    }
}
