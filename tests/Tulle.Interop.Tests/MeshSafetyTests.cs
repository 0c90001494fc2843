using System.Text.RegularExpressions;

namespace Tulle.Interop.Tests;

/// <summary>`tulle up` destroys nothing, hangs on nothing and leaves nothing, also when several run and when the folder is wrong.</summary>
public sealed class MeshSafetyTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("tulle-safe-").FullName;

    /// <summary>Proxies have a user of their own, who must get through.</summary>
    public MeshSafetyTests() => File.SetUnixFileMode(_root, (UnixFileMode)0b111_101_101);

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private string Folder(string name, string yaml)
    {
        var folder = Path.Combine(_root, name);
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "mesh.yaml"), yaml);
        return folder;
    }

    /// <summary>One injected namespace with one workload that answers on 8080.</summary>
    private static string Workload(int replicas, string mark, int probePort = 8080, string publish = "", int graceSeconds = 1) => $$"""
        apiVersion: v1
        kind: Namespace
        metadata: { name: safe, labels: { istio-injection: enabled } }
        ---
        apiVersion: v1
        kind: Service
        metadata: { name: echo, namespace: safe, annotations: { {{(publish.Length > 0 ? $"tulle.dev/publish: '{publish}'" : "")}} } }
        spec: { selector: { app: echo }, ports: [ { name: http, port: 80, targetPort: 8080 } ] }
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: { name: echo, namespace: safe }
        spec:
          replicas: {{replicas}}
          selector: { matchLabels: { app: echo } }
          template:
            metadata: { labels: { app: echo }, annotations: { tulle.dev/run: process } }
            spec:
              terminationGracePeriodSeconds: {{graceSeconds}}
              containers:
              - name: echo
                command: [ tulle, echo, "--http=8080", "--name={{mark}}" ]
                readinessProbe: { httpGet: { path: /ready, port: {{probePort}} }, periodSeconds: 1 }
        """;

    private Program Up(string folder, string state, params string[] more) => Program.Start(Surroundings.Cli, ["up", folder, "--state", Path.Combine(_root, state), "--rate", "1", .. more]);

    private static Task IsUpAsync(Program mesh) =>
        Surroundings.UntilAsync("the mesh is up", () => mesh.HasExited ? throw new InvalidOperationException(mesh.Errors) : Task.FromResult(mesh.Errors.Contains("the mesh is up after", StringComparison.Ordinal)), 60);

    [NeedsFact("root", "nft", "ip", "setpriv")]
    public async Task E1_a_state_folder_with_something_in_it_is_refused()
    {
        var folder = Folder("one", Workload(1, "a"));
        var precious = Path.Combine(_root, "state", "thesis");
        Directory.CreateDirectory(Path.GetDirectoryName(precious)!);
        await File.WriteAllTextAsync(precious, "years");
        await using var mesh = Up(folder, "state", "--for", "1s");
        Assert.Equal(64, await mesh.EndAsync(30));
        Assert.Matches("not empty", mesh.Errors);
        Assert.Equal("years", await File.ReadAllTextAsync(precious));
    }

    [NeedsFact("root", "nft", "ip", "setpriv", "curl")]
    public async Task E5_two_meshes_run_side_by_side_and_the_same_state_is_refused()
    {
        var (portA, portB) = (Surroundings.FreePort(), Surroundings.FreePort());
        await using var first = Up(Folder("a", Workload(1, "a", publish: $"127.0.0.1:{portA}:80")), "state-a", "--url", $"http://127.0.0.1:{portA}/");
        await IsUpAsync(first);
        var pod = Regex.Match(await SpacesAsync(), @"tulle-\d+-0").Value;
        await using (var same = Up(Folder("c", Workload(1, "c")), "state-a", "--for", "1s"))
        {
            Assert.Equal(64, await same.EndAsync(30));
            Assert.Matches($"in use by the mesh of process {first.Id}", same.Errors);
        }
        await using (var second = Up(Folder("b", Workload(1, "b", publish: $"127.0.0.1:{portB}:80")), "state-b", "--url", $"http://127.0.0.1:{portB}/"))
        {
            await IsUpAsync(second);
            Assert.Contains("\"name\":\"a\"", await GetAsync(portA), StringComparison.Ordinal);
            Assert.Contains("\"name\":\"b\"", await GetAsync(portB), StringComparison.Ordinal);
            await second.SignalAsync("TERM");
            await second.EndAsync(30);
        }
        Assert.Contains("\"name\":\"a\"", await GetAsync(portA), StringComparison.Ordinal);
        Assert.Contains(pod, await SpacesAsync(), StringComparison.Ordinal);
    }

    private static async Task<string> GetAsync(int port) => (await Program.RunAsync("curl", ["-s", "-m", "5", $"http://127.0.0.1:{port}/"])).Output.Replace(" ", "", StringComparison.Ordinal);

    private static async Task<string> SpacesAsync() => (await Program.RunAsync("ip", ["netns"])).Output;

    [NeedsFact("root", "nft", "ip", "setpriv")]
    public async Task E2_a_pod_that_never_gets_ready_is_told_and_the_correction_is_taken()
    {
        var folder = Folder("slow", Workload(1, "slow", probePort: 8081));
        await using var mesh = Up(folder, "state");
        await Surroundings.UntilAsync("it is told what is waited for", () => Task.FromResult(Regex.IsMatch(mesh.Errors, @"pod safe/echo-\S+ waits for its readinessProbe, GET :8081/ready")));
        await File.WriteAllTextAsync(Path.Combine(folder, "mesh.yaml"), Workload(1, "slow"));
        await IsUpAsync(mesh);
    }

    [NeedsFact("root", "nft", "ip", "setpriv")]
    public async Task E3_the_folder_is_followed_also_after_the_control_plane_hung()
    {
        var folder = Folder("hung", Workload(1, "before"));
        await using var mesh = Up(folder, "state");
        await IsUpAsync(mesh);
        var control = (await Program.RunAsync("pgrep", ["-f", $"tulle-control --files {folder}"])).Output.Trim().Split('\n')[^1];
        await Program.RunAsync("kill", ["-STOP", control]);
        await Surroundings.UntilAsync("it is told", () => Task.FromResult(mesh.Errors.Contains("does not answer; trying again", StringComparison.Ordinal)));
        await Program.RunAsync("kill", ["-CONT", control]);
        await File.WriteAllTextAsync(Path.Combine(folder, "mesh.yaml"), Workload(1, "after"));
        await Surroundings.UntilAsync("the edited pod is ready", () => Task.FromResult(Regex.IsMatch(mesh.Errors, @"pod safe/echo-\S+ is ready")));
    }

    /// <summary>Counted in the kernel: namespaces that a thread still is in have no name any more.</summary>
    private static async Task<(int Spaces, int Links, int Threads, int Processes)> LeftAsync(int mesh)
    {
        var spaces = new HashSet<string>();
        foreach (var process in Directory.EnumerateDirectories("/proc").Where(d => int.TryParse(Path.GetFileName(d), out _)))
        {
            try
            {
                foreach (var thread in Directory.EnumerateDirectories(Path.Combine(process, "task")))
                {
                    if (new FileInfo(Path.Combine(thread, "ns", "net")).LinkTarget is { } space)
                        spaces.Add(space);
                }
            }
            catch (IOException)
            {
                // It ended while we looked.
            }
        }
        var links = (await Program.RunAsync("ip", ["-br", "link", "show", "type", "veth"])).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length;
        var dialers = Directory.EnumerateDirectories($"/proc/{mesh}/task").Count(t => File.ReadAllText(Path.Combine(t, "comm")).StartsWith("dial-", StringComparison.Ordinal));
        var processes = (await Program.RunAsync("pgrep", ["-f", "--name=replaced-"])).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length;
        return (spaces.Count, links, dialers, processes);
    }

    [NeedsFact("root", "nft", "ip", "setpriv", "pgrep")]
    public async Task E4_fifty_replaced_pods_leave_nothing()
    {
        const int Replicas = 5;
        var folder = Folder("replaced", Workload(Replicas, "replaced-0"));
        await using var mesh = Up(folder, "state");
        await IsUpAsync(mesh);
        var before = await LeftAsync(mesh.Id);
        for (var i = 1; i <= 50 / Replicas; i++)
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "mesh.yaml"), Workload(Replicas, $"replaced-{i}"));
            var ready = i * Replicas;
            await Surroundings.UntilAsync($"{ready} later pods were ready", () => Task.FromResult(Regex.Count(mesh.Errors, @"pod safe/echo-\S+ is ready") >= ready), 60);
        }
        await Surroundings.UntilAsync("only the last pods are there", async () => await LeftAsync(mesh.Id) == before, 30);
        await mesh.SignalAsync("TERM");
        await mesh.EndAsync(30);
        Assert.DoesNotContain("Unhandled", mesh.Errors, StringComparison.Ordinal);
    }
}
