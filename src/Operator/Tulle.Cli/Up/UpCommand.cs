using System.Diagnostics;
using System.Globalization;
using Tulle.Base.Documents;
using Tulle.Load;
using Tulle.LocalPods;
using Tulle.Native;

namespace Tulle.Cli;

/// <summary>Runs a folder as a mesh on this machine.</summary>
internal static class UpCommand
{
    public const string Help = """
        tulle up: runs a folder of Kubernetes and Istio YAML as a mesh on this machine.

        Usage: tulle up FOLDER [--for 10s] [--proxy PATH] [-o json] [--rate N] [--url URL]

          --for TIME       run with a built-in load for so long, then stop; exit 1 when a request failed or the split is off
          --proxy PATH     another proxy in place of tulle-proxy (a stock Envoy: same flags, same bootstrap)
          --rate N         requests a second of the built-in load (default 400)
          --connections N  connections of the built-in load (default 8)
          --url URL        what the load asks for (default http://127.0.0.1:8080/)
          --control PATH   another tulle-control
          --state DIR      where sockets, logs and pod folders are (default /run/tulle): a new or an empty folder, emptied at the end; each mesh has its own
          -o json          with --for: the last line is one JSON object

        Deployments whose template has the annotation tulle.dev/run: process run as local pods, each in a network namespace with its sidecar. Editing a
        file takes effect within a second; a broken edit is reported with file and line, and what was good stays in force. Ctrl-C ends everything.
        Without root everything runs inside one user and network namespace, and the gateway's port is reached from inside it only.

        Example:
          tulle up samples/shop
          tulle up samples/shop --for 10s -o json

        Exit codes: 0 fine, 1 a request failed, a pod did not start or the split is off, 64 wrong usage, 65 bad data.
        """;

    /// <summary>Points by which the canary may be off. From the issue: ± 3 points over at least 2,000 requests.</summary>
    private const double SplitTolerance = 0.03;

