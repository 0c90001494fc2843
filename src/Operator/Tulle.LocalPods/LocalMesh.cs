using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Tulle.Base.Documents;
using Tulle.Native;
using Tulle.Resources;

namespace Tulle.LocalPods;

/// <summary>A mesh on this machine: control plane, certificate agent, network, pods; kept in step with a folder of YAML.</summary>
public sealed class LocalMesh : IAsyncDisposable
{
    private readonly string _folder;
    private readonly MeshPaths _paths;
    private readonly Action<string> _say;
    private readonly PodNetwork _network = new();
    private readonly Spawner _spawner = new();
    private readonly CertificateAgent _agent;
    private readonly Dictionary<string, PodRunner> _pods = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim _reconciling = new(1, 1);

    /// <summary>A starting pod keeps a processor busy: more at once than there are processors make every one slower and none sooner.</summary>
    private readonly SemaphoreSlim _turns = new(Math.Max(2, Environment.ProcessorCount));
    private readonly CancellationTokenSource _stop = new();
    /// <summary>By the address they listen on, with what they lead to.</summary>
    private readonly Dictionary<string, (string What, PortForward Forward)> _forwards = new(StringComparer.Ordinal);
    private DnsServer? _dns;
    private Process? _control;
    private int _nextIndex;
    private Task? _loop;

    public LocalMesh(string folder, MeshPaths paths, Action<string> say)
    {
        _folder = Path.GetFullPath(folder);
        _paths = paths;
        _say = say;
        _agent = new CertificateAgent(paths.SdsSocket, paths.XdsSocket);
    }

    public IReadOnlyList<LocalPod> Pods => [.. _pods.Values.Select(p => p.Pod).OrderBy(p => p.Name, StringComparer.Ordinal)];

    public string StateFolder => _paths.StateFolder;

    public int ControlPid => _control?.Id ?? 0;

    public async Task StartAsync(CancellationToken stop)
    {
        await PodNetwork.CleanAsync();
        if (Directory.Exists(_paths.StateFolder))
            Directory.Delete(_paths.StateFolder, recursive: true);
        Directory.CreateDirectory(_paths.PodsFolder);
        File.SetUnixFileMode(_paths.StateFolder, (UnixFileMode)0b111_001_001);
        await _network.StartAsync();
        _dns = new DnsServer(IPAddress.Parse(PodNetwork.Gateway));
        _dns.Start();
        await StartControlAsync();
        await _agent.StartAsync();
        // Somebody who ends this while pods start wants it to end now: disposing ends the starting pods too.
        await ReconcileAsync().WaitAsync(stop);
        _isUp = true;
        _loop = Task.Run(WatchAsync, CancellationToken.None);
    }

    private async Task StartControlAsync()
    {
        File.Delete(_paths.XdsSocket);
        _control = await _spawner.StartAsync(Path.Combine(_paths.StateFolder, "control.log"),
            [_paths.ControlProgram, "--files", _folder, "--files", _paths.PodsFolder, "--xds", $"unix:{_paths.XdsSocket}", "--ca", Path.Combine(_paths.StateFolder, "ca"), "--access-log", "/dev/stdout", "--access-log-identities"],
            folder: Environment.CurrentDirectory);
        var deadline = Environment.TickCount64 + 20_000;
        while (!await AcceptsAsync(_paths.XdsSocket))
        {
            if (_control.HasExited)
                throw new CommandException($"the control plane ended with {_control.ExitCode}: {string.Join(" | ", (await File.ReadAllLinesAsync(Path.Combine(_paths.StateFolder, "control.log"))).TakeLast(3))}");
            if (Environment.TickCount64 > deadline)
                throw new CommandException($"the control plane did not start within 20 s; its log is {Path.Combine(_paths.StateFolder, "control.log")}");
            await Task.Delay(10);
        }
        _ = Libc.ChangeOwner(_paths.XdsSocket, 1337, 1337);
    }

