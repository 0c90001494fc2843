namespace Tulle.Interop.Tests;

/// <summary>A real Kubernetes node with the real Istio on it, tulle-proxy in Envoy's place in every sidecar and gateway. Made once for all tests of the suite.</summary>
public sealed class RealIstio : IAsyncLifetime
{
    private const string Lib = "/usr/lib/x86_64-linux-gnu";
    private static readonly string s_node = Path.Combine(Surroundings.Peers, "k8s-node");
    private static readonly string s_istio = Path.Combine(Surroundings.Peers, "k8s-istio");
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-node-").FullName;
    private readonly string _name = $"tulle-node-{Environment.ProcessId}";

    /// <summary>What the suite needs of the machine; ./test --suite istio installs it.</summary>
    public static readonly string[] Needs = ["root", "peers", "containerd", "runc", "iptables", "nft", "conntrack", "ip", "busybox"];

    public async Task InitializeAsync()
    {
        if (Array.Exists(Needs, n => Surroundings.Lacks(n) is not null))
            return;
        await MustAsync(600, s_node, "up", "--name", _name, "--dir", _folder);
        await MustAsync(600, s_istio, "up", "--dir", _folder, "--proxy", Surroundings.Proxy, "--with", $"{Lib}/libssl.so.3", "--with", $"{Lib}/libcrypto.so.3");
    }

    public async Task DisposeAsync()
    {
        if (Directory.EnumerateFileSystemEntries(_folder).Any())
            await Program.RunAsync(s_node, ["down", "--name", _name, "--dir", _folder], 120);
        Directory.Delete(_folder, recursive: true);
    }

    private static async Task<string> MustAsync(int seconds, string program, params string[] arguments)
    {
        var (code, output, errors) = await Program.RunAsync(program, arguments, seconds);
        Assert.True(code == 0, $"{program} {string.Join(' ', arguments)} ended with {code}: {output}{errors}");
        return output;
    }

    public Task<string> KubectlAsync(params string[] arguments) => KubectlAsync(60, arguments);

    public Task<string> KubectlAsync(int seconds, params string[] arguments) => MustAsync(seconds, s_node, ["kubectl", "--dir", _folder, .. arguments]);

    /// <summary>A command inside the node's network, where pods and ClusterIPs are reachable.</summary>
    public Task<(int Code, string Output, string Errors)> InsideAsync(int seconds, params string[] command) => Program.RunAsync(s_node, ["sh", "--name", _name, .. command], seconds);

    /// <summary>A program inside a pod's container.</summary>
    public Task<(int Code, string Output, string Errors)> ExecAsync(string space, string target, params string[] command) =>
        Program.RunAsync(s_node, ["kubectl", "--dir", _folder, "-n", space, "exec", target, "-c", "app", "--", .. command], 60);

    public async Task ApplyAsync(string yaml)
    {
        var file = Path.Combine(_folder, $"apply-{Guid.NewGuid():N}.yaml");
        await File.WriteAllTextAsync(file, yaml);
        await KubectlAsync("apply", "-f", file);
    }

    public Task RolledOutAsync(string space, string workload) => KubectlAsync(180, "-n", space, "rollout", "status", workload, "--timeout=150s");
}
