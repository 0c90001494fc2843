using System.Diagnostics;
using System.Net.Sockets;
using Tulle.Base.Documents;
using Tulle.Native;

namespace Tulle.LocalPods;

/// <summary>Where the programs are and what is shared by all pods.</summary>
public sealed record MeshPaths(string ProxyProgram, string TulleProgram, string ControlProgram, string StateFolder, bool IsEnvoy)
{
    public string XdsSocket => Path.Combine(StateFolder, "xds.sock");

    /// <summary>Where the control plane signs certificates, for the node agent alone.</summary>
    public string CaSocket => Path.Combine(StateFolder, "ca.sock");

    public string PodsFolder => Path.Combine(StateFolder, "pods");
}

/// <summary>One pod from its first step to its last, in the order of native sidecars: init, proxy until ready, the user's init containers, the application.</summary>
internal sealed class PodRunner(LocalPod pod, int index, MeshPaths paths, PodNetwork network, Spawner spawner, CertificateAgent agent, Action<LocalPod> onChange) : IDisposable
{
    private readonly NamespaceDialer?[] _dialer = new NamespaceDialer?[1];
    private readonly CancellationTokenSource _stop = new();
    private bool _terminating;

    private Task _running = Task.CompletedTask;

    public LocalPod Pod { get; } = pod;

    /// <summary>What it waits for while it starts.</summary>
    public PodWaiting Waiting { get; } = new();

    public Task RunAsync() => _terminating ? Task.CompletedTask : _running = StartAsync();

    private void WaitFor(string what)
    {
        Waiting.Reason = "";
        Waiting.For(what, Environment.TickCount64);
    }

    private async Task StartAsync()
    {
        var watch = Stopwatch.StartNew();
        try
        {
            Pod.Phase = PodPhase.Starting;
            WaitFor("its network and its certificate");
            Directory.CreateDirectory(Pod.Folder);
            var prepared = Pod.Injected.HasProxy ? agent.PrepareAsync(Pod.Identity) : Task.CompletedTask;
            await network.AddAsync(Pod.NetworkNamespace, index, Pod.Address, Pod.Namespace);
            Pod.NetworkNamespaceId = Files.InodeOf(Path.Combine("/run/netns", Pod.NetworkNamespace));
            // The control plane must know the pod before its proxy asks: its own services make its inbound side.
            WriteManifest(ready: false);
            if (Pod.Injected.InitFlags.Count > 0)
                await PodNetwork.ApplyRulesAsync(Pod.NetworkNamespace, Interception.Rules(InterceptionOptions.Parse(Pod.Injected.InitFlags) with { ProxyMark = RootlessMode.IsOn ? ProxyMark : 0 }));
            _dialer[0] = new NamespaceDialer(Pod.NetworkNamespace);
            await prepared.WaitAsync(_stop.Token);
            if (Pod.Injected.HasProxy)
            {
                WaitFor($"its proxy, {s_proxyProbe}; the log is {Path.Combine(Pod.Folder, "proxy.log")}");
                agent.Open(SdsSocket, Pod.Identity, Pod.NetworkNamespaceId, ProxyUser);
                await StartProxyAsync();
                await WaitForProxyAsync();
            }
            await RunInitContainersAsync();
            foreach (var container in Containers)
                await StartContainerAsync(container);
            await WaitUntilReadyAsync();
            Pod.ReadyMs = watch.ElapsedMilliseconds;
            WaitFor("");
            SetPhase(PodPhase.Ready);
            _ = Task.Run(WatchAsync);
        }
        catch (Exception error) when (error is CommandException or IOException or SocketException or OperationCanceledException or FormatException or HttpRequestException)
        {
            if (_terminating)
                return;
            Pod.Message = error.Message;
            SetPhase(PodPhase.Failed);
        }
    }

    /// <summary>Beside the pods' folders, whose names are as long as those of their pods: a socket's path has 107 bytes.</summary>
    private string SdsSocket => Path.Combine(paths.StateFolder, $"sds-{index}.sock");

