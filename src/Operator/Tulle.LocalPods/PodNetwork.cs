using System.Globalization;

namespace Tulle.LocalPods;

/// <summary>
/// The network of a local mesh: a bridge, and for every pod a namespace with a veth and an address. Names carry the number of the mesh's slot, so that
/// what a killed mesh left is found and removed, and nothing of anybody else.
/// </summary>
public sealed class PodNetwork(MeshSlot slot)
{
    private int _next = 2;

    // The kernel takes its time with the interfaces of a removed namespace: names of this run never meet those of the last.
    private readonly string _run = Random.Shared.Next(0x10000).ToString("x4", CultureInfo.InvariantCulture);

    /// <summary>Removes what is left under a slot that is held by nobody else: namespaces with their processes, the bridge, resolver files.</summary>
    public static async Task CleanAsync(MeshSlot slot)
    {
        if (Directory.Exists("/run/netns"))
        {
            foreach (var name in Directory.GetFiles("/run/netns", slot.NamespacePrefix + "*").Select(f => Path.GetFileName(f)))
                await RemoveAsync(name);
        }
        if (Directory.Exists("/sys/class/net/" + slot.Bridge))
            await Shell.RunAsync("ip", ["link", "del", slot.Bridge], mayFail: true);
        if (Directory.Exists(RootlessMode.ResolverRoot))
        {
            foreach (var folder in Directory.GetDirectories(RootlessMode.ResolverRoot, slot.NamespacePrefix + "*"))
                Directory.Delete(folder, recursive: true);
        }
    }

    public string Gateway => slot.Gateway;

    public string NamespaceName(int index) => string.Create(CultureInfo.InvariantCulture, $"{slot.NamespacePrefix}{index}");

    public async Task StartAsync() => await Shell.RunAsync("ip", ["-batch", "-"],
        $"link add {slot.Bridge} type bridge forward_delay 0\naddr add {Gateway}/16 dev {slot.Bridge}\nlink set {slot.Bridge} up\n");

    public string NextAddress() => string.Create(CultureInfo.InvariantCulture, $"{slot.Network}.{_next / 250}.{_next++ % 250 + 1}");

    /// <summary>Makes a pod's namespace with its address, routes and resolver.</summary>
    public async Task AddAsync(string name, int index, string address, string space)
    {
        var resolver = Path.Combine(RootlessMode.ResolverRoot, name);
        Directory.CreateDirectory(resolver);
        await File.WriteAllTextAsync(Path.Combine(resolver, "resolv.conf"),
            $"search {space}.svc.cluster.local svc.cluster.local cluster.local\nnameserver {Gateway}\noptions ndots:5 timeout:2 attempts:2\n");
        var veth = $"tl{_run}.{index}";
        await Shell.RunAsync("ip", ["-batch", "-"],
            $"netns add {name}\nlink add {veth} type veth peer name eth0 netns {name}\nlink set {veth} master {slot.Bridge} up\n");
        await Shell.RunAsync("ip", ["-n", name, "-batch", "-"],
            $"link set lo up\naddr add {address}/16 dev eth0\nlink set eth0 up\nroute add default via {Gateway}\n");
    }

    public static async Task ApplyRulesAsync(string name, string rules)
    {
        if (rules.Length > 0)
            await Shell.RunAsync("ip", ["netns", "exec", name, "nft", "-f", "-"], rules);
    }

    /// <summary>Ends what runs in a namespace and removes it.</summary>
    public static async Task RemoveAsync(string name)
    {
        foreach (var pid in (await Shell.RunAsync("ip", ["netns", "pids", name], mayFail: true)).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (int.TryParse(pid, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
                _ = Native.Libc.Kill(number, 9);
        }
        await Shell.RunAsync("ip", ["netns", "del", name], mayFail: true);
        var resolver = Path.Combine(RootlessMode.ResolverRoot, name);
        if (Directory.Exists(resolver))
            Directory.Delete(resolver, recursive: true);
    }
}