    private static async Task<bool> AcceptsAsync(string path)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>Follows the folder, and starts the control plane again when it ends: traffic does not need it, changes do.</summary>
    private async Task WatchAsync()
    {
        using var changed = new SemaphoreSlim(0, 1);
        using var watcher = new FileSystemWatcher(_folder) { IncludeSubdirectories = true };
        void Signal(object sender, FileSystemEventArgs e)
        {
            if (changed.CurrentCount == 0)
                changed.Release();
        }
        watcher.Changed += Signal;
        watcher.Created += Signal;
        watcher.Deleted += Signal;
        watcher.Renamed += (s, e) => Signal(s, e);
        watcher.EnableRaisingEvents = true;
        long said = 0;
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var happened = await changed.WaitAsync(300, _stop.Token);
                if (_control is { HasExited: true })
                {
                    _say("the control plane ended; starting it again (traffic goes on meanwhile)");
                    await StartControlAsync();
                }
                if (happened)
                    await ReconcileAsync();
                await RefreshNamesAsync();
                said = await RelayFindingsAsync(said);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (Exception error) when (error is CommandException or IOException or HttpRequestException or SocketException)
            {
                _say($"{error.Message}; trying again");
            }
        }
    }

    /// <summary>What the control plane says of the folder reaches the person who edits it.</summary>
    private async Task<long> RelayFindingsAsync(long from)
    {
        var log = Path.Combine(_paths.StateFolder, "control.log");
        await using var stream = new FileStream(log, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        if (stream.Length <= from)
            return from;
        stream.Position = from;
        using var reader = new StreamReader(stream);
        foreach (var line in (await reader.ReadToEndAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.Contains("error: ", StringComparison.Ordinal) || line.Contains("warning: ", StringComparison.Ordinal) || line.StartsWith("xds:", StringComparison.Ordinal))
                _say(line);
        }
        return stream.Length;
    }

    private ResourceSet ReadFolder()
    {
        var set = new ResourceSet();
        var reader = new ResourceReader(set, new Diagnostics());
        foreach (var file in Directory.EnumerateFiles(_folder, "*", SearchOption.AllDirectories).Where(f => f.EndsWith(".yaml", StringComparison.Ordinal) || f.EndsWith(".yml", StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            var findings = new Diagnostics();
            var trial = new ResourceSet();
            var text = File.ReadAllText(file);
            new ResourceReader(trial, findings).Read(text, file);
            // A broken file changes nothing: the pods of its last good text go on.
            if (findings.HasErrors)
            {
                if (_lastGood.TryGetValue(file, out var good))
                    reader.Read(good, file);
                continue;
            }
            _lastGood[file] = text;
            reader.Read(text, file);
        }
        return set;
    }

    private volatile bool _isUp;

    private readonly Dictionary<string, string> _lastGood = new(StringComparer.Ordinal);

    /// <summary>Makes the pods that run be the pods that the folder asks for.</summary>
    public async Task ReconcileAsync()
    {
        await _reconciling.WaitAsync();
        try
        {
            var set = ReadFolder();
            var wanted = new Dictionary<string, (WorkloadResource Workload, string Hash)>(StringComparer.Ordinal);
            var enabled = set.Namespaces.Where(n => n.Meta.Label("istio-injection") == "enabled").Select(n => n.Meta.Name).ToHashSet(StringComparer.Ordinal);
            foreach (var workload in set.Workloads.Where(w => w.Template.Annotations.GetValueOrDefault("tulle.dev/run") == "process"))
            {
                var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(
                    NodeJson.Write(workload.Template.Spec) + string.Join(';', workload.Template.Labels) + string.Join(';', workload.Template.Annotations) + enabled.Contains(workload.Meta.Namespace))).AsSpan(0, 4));
                for (var i = 0; i < workload.Replicas; i++)
                    wanted[$"{workload.Meta.Namespace}/{workload.Meta.Name}-{hash}-{i}"] = (workload, hash);
            }
            var starting = new List<Task>();
            foreach (var (key, (workload, hash)) in wanted.Where(w => !_pods.ContainsKey(w.Key)))
                starting.Add(StartPodAsync(key, workload, hash, enabled.Contains(workload.Meta.Namespace)));
            await Task.WhenAll(starting);
            var ending = _pods.Where(p => !wanted.ContainsKey(p.Key)).ToList();
            foreach (var (key, _) in ending)
                _pods.Remove(key);
            foreach (var (key, runner) in ending)
                _ = EndAsync(key, runner);
            Splits = VersionSplit.Of(set);
            await RefreshNamesAsync();
            RefreshForwards(set);
            WriteIndex();
        }
        finally
        {
            _reconciling.Release();
        }
    }

    /// <summary>Shares of versions that the folder's rules ask for.</summary>
    public IReadOnlyList<VersionSplit> Splits { get; private set; } = [];

    /// <summary>Ends a replaced pod beside everything else: its grace period must not hold up the next edit.</summary>
    private async Task EndAsync(string key, PodRunner runner)
    {
        try
        {
            await runner.TerminateAsync(quick: false);
        }
        catch (Exception error) when (error is CommandException or IOException or InvalidOperationException)
        {
            _say($"pod {key} did not end cleanly: {error.Message}");
        }
    }

    private Task StartPodAsync(string key, WorkloadResource workload, string hash, bool enabled)
    {
        var index = _nextIndex++;
        var name = key[(key.IndexOf('/') + 1)..];
        var pod = new LocalPod
        {
            Name = name,
            Namespace = workload.Meta.Namespace,
            OwnerName = workload.Meta.Name,
            ServiceAccount = workload.Template.ServiceAccount,
            Address = _network.NextAddress(),
            NetworkNamespace = string.Create(CultureInfo.InvariantCulture, $"{PodNetwork.Prefix}{index}"),
            Injected = Injector.Inject(workload.Template, enabled),
            Folder = Path.Combine(_paths.StateFolder, "run", $"{workload.Meta.Namespace}_{name}"),
            TemplateHash = hash,
        };
        var runner = new PodRunner(pod, index, _paths, _network, _spawner, _agent, OnChange);
        _pods[key] = runner;
        return RunInTurnAsync(runner);
    }

    /// <summary>Milliseconds until a pod that is not ready passes its turn on: it may be waiting for one that is not started.</summary>
    private const int TurnMs = 1000;

    private async Task RunInTurnAsync(PodRunner runner)
    {
        await _turns.WaitAsync();
        var running = runner.RunAsync();
        await Task.WhenAny(running, Task.Delay(TurnMs));
        _turns.Release();
        await running;
    }

    private void OnChange(LocalPod pod)
    {
        if (pod.Phase is PodPhase.Failed or PodPhase.NotReady && pod.Message.Length > 0)
            _say($"pod {pod.Namespace}/{pod.Name}: {pod.Message}");
        else if (_isUp && pod.Phase == PodPhase.Ready)
            _say($"pod {pod.Namespace}/{pod.Name} is ready, {pod.ReadyMs} ms after its start");
    }

    /// <summary>Names and addresses of services, as the control plane gave them.</summary>
    private async Task RefreshNamesAsync()
    {
        using var client = ControlClient();
        var names = NodeJson.Parse(await client.GetByteArrayAsync("http://tulle-control/debug/names"));
        _dns!.Replace(names.Fields.Select(n => (n.Key, n.Value.AsText)));
    }

    /// <summary>HTTP/2 over the control plane's socket.</summary>
    public HttpClient ControlClient() => new(new SocketsHttpHandler
    {
        ConnectCallback = async (_, stop) =>
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(_paths.XdsSocket), stop);
            return new NetworkStream(socket, ownsSocket: true);
        },
    })
    { DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact, Timeout = TimeSpan.FromSeconds(5) };

    /// <summary>Services that this machine shall reach: annotation tulle.dev/publish "ADDRESS:PORT:SERVICEPORT".</summary>
    private void RefreshForwards(ResourceSet set)
    {
        var wanted = new Dictionary<string, (string What, ServiceResource Service, int Target)>(StringComparer.Ordinal);
        foreach (var service in set.Services)
        {
            if (service.Meta.Annotation("tulle.dev/publish") is not { Length: > 0 } text || text.Split(':') is not { Length: 3 } parts)
                continue;
            var listen = $"{parts[0]}:{parts[1]}";
            if (service.Ports.FirstOrDefault(p => p.Port.ToString(CultureInfo.InvariantCulture) == parts[2]) is not { } port)
                continue;
            var target = int.TryParse(port.TargetPort, out var number) ? number : port.Port;
            var what = $"{service.Meta.Namespace} {target} {string.Join(',', service.Selector)}";
            if (!wanted.TryAdd(listen, (what, service, target)) && _forwards.GetValueOrDefault(listen).What != what)
                _say($"service {service.Meta.Namespace}/{service.Meta.Name}: {listen} is published by another service already; change one tulle.dev/publish");
        }
        foreach (var (listen, (what, forward)) in _forwards.ToList())
        {
            if (wanted.TryGetValue(listen, out var still) && still.What == what)
                continue;
            forward.Dispose();
            _forwards.Remove(listen);
        }
        foreach (var (listen, (what, service, target)) in wanted.Where(w => !_forwards.ContainsKey(w.Key)))
        {
            var forward = new PortForward(listen, () => _pods.Values.Select(p => p.Pod)
                .Where(p => p.Phase == PodPhase.Ready && p.Namespace == service.Meta.Namespace && service.Selector.All(s => p.Injected.Labels.TryGetValue(s.Key, out var v) && v == s.Value))
                .Select(p => new IPEndPoint(IPAddress.Parse(p.Address), target)).FirstOrDefault());
            forward.Start();
            _forwards[listen] = (what, forward);
        }
    }

    /// <summary>For the other commands (proxy-config, proxy-status): which pods there are.</summary>
    private void WriteIndex() => File.WriteAllText(Path.Combine(_paths.StateFolder, "mesh.json"), NodeJson.Write(Node.Map(("pid", Environment.ProcessId), ("pods", Node.List(Pods.Select(p => Node.Map(
        ("name", p.Name), ("namespace", p.Namespace), ("owner", p.OwnerName), ("address", p.Address), ("netns", p.NetworkNamespace), ("hasProxy", p.Injected.HasProxy))).ToList()))), indented: true));

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        if (_loop is not null)
            await _loop;
        foreach (var (_, forward) in _forwards.Values)
            forward.Dispose();
        await Task.WhenAll(_pods.Values.Select(p => p.TerminateAsync(quick: true)));
        foreach (var pod in _pods.Values)
            pod.Dispose();
        if (_control is { HasExited: false } control)
        {
            _ = Libc.Kill(control.Id, 15);
            using var limit = new CancellationTokenSource(2000);
            try
            {
                await control.WaitForExitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                _ = Libc.Kill(control.Id, 9);
            }
        }
        await _agent.DisposeAsync();
        _dns?.Dispose();
        await PodNetwork.CleanAsync();
        if (Directory.Exists(_paths.StateFolder))
            Directory.Delete(_paths.StateFolder, recursive: true);
        _stop.Dispose();
        _reconciling.Dispose();
        _turns.Dispose();
    }
}
