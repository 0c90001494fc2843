using System.Diagnostics;
using Tulle.Base.Documents;

namespace Tulle.Cli;

/// <summary>The mesh that runs on this machine, as `tulle up` wrote it down.</summary>
internal static class MeshIndex
{
    public static Node Read(string stateFolder)
    {
        var file = Path.Combine(stateFolder, "mesh.json");
        if (!File.Exists(file))
            throw new UsageException($"no mesh runs here ({file} does not exist); start one with: tulle up FOLDER");
        return NodeJson.Parse(File.ReadAllText(file), file);
    }

    /// <summary>The pod of that name, or the only pod of that workload; "name.namespace" is taken too.</summary>
    public static Node FindPod(Node index, string name)
    {
        var dot = name.LastIndexOf('.');
        var (shortName, space) = dot > 0 ? (name[..dot], name[(dot + 1)..]) : (name, "");
        var pods = index["pods"]?.Items ?? [];
        return pods.FirstOrDefault(p => p["name"]?.AsText == shortName && (space.Length == 0 || p["namespace"]?.AsText == space))
            ?? pods.FirstOrDefault(p => p["owner"]?.AsText == shortName || (p["name"]?.AsText ?? "").StartsWith(shortName + "-", StringComparison.Ordinal))
            ?? throw new UsageException($"pod {name} is not running; there are: {string.Join(" ", pods.Select(p => $"{p["name"]?.AsText}.{p["namespace"]?.AsText}"))}");
    }

    /// <summary>Asks a pod's admin port, which listens inside its network namespace only.</summary>
    public static async Task<string> AdminAsync(Node pod, string path)
    {
        var start = new ProcessStartInfo("ip") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var word in new[] { "netns", "exec", pod["netns"]!.AsText, Environment.ProcessPath!, "admin-get", path })
            start.ArgumentList.Add(word);
        using var process = Process.Start(start) ?? throw new UsageException("ip cannot be started");
        var output = await process.StandardOutput.ReadToEndAsync();
        var error = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? output : throw new UsageException($"the proxy of {pod["name"]?.AsText} does not answer: {error.Trim()}");
    }
}
