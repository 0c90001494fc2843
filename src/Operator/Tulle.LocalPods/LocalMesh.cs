using System.Collections.Concurrent;
using System.Net;
using Tulle.Base.Documents;

namespace Tulle.LocalPods;

/// <summary>A mesh on this machine: control plane, certificate agent, network, pods; kept in step with a folder of YAML.</summary>
public sealed class LocalMesh : IAsyncDisposable
{
    /// <summary>Milliseconds between looks when nothing is told to have happened.</summary>
    private const int LookMs = 300;

    /// <summary>Milliseconds from the last pod's readiness until every proxy has its endpoints: the control plane lets a folder settle before it reads it.</summary>
    private const int EndpointsMs = 250;

    /// <summary>Milliseconds without a change before an edit is taken: one save is several events.</summary>
    private const int QuietMs = 40;

    private readonly MeshPaths _paths;
    private readonly Action<string> _say;
    private readonly string _folder;
    private readonly MeshFolder _source;
    private readonly Spawner _spawner = new();
    private readonly CertificateAgent _agent;
    private readonly ControlProcess _control;
    private readonly PublishedPorts _published;

    /// <summary>By key. Changed by the reconciler, read by everybody.</summary>
    private readonly ConcurrentDictionary<string, PodRunner> _pods = new(StringComparer.Ordinal);

    /// <summary>A starting pod keeps a processor busy: more at once than there are processors make every one slower and none sooner.</summary>
    private readonly SemaphoreSlim _turns = new(Math.Max(2, Environment.ProcessorCount));
    private readonly CancellationTokenSource _stop = new();
    private readonly WakeUp _wake = new();
    private Dictionary<string, PlannedPod> _plan = new(StringComparer.Ordinal);
    private StateFolder? _state;
    private MeshSlot? _slot;
    private PodNetwork? _network;
    private DnsServer? _dns;
    private int _nextIndex;
    private volatile bool _isUp;
    private bool _editPending;
    private string _lastTrouble = "";
    private readonly HashSet<string> _badNames = new(StringComparer.Ordinal);
    private Task? _loop;

    public LocalMesh(string folder, MeshPaths paths, Action<string> say)
    {
        _folder = Path.GetFullPath(folder);
        _paths = paths;
        _say = say;
        _source = new MeshFolder(_folder);
        _agent = new CertificateAgent(paths.CaSocket);
        _control = new ControlProcess(_folder, paths, _spawner, say);
        _published = new PublishedPorts(() => Pods, say);
    }

    public IReadOnlyList<LocalPod> Pods => [.. _pods.Values.Select(p => p.Pod).OrderBy(p => p.Name, StringComparer.Ordinal)];

    /// <summary>Shares of versions that the folder's rules ask for.</summary>
    public IReadOnlyList<VersionSplit> Splits { get; private set; } = [];

    public string StateFolder => _paths.StateFolder;

    public int ControlPid => _control.Id;

    /// <summary>Starts everything and waits until every pod is ready or has failed; edits are taken meanwhile.</summary>
    /// <exception cref="StateFolderException">The state folder is another's.</exception>
    /// <exception cref="CommandException">The network, the control plane or a published port cannot be had.</exception>
    public async Task StartAsync(CancellationToken stop)
    {
        _state = LocalPods.StateFolder.Claim(_paths.StateFolder);
        _slot = await MeshSlot.ClaimAsync();
        Directory.CreateDirectory(_paths.PodsFolder);
        File.SetUnixFileMode(_paths.StateFolder, (UnixFileMode)0b111_001_001);
        _network = new PodNetwork(_slot);
        await _network.StartAsync();
        _dns = new DnsServer(IPAddress.Parse(_network.Gateway));
        _dns.Start();
        await _control.StartAsync();
        await _agent.StartAsync();
        Reconcile();
        _loop = Task.Run(WatchAsync, CancellationToken.None);
        // Somebody who ends this while pods start wants it to end now: disposing ends the starting pods too.
        while (!_plan.Keys.All(key => _pods.TryGetValue(key, out var runner) && runner.Pod.Phase is PodPhase.Ready or PodPhase.Failed))
            await Task.Delay(2, stop);
        await Task.Delay(EndpointsMs, stop);
        await RefreshNamesAsync();
        _isUp = true;
    }

