using System.Diagnostics;
using System.Net.Sockets;

namespace Tulle.Interop.Tests;

/// <summary>Where the built programs and the programs to test against are.</summary>
internal static class Surroundings
{
    public static readonly string Root = FindRoot();

    public static readonly string Peers = Path.GetFullPath(Path.Combine(Root, "..", "shared", "peers"));

    /// <summary>Where the built programs are: dist of this repository, or the folder that TULLE_DIST names (an older build, to see a test fail against it).</summary>
    public static readonly string Dist = Environment.GetEnvironmentVariable("TULLE_DIST") is { Length: > 0 } named ? Path.GetFullPath(named) : Path.Combine(Root, "dist");

    public static string Proxy => Built("tulle-proxy");

    public static string Control => Built("tulle-control");

    public static string Cli => Built("tulle");

    /// <summary>One file per program in bin; before native files there was one folder per program.</summary>
    private static string Built(string program) => Path.Combine(Dist, "bin", program) is var file && File.Exists(file) ? file : Path.Combine(Dist, program, program);

    private static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Tulle.slnx")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("Tulle.slnx was not found above the test");
        return folder;
    }

    /// <summary>Why a test cannot run here, or null.</summary>
    public static string? Lacks(string need) => need switch
    {
        "root" => Environment.UserName == "root" ? null : "needs root for network namespaces",
        "peers" => File.Exists(Path.Combine(Peers, "peer")) ? null : "the folder shared/peers with real programs is not beside the project",
        "grpc-js-xds" => File.Exists(Path.Combine(Root, "tests", "js", "node_modules", "@grpc", "grpc-js-xds", "package.json")) ? null : "@grpc/grpc-js-xds is not installed in tests/js (./test does it where npm is)",
        _ => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(p => File.Exists(Path.Combine(p, need))) ? null : $"the program {need} is not installed",
    };

    public static async Task<string> PeerAsync(string name) => (await Program.RunAsync(Path.Combine(Peers, "peer"), ["path", name], 120)).Output.Trim();

    public static int FreePort()
    {
        using var listener = new TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        return ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Waits for a condition, never for a time.</summary>
    public static async Task UntilAsync(string what, Func<Task<bool>> holds, int seconds = 20)
    {
        var watch = Stopwatch.StartNew();
        while (!await holds())
        {
            if (watch.Elapsed.TotalSeconds > seconds)
                Assert.Fail($"within {seconds} s it did not happen that {what}");
            await Task.Delay(20);
        }
    }

    public static async Task<bool> AcceptsAsync(int port)
    {
        using var client = new TcpClient();
        try
        {
            await client.ConnectAsync("127.0.0.1", port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}

/// <summary>A fact that needs something of the machine; without it the test is skipped and says why.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class NeedsFactAttribute : FactAttribute
{
    public NeedsFactAttribute(params string[] needs) => Skip = needs.Select(Surroundings.Lacks).FirstOrDefault(l => l is not null)!;
}