    public static async Task<int> RunAsync(Arguments arguments, CancellationToken stop)
    {
        if (arguments.Words.Count != 1)
            throw new UsageException("one folder is expected: tulle up FOLDER");
        var folder = arguments.Words[0];
        if (!Directory.Exists(folder))
            throw new UsageException($"folder {folder} does not exist");
        var json = arguments.Text("-o") == "json";
        double forMs = 0;
        if (arguments.Has("--for") && (!Durations.TryParseMs(arguments.Text("--for"), out forMs) || forMs < 1000))
            throw new UsageException($"--for {arguments.Text("--for")}: a time of at least 1s is expected, for example 10s");
        if (!Libc.IsRoot && arguments.Has("--proxy"))
            throw new UsageException("--proxy needs root: only tulle-proxy marks its own connections, which tells them apart where there is one user only");
        if (!Libc.IsRoot)
            return Rootless.Enter(Environment.GetCommandLineArgs()[1..]);
        var here = Path.GetDirectoryName(Environment.ProcessPath)!;
        var proxy = arguments.Text("--proxy", Path.Combine(here, "tulle-proxy"));
        var paths = new MeshPaths(Path.GetFullPath(proxy), Environment.ProcessPath!, Path.GetFullPath(arguments.Text("--control", Path.Combine(here, "tulle-control"))), arguments.Text("--state", "/run/tulle"),
            Path.GetFileName(proxy).StartsWith("envoy", StringComparison.Ordinal));
        if (!File.Exists(paths.ProxyProgram))
            throw new UsageException($"--proxy {paths.ProxyProgram} does not exist");
        void Say(string text) => Console.Error.WriteLine(text);
        var watch = Stopwatch.StartNew();
        await using var mesh = new LocalMesh(folder, paths, Say);
        try
        {
            await mesh.StartAsync(stop);
        }
        catch (StateFolderException error)
        {
            throw new UsageException(error.Message);
        }
        catch (OperationCanceledException)
        {
            Say("stopped before the mesh was up; nothing was left behind");
            return 1;
        }
        foreach (var pod in mesh.Pods)
            Say($"pod {pod.Namespace}/{pod.Name,-32} {pod.Address,-12} {pod.Phase,-8} {(pod.ReadyMs > 0 ? $"{pod.ReadyMs} ms" : pod.Message)}");
        if (mesh.Pods.Any(p => p.Phase == PodPhase.Failed))
        {
            Say("not every pod started; nothing was left behind");
            return 1;
        }
        Say($"the mesh is up after {watch.ElapsedMilliseconds} ms: {mesh.Pods.Count} pods; {(RootlessMode.IsOn ? $"from another terminal try  nsenter --preserve-credentials -U -n -t {Environment.ProcessId} curl http://127.0.0.1:8080/" : "try  curl http://127.0.0.1:8080/")}   (Ctrl-C ends it)");
        var load = new HttpLoad(new Uri(arguments.Text("--url", "http://127.0.0.1:8080/")), arguments.Number("--connections", 8, 1, 1000), arguments.Number("--rate", 400, 1, 100_000));
        return forMs > 0 ? await TimedAsync(mesh, load, forMs, json, stop) : await LiveAsync(mesh, load, stop);
    }

    private static async Task<int> TimedAsync(LocalMesh mesh, HttpLoad load, double forMs, bool json, CancellationToken stop)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stop);
        limit.CancelAfter((int)forMs);
        await load.RunAsync(limit.Token);
        var report = load.Report;
        // All that have answers are judged; the first is shown.
        var splits = mesh.Splits.Where(s => report.Shares(s.Service).Count > 0).ToList();
        var service = splits.Count > 0 ? splits[0].Service : "";
        var shares = splits.Count > 0 ? report.Shares(service) : [];
        // Fewer requests than the tolerance is meant for scatter more: it widens with the square root.
        var tolerance = SplitTolerance * Math.Max(1, Math.Sqrt(2000.0 / Math.Max(1, report.Requests)));
        var off = splits.SelectMany(s => s.Shares.Select(share => (s.Service, Version: share.Key, Asked: share.Value, Got: report.Shares(s.Service).GetValueOrDefault(share.Key))))
            .Where(s => Math.Abs(s.Got - s.Asked) > tolerance).ToList();
        if (json)
        {
            Console.WriteLine(NodeJson.Write(Node.Map(
                ("requests", report.Requests),
                ("failed", report.Failed),
                ("p50Ms", Math.Round(report.PercentileMs(50), 3) is var p50 ? Node.Of(p50) : null),
                ("p99Ms", Node.Of(Math.Round(report.PercentileMs(99), 3))),
                ("byVersion", Node.Map(shares.OrderBy(s => s.Key, StringComparer.Ordinal).Select(s => new KeyValuePair<string, Node>(s.Key, Node.Of(Math.Round(s.Value, 4)))).ToList())),
                ("mtlsShare", Node.Of(Math.Round(report.MutualTlsShare, 4))),
                ("podReadyMs", Node.List(mesh.Pods.Select(p => Node.Of(p.ReadyMs)).ToList())))));
        }
        else
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{report.Requests} requests, {report.Failed} failed, p50 {report.PercentileMs(50):F1} ms, p99 {report.PercentileMs(99):F1} ms, {service} {string.Join(" ", shares.OrderBy(s => s.Key, StringComparer.Ordinal).Select(s => $"{s.Key} {s.Value:P1}"))}, mTLS on {report.MutualTlsShare:P0} of the hops"));
        }
        if (report.Failed > 0)
            Console.Error.WriteLine($"{report.Failed} requests failed; the last: {report.LastError}");
        foreach (var (name, version, asked, got) in off)
            Console.Error.WriteLine($"the split of {name} is off: {version} got {got:P1}, {asked:P1} ± {tolerance:P1} was asked for");
        return report.Failed > 0 || report.Requests == 0 || off.Count > 0 ? 1 : 0;
    }

    private static async Task<int> LiveAsync(LocalMesh mesh, HttpLoad load, CancellationToken stop)
    {
        var running = load.RunAsync(stop);
        var table = new TrafficTable(mesh);
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(1000, stop);
            }
            catch (OperationCanceledException)
            {
                break;
            }
            await table.ShowAsync(load.Report);
        }
        await running;
        return load.Report.Failed > 0 ? 1 : 0;
    }
}