    /// <summary>Follows the folder, and starts the control plane again when it ends: traffic does not need it, changes do. Nothing but our own end ends it.</summary>
    private async Task WatchAsync()
    {
        using var watcher = new FileSystemWatcher(_folder) { IncludeSubdirectories = true };
        void Edited(object sender, EventArgs e)
        {
            _editPending = true;
            _wake.Raise();
        }
        watcher.Changed += Edited;
        watcher.Created += Edited;
        watcher.Deleted += Edited;
        watcher.Renamed += Edited;
        // Events were lost: look.
        watcher.Error += Edited;
        watcher.EnableRaisingEvents = true;
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await _wake.WaitAsync(LookMs, _stop.Token);
                await LookAsync();
                _lastTrouble = "";
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception error)
            {
                // Whatever it was, the next edit, the next death of the control plane and our end must find this loop at work.
                var trouble = error is OperationCanceledException ? "the control plane does not answer" : error.Message;
                if (trouble != _lastTrouble)
                    _say($"{trouble}; trying again");
                _lastTrouble = trouble;
            }
        }
    }

    private async Task LookAsync()
    {
        if (_control.HasExited)
        {
            _say("the control plane ended; starting it again (traffic goes on meanwhile)");
            await _control.StartAsync();
        }
        if (_editPending)
        {
            while (await _wake.WaitAsync(QuietMs, _stop.Token))
            {
            }
            // Cleared first: an edit meanwhile is another one. Set again by what fails, so that it is tried again.
            _editPending = false;
            try
            {
                Reconcile();
            }
            catch
            {
                _editPending = true;
                throw;
            }
        }
        Settle();
        TellWaiting();
        await _control.RelayFindingsAsync();
        await RefreshNamesAsync();
    }

    /// <summary>Makes the pods that run become the pods that the folder asks for: starts what is missing; <see cref="Settle"/> ends what is too much.</summary>
    private void Reconcile()
    {
        var (set, lookAgain) = _source.Read();
        _editPending |= lookAgain;
        _plan = PlannedPod.Of(set);
        Splits = VersionSplit.Of(set);
        foreach (var planned in _plan.Values.Where(p => !_pods.ContainsKey(p.Key)))
            StartPod(planned);
        _published.Follow(set.Services);
        Settle();
    }

    /// <summary>Ends pods that nobody asks for any more; one that serves goes on until those that replace it serve.</summary>
    private void Settle()
    {
        var changed = false;
        foreach (var (key, runner) in _pods)
        {
            if (_plan.ContainsKey(key))
                continue;
            var owner = $"{runner.Pod.Namespace}/{runner.Pod.OwnerName}";
            if (runner.Pod.Phase == PodPhase.Ready && _plan.Values.Any(p => p.Owner == owner && _pods.TryGetValue(p.Key, out var next) && next.Pod.Phase != PodPhase.Ready))
                continue;
            if (_pods.TryRemove(key, out _))
                _ = EndAsync(key, runner);
            changed = true;
        }
        if (changed || !File.Exists(IndexFile))
            WriteIndex();
    }

    /// <summary>Ends a replaced pod beside everything else: its grace period must not hold up the next edit.</summary>
    private async Task EndAsync(string key, PodRunner runner)
    {
        try
        {
            await runner.TerminateAsync(quick: false);
        }
        catch (Exception error) when (!_stop.IsCancellationRequested)
        {
            _say($"pod {key} did not end cleanly: {error.Message}");
        }
        finally
        {
            runner.Dispose();
        }
    }

    private void StartPod(PlannedPod planned)
    {
        var index = _nextIndex++;
        var name = planned.Key[(planned.Key.IndexOf('/') + 1)..];
        var workload = planned.Workload;
        var pod = new LocalPod
        {
            Name = name,
            Namespace = workload.Meta.Namespace,
            OwnerName = workload.Meta.Name,
            ServiceAccount = workload.Template.ServiceAccount,
            Address = _network!.NextAddress(),
            NetworkNamespace = _network.NamespaceName(index),
            Injected = Injector.Inject(workload.Template, planned.IsInjected),
            Folder = Path.Combine(_paths.StateFolder, "run", $"{workload.Meta.Namespace}_{name}"),
            TemplateHash = planned.Hash,
        };
        var runner = new PodRunner(pod, index, _paths, _network, _spawner, _agent, OnChange);
        _pods[planned.Key] = runner;
        WriteIndex();
        _ = RunInTurnAsync(runner);
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
        _wake.Raise();
    }

    private void TellWaiting()
    {
        foreach (var runner in _pods.Values)
        {
            if (runner.Waiting.TakeDue(runner.Pod.Phase, Environment.TickCount64) is { } text)
                _say($"pod {runner.Pod.Namespace}/{runner.Pod.Name} {text}");
        }
    }

    /// <summary>Names and addresses of services, as the control plane gave them.</summary>
    private async Task RefreshNamesAsync()
    {
        using var client = _control.Client();
        var names = NodeJson.Parse(await client.GetByteArrayAsync("http://tulle-control/debug/names"));
        foreach (var (name, address) in _dns!.Replace(names.Fields.Select(n => (n.Key, n.Value.AsText))))
        {
            if (_badNames.Add(name))
                _say($"{name} has no name in pods: \"{address}\" is not an address");
        }
    }

    /// <summary>HTTP/2 over the control plane's socket.</summary>
    public HttpClient ControlClient() => _control.Client();

    private string IndexFile => Path.Combine(_paths.StateFolder, "mesh.json");

    /// <summary>For the other commands (proxy-config, proxy-status): which pods there are.</summary>
    private void WriteIndex()
    {
        var text = NodeJson.Write(Node.Map(("pid", Environment.ProcessId), ("pods", Node.List(Pods.Select(p => Node.Map(
            ("name", p.Name), ("namespace", p.Namespace), ("owner", p.OwnerName), ("address", p.Address), ("netns", p.NetworkNamespace), ("hasProxy", p.Injected.HasProxy))).ToList()))), indented: true);
        File.WriteAllText(IndexFile + ".tmp", text);
        File.Move(IndexFile + ".tmp", IndexFile, overwrite: true);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        if (_loop is not null)
            await _loop;
        _published.Dispose();
        await Task.WhenAll(_pods.Values.Select(QuickEndAsync));
        await _control.DisposeAsync();
        await _agent.DisposeAsync();
        _dns?.Dispose();
        // Pods that were on their way out have no more time: what is in the slot's namespaces ends with them.
        if (_slot is not null)
            await PodNetwork.CleanAsync(_slot);
        _state?.Dispose();
        _slot?.Dispose();
        _stop.Dispose();
        _turns.Dispose();
        _wake.Dispose();
    }

    private async Task QuickEndAsync(PodRunner runner)
    {
        try
        {
            await runner.TerminateAsync(quick: true);
        }
        catch (Exception error) when (error is CommandException or IOException or InvalidOperationException)
        {
            _say($"pod {runner.Pod.Name} did not end cleanly: {error.Message}");
        }
        runner.Dispose();
    }
}