    /// <summary>Without root there is one user only; the network namespace tells pods apart.</summary>
    private static int ProxyUser => RootlessMode.IsOn ? 0 : 1337;

    private IEnumerable<Node> Containers => (Pod.Injected.Spec["containers"]?.Items ?? []).Where(c => c["command"] is not null);

    private void SetPhase(PodPhase phase)
    {
        if (Pod.Phase == phase)
            return;
        Pod.Phase = phase;
        if (!_terminating)
            WriteManifest(phase == PodPhase.Ready);
        onChange(Pod);
    }

    private string ManifestFile => Path.Combine(paths.PodsFolder, $"{Pod.Namespace}_{Pod.Name}.yaml");

    private void WriteManifest(bool ready)
    {
        var temporary = Path.Combine(paths.PodsFolder, $".{Pod.Namespace}_{Pod.Name}.tmp");
        File.WriteAllText(temporary, NodeJson.Write(Pod.Manifest(ready)));
        File.Move(temporary, ManifestFile, overwrite: true);
    }

    private async Task StartProxyAsync()
    {
        var bootstrap = Path.Combine(Pod.Folder, "bootstrap.json");
        await File.WriteAllTextAsync(bootstrap, NodeJson.Write(BootstrapWriter.Make(Pod, paths.XdsSocket, SdsSocket), indented: true));
        var command = new List<string> { paths.ProxyProgram, "-c", bootstrap, "--concurrency", "1", "-l", "warning", "--file-flush-interval-msec", "200", "--drain-time-s", "5" };
        if (RootlessMode.IsOn)
            command.AddRange(["--upstream-mark", ProxyMark.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
        if (paths.IsEnvoy)
            command.AddRange(["--disable-hot-restart", "--log-path", Path.Combine(Pod.Folder, "envoy.log")]);
        var log = Path.Combine(Pod.Folder, "proxy.log");
        await File.WriteAllTextAsync(log, "");
        _ = Libc.ChangeOwner(log, 1337, 1337);
        _ = Libc.ChangeOwner(Pod.Folder, 1337, 1337);
        Pod.Proxy = await spawner.StartAsync(log, command, Pod.NetworkNamespace, user: ProxyUser, folder: Pod.Folder);
    }

    /// <summary>Mark of the proxy's own connections where it cannot have a user of its own.</summary>
    private const int ProxyMark = 1337;

    private static readonly PodProbe s_proxyProbe = new(Node.Map(("httpGet", Node.Map(("path", "/healthz/ready"), ("port", "15021")))), new Dictionary<string, int>());

    /// <summary>Startup probe of the native sidecar: once a hundredth of a second, for a minute at the most.</summary>
    private async Task WaitForProxyAsync()
    {
        var deadline = Environment.TickCount64 + 60_000;
        while (Environment.TickCount64 < deadline)
        {
            if (Pod.Proxy!.HasExited)
                throw new CommandException($"the proxy of {Pod.Name} ended with {Pod.Proxy.ExitCode}: {Tail(Path.Combine(Pod.Folder, "proxy.log"))}");
            if (await s_proxyProbe.CheckAsync(_dialer[0]!, Pod.NetworkNamespace))
                return;
            Waiting.Reason = s_proxyProbe.LastFailure;
            await Task.Delay(8, _stop.Token);
        }
        throw new CommandException($"the proxy of {Pod.Name} was not ready within 60 s; its log is {Path.Combine(Pod.Folder, "proxy.log")}");
    }

    private static string Tail(string file) => File.Exists(file) ? string.Join(" | ", File.ReadAllLines(file).TakeLast(3)) : "";

    private async Task RunInitContainersAsync()
    {
        foreach (var container in (Pod.Injected.Spec["initContainers"]?.Items ?? []).Where(c => c["name"]?.AsText is not ("istio-init" or "istio-proxy") && c["command"] is not null))
        {
            WaitFor($"init container {container["name"]?.AsText} to end; the log is {LogOf(container)}");
            var process = await StartProcessAsync(container);
            await process.WaitForExitAsync(_stop.Token);
            if (process.ExitCode != 0)
                throw new CommandException($"init container {container["name"]?.AsText} of {Pod.Name} ended with {process.ExitCode}: {Tail(LogOf(container))}");
        }
    }

    private string LogOf(Node container) => Path.Combine(Pod.Folder, $"{container["name"]?.AsText}.log");

    private Task<Process> StartProcessAsync(Node container)
    {
        var command = (container["command"]?.Items ?? []).Concat(container["args"]?.Items ?? []).Select(i => i.AsText).ToList();
        if (command[0] == "tulle")
            command[0] = paths.TulleProgram;
        var environment = new Dictionary<string, string>(StringComparer.Ordinal) { ["POD_NAME"] = Pod.Name, ["POD_NAMESPACE"] = Pod.Namespace, ["POD_IP"] = Pod.Address, ["HOSTNAME"] = Pod.Name };
        foreach (var variable in container["env"]?.Items ?? [])
        {
            if (variable["name"]?.AsText is { } name && variable["value"] is { } value)
                environment[name] = value.AsText;
        }
        return spawner.StartAsync(LogOf(container), command, Pod.NetworkNamespace, environment: environment, folder: container["workingDir"]?.AsText);
    }

    private async Task StartContainerAsync(Node container)
    {
        var process = await StartProcessAsync(container);
        lock (Pod.Containers)
            Pod.Containers.Add(process);
        if (container.At("lifecycle", "postStart", "exec", "command") is { } hook)
            await Shell.RunAsync("ip", ["netns", "exec", Pod.NetworkNamespace, .. hook.Items.Select(i => i.AsText)]).WaitAsync(_stop.Token);
        process.EnableRaisingEvents = true;
        _ = WatchContainerAsync(container, process);
    }

    /// <summary>A container that ends by itself is started again, later each time, as a kubelet would.</summary>
    private async Task WatchContainerAsync(Node container, Process process)
    {
        await process.WaitForExitAsync();
        if (_terminating)
            return;
        lock (Pod.Containers)
            Pod.Containers.Remove(process);
        Pod.Message = $"container {container["name"]?.AsText} ended with {process.ExitCode}; it is started again ({Tail(LogOf(container))})";
        SetPhase(PodPhase.NotReady);
        await Task.Delay(Math.Min(10_000, 200 << Math.Min(Pod.Restarts++, 6)));
        try
        {
            if (!_terminating)
                await StartContainerAsync(container);
        }
        catch (Exception error) when (error is CommandException or IOException or OperationCanceledException)
        {
            Pod.Message = error.Message;
            SetPhase(PodPhase.Failed);
        }
    }

    private Dictionary<string, int> NamedPorts => (Pod.Injected.Spec["containers"]?.Items ?? []).SelectMany(c => c["ports"]?.Items ?? [])
        .Where(p => p["name"] is not null).GroupBy(p => p["name"]!.AsText, StringComparer.Ordinal).ToDictionary(g => g.Key, g => (int)(g.First()["containerPort"]?.AsInteger ?? 0), StringComparer.Ordinal);

    private List<PodProbe> Probes(string kind) => Containers.Select(c => c[kind]).OfType<Node>().Select(p => new PodProbe(p, NamedPorts)).ToList();

    private async Task WaitUntilReadyAsync()
    {
        foreach (var (kind, probe) in Probes("startupProbe").Select(p => ("startupProbe", p)).Concat(Probes("readinessProbe").Select(p => ("readinessProbe", p))))
        {
            WaitFor($"its {kind}, {probe}");
            if (probe.DelayMs > 0)
                await Task.Delay(probe.DelayMs, _stop.Token);
            // At the start a probe is asked more often than its period: the answer changes within milliseconds.
            for (var wait = 5; !await probe.CheckAsync(_dialer[0]!, Pod.NetworkNamespace); wait = Math.Min(wait * 2, Math.Min(20, probe.PeriodMs)))
            {
                Waiting.Reason = probe.LastFailure;
                await Task.Delay(wait, _stop.Token);
            }
        }
    }

    /// <summary>Readiness, liveness and the proxy itself, for as long as the pod lives.</summary>
    private async Task WatchAsync()
    {
        var readiness = Probes("readinessProbe");
        var liveness = Probes("livenessProbe");
        var period = readiness.Concat(liveness).Select(p => p.PeriodMs).DefaultIfEmpty(1000).Min();
        var failures = new Dictionary<PodProbe, int>();
        while (!_terminating)
        {
            try
            {
                await Task.Delay(period, _stop.Token);
                await WatchOnceAsync(readiness, liveness, failures);
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception error)
            {
                // A proxy that does not come up at once is tried again after the next period; without a watcher nobody would.
                Pod.Message = error.Message;
                SetPhase(PodPhase.NotReady);
            }
        }
    }

    private async Task WatchOnceAsync(List<PodProbe> readiness, List<PodProbe> liveness, Dictionary<PodProbe, int> failures)
    {
        if (Pod.Proxy is { HasExited: true } dead && !_terminating)
        {
            Pod.Message = $"the proxy ended with {dead.ExitCode}; it is started again";
            SetPhase(PodPhase.NotReady);
            await StartProxyAsync();
            await WaitForProxyAsync();
        }
        var ready = true;
        foreach (var probe in readiness.Concat(liveness))
        {
            failures[probe] = await probe.CheckAsync(_dialer[0]!, Pod.NetworkNamespace) ? 0 : failures.GetValueOrDefault(probe) + 1;
            if (failures[probe] < probe.FailureThreshold && (failures[probe] == 0 || Pod.Phase == PodPhase.Ready))
                continue;
            ready = false;
            if (liveness.Contains(probe) && failures[probe] >= probe.FailureThreshold)
            {
                KillContainers(9);
                // Counted anew: what is started in its place gets its whole threshold.
                failures[probe] = 0;
            }
        }
        if (!_terminating)
            SetPhase(ready && Pod.Containers.Count >= Containers.Count() ? PodPhase.Ready : PodPhase.NotReady);
    }

    private void KillContainers(int signal)
    {
        lock (Pod.Containers)
        {
            foreach (var process in Pod.Containers.Where(p => !p.HasExited))
                _ = Libc.Kill(process.Id, signal);
        }
    }

    /// <summary>Endpoints first, then preStop, the application, and last the proxy.</summary>
    public async Task TerminateAsync(bool quick)
    {
        _terminating = true;
        // One that is still starting stops starting: nothing may be started behind the kills below.
        await _stop.CancelAsync();
        await _running;
        Pod.Phase = PodPhase.Terminating;
        File.Delete(ManifestFile);
        onChange(Pod);
        var grace = quick ? 1500 : (int)(Pod.Injected.Spec["terminationGracePeriodSeconds"]?.AsInteger ?? 30) * 1000;
        if (!quick)
        {
            foreach (var hook in Containers.Select(c => c.At("lifecycle", "preStop", "exec", "command")).OfType<Node>())
                await Shell.RunAsync("ip", ["netns", "exec", Pod.NetworkNamespace, .. hook.Items.Select(i => i.AsText)], mayFail: true);
        }
        KillContainers(15);
        await WaitForAsync(() => Pod.Containers.TrueForAll(p => p.HasExited), grace);
        // Who ignores SIGTERM for its whole grace period is ended as a kubelet would end it.
        KillContainers(9);
        if (Pod.Proxy is { HasExited: false } proxy)
        {
            _ = Libc.Kill(proxy.Id, 15);
            await WaitForAsync(() => proxy.HasExited, 2000);
            if (!proxy.HasExited)
                _ = Libc.Kill(proxy.Id, 9);
        }
        _dialer[0]?.Dispose();
        await PodNetwork.RemoveAsync(Pod.NetworkNamespace);
        agent.Close(SdsSocket);
    }

    private static async Task WaitForAsync(Func<bool> done, int limitMs)
    {
        var deadline = Environment.TickCount64 + limitMs;
        while (!done() && Environment.TickCount64 < deadline)
            await Task.Delay(10);
    }

    public void Dispose()
    {
        _dialer[0]?.Dispose();
        _stop.Dispose();
    }
}
