using System.Collections.Concurrent;
using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Loop;
using Tulle.Proxy;
using Tulle.Xds;

namespace Tulle.Sidecar;

/// <summary>
/// The running process: loops, the configuration store on its control thread, sources, admin. Configuration flows source → store → snapshot → loops.
/// </summary>
internal sealed class ProxyHost : IDisposable
{
    private readonly BlockingCollection<Action> _control = [];
    private readonly Dictionary<string, GrpcSource> _streams = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Key, string Type), FileSource> _files = [];
    private readonly Dictionary<string, (ulong Hash, Address Address)> _bound = new(StringComparer.Ordinal);
    private readonly DnsResolver _dns;
    private readonly List<Thread> _threads = [];
    private readonly CommandLine _options;
    private volatile bool _stopping;

    public ProxyHost(CommandLine options, Bootstrap bootstrap, int loops)
    {
        _options = options;
        Shared = new ProxyShared(loops) { LogFlushMs = options.FlushIntervalMs, DrainTimeMs = options.DrainTimeMs, DrainAtOnce = options.DrainAtOnce, UpstreamMark = options.UpstreamMark };
        Descriptors.OnFirstRefusal = TellOfDescriptors;
        Shared.Logs.Tell = text => Log.Write("warning", "log", text);
        Store = new ConfigStore(bootstrap, Shared.Stats) { RouteKeepMs = options.DrainTimeMs };
        for (var i = 0; i < loops; i++)
            Workers.Add(new ProxyWorker(new EventLoop(new LinuxKernel(), i, RandomSeed()), Shared));
        _dns = new DnsResolver(Post, (cluster, endpoints) =>
        {
            Store.SetResolved(cluster, endpoints);
            Publish();
        });
        DescribeStats();
    }

    /// <summary>Request ids and balancing choices of two proxies, or two loops, must not be the same, nor foreseeable.</summary>
    public static ulong RandomSeed()
    {
        Span<byte> seed = stackalloc byte[8];
        System.Security.Cryptography.RandomNumberGenerator.Fill(seed);
        return System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(seed);
    }

    public ProxyShared Shared { get; }

    public List<ProxyWorker> Workers { get; } = [];

    public ConfigStore Store { get; }

    public CommandLine Options => _options;

    public DateTimeOffset Started { get; } = DateTimeOffset.UtcNow;

    public bool IsLive { get; private set; }

    /// <summary>/healthcheck/fail was asked: not ready, and answers ask clients to leave, until /healthcheck/ok.</summary>
    public bool IsHealthFailed { get; private set; }

    private bool _stoppedAll, _stoppedInbound, _isDrainingGracefully;

    /// <summary>Completed when the process shall end.</summary>
    public TaskCompletionSource<int> Exit { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public IEnumerable<GrpcSource> Streams => _streams.Values;

    private void DescribeStats()
    {
        foreach (var name in new[] { "listener_manager.listener_added", "listener_manager.listener_modified", "listener_manager.listener_removed", "listener_manager.listener_create_success",
                     "listener_manager.listener_create_failure", "cluster_manager.cluster_added", "cluster_manager.cluster_modified", "cluster_manager.cluster_removed",
                     "cluster_manager.cds.update_success", "cluster_manager.cds.update_rejected", "listener_manager.lds.update_success", "listener_manager.lds.update_rejected", "server.descriptors_refused", "access_log.records_lost",
                     "filesystem.write_failed", "filesystem.reopen_failed" })
        {
            Shared.Stats.Counter(StatScope.Server, "", name);
        }
        foreach (var name in new[] { "listener_manager.total_listeners_active", "listener_manager.workers_started", "cluster_manager.active_clusters", "server.live", "server.concurrency", "server.state" })
            Shared.Stats.Gauge(StatScope.Server, "", name);
        Shared.Stats.Gauge(StatScope.Server, "", "server.concurrency").Set(Workers.Count);
        SetState(StateInitializing);
    }

    // Envoy's numbers of server.state; pilot-agent calls a proxy ready when it reads 0.
    private const int StateLive = 0, StateDraining = 1, StateInitializing = 3;

    private void SetState(int state) => Shared.Stats.Gauge(StatScope.Server, "", "server.state").Set(state);

    /// <summary>Runs an action on the control thread.</summary>
    public void Post(Action action)
    {
        try
        {
            _control.Add(action);
        }
        catch (InvalidOperationException)
        {
            // The process is ending: nothing is decided any more.
        }
    }

    /// <summary>Runs a function on the control thread and waits for it; for admin.</summary>
    public Task<T> AskAsync<T>(Func<T> question)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(() =>
        {
            try
            {
                done.SetResult(question());
            }
            catch (Exception error)
            {
                done.SetException(error);
            }
        });
        return done.Task;
    }

    /// <summary>Runs a function on every loop and collects the answers.</summary>
    public async Task<List<T>> AskLoopsAsync<T>(Func<ProxyWorker, T> question)
    {
        var answers = new List<Task<T>>();
        foreach (var worker in Workers)
        {
            var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
            worker.Loop.Post(() =>
            {
                try
                {
                    done.SetResult(question(worker));
                }
                catch (Exception error)
                {
                    done.SetException(error);
                }
            });
            answers.Add(done.Task);
        }
        return [.. await Task.WhenAll(answers)];
    }

    /// <summary>Starts loops and sources; false when a static listener cannot be bound.</summary>
    public bool Start()
    {
        foreach (var worker in Workers)
        {
            var thread = new Thread(worker.Loop.Run) { Name = $"loop-{worker.Loop.Index}", IsBackground = true };
            thread.Start();
            _threads.Add(thread);
        }
        Shared.Stats.Gauge(StatScope.Server, "", "listener_manager.workers_started").Set(1);
        if (!Publish())
            return false;
        var control = new Thread(RunControl) { Name = "control", IsBackground = true };
        control.Start();
        Store.AddressCheck = WhyNoAddress;
        Post(StartSources);
        return true;
    }

    private void RunControl()
    {
        foreach (var action in _control.GetConsumingEnumerable())
        {
            try
            {
                action();
            }
            catch (Exception error) when (error is not OutOfMemoryException)
            {
                Invariant.Report("a configuration step failed", error);
            }
        }
    }

    /// <summary>Takes over what is counted outside the store; before somebody looks.</summary>
    public void SampleStats() => Shared.Stats.Counter(StatScope.Server, "", "server.descriptors_refused").Set(Descriptors.Refused);

    private static void TellOfDescriptors() => Log.Write("error", "main",
        $"out of file descriptors ({Descriptors.ClientCeiling} for clients): connections are refused and counted in server.descriptors_refused; "
        + "raise the limit (ulimit -n) or look for clients that never leave");

    private void StartSources()
    {
        if (Store.Bootstrap.ClusterSource is { } clusters)
            SourceAll(clusters, XdsTypes.Cluster);
        if (Store.Bootstrap.ListenerSource is { } listeners)
            SourceAll(listeners, XdsTypes.Listener);
        UpdateInterest();
        CheckLive();
    }

    private void UpdateInterest()
    {
        var interest = Store.Interest();
        Store.Forget(interest);
        foreach (var ((source, type), names) in interest)
            Source(source, type, names);
        // A stream that was asked for names and needs none any more must hear it.
        foreach (var stream in _streams.Values)
        {
            foreach (var type in new[] { XdsTypes.Endpoint, XdsTypes.Route, XdsTypes.Secret })
            {
                if (!interest.ContainsKey((stream.Key, type)))
                    stream.SetNames(type, []);
            }
        }
        foreach (var ((key, type), file) in _files.ToList())
        {
            if (XdsTypes.IsWildcardType(type) || interest.ContainsKey((key, type)))
                continue;
            file.Dispose();
            _files.Remove((key, type));
        }
        _dns.Update(Store.DnsClusters);
    }

    /// <summary>Makes sure that a source delivers all resources of a type.</summary>
    private void SourceAll(ConfigSource source, string type)
    {
        Store.Fetches.Begin(type, InitialFetches.All, source.InitialFetchMs, Post, GoOnWithout);
        if (source.Key.StartsWith("file:", StringComparison.Ordinal))
            File(source.Key, type, out _).Read(again: false);
        else
            Stream(source.Key)?.SubscribeAll(type);
    }

    /// <summary>Makes sure that a source delivers these resources of a type.</summary>
    private void Source(string key, string type, SortedDictionary<string, long> names)
    {
        foreach (var (name, milliseconds) in names)
            Store.Fetches.Begin(type, new ResourceKey(key, name), milliseconds, Post, GoOnWithout);
        if (!key.StartsWith("file:", StringComparison.Ordinal))
        {
            Stream(key)?.SetNames(type, names.Keys);
            return;
        }
        var file = File(key, type, out var isNew);
        var isAnswered = false;
        // A file is there or is not: what it does not hold is not waited for.
        foreach (var name in names.Keys.Where(n => file.Asked.Add(n)).ToList())
            isAnswered |= Store.Fetches.GiveUp(type, new ResourceKey(key, name));
        if (isAnswered || isNew)
        {
            file.Read(again: true);
            GoOnWithout();
        }
    }

    private void GoOnWithout()
    {
        Publish();
        CheckLive();
    }

    private FileSource File(string key, string type, out bool isNew)
    {
        isNew = !_files.TryGetValue((key, type), out var file);
        if (file is null)
            _files[(key, type)] = file = new FileSource(key[5..], Post, update => OnFile(key, update with { Type = type, IsFullState = XdsTypes.IsWildcardType(type) }), error => OnFileError(key, type, error));
        return file;
    }

    /// <summary>A file for resources that are asked for by name holds one, and it is the one (Envoy, single resource subscriptions).</summary>
    private void OnFile(string key, XdsUpdate update)
    {
        if (!XdsTypes.IsWildcardType(update.Type))
        {
            var asked = Asked(key, update.Type);
            if (update.Resources.Count > 1)
                update = update with { Malformed = $"{key[5..]} holds {update.Resources.Count} resources; a file for {XdsTypes.Short(update.Type)} holds one" };
            else if (update.Resources.Count == 1 && !asked.Contains(update.Resources[0].Name))
                update = update with { Malformed = $"{key[5..]} holds {update.Resources[0].Name}; asked for is {string.Join(", ", asked)}" };
        }
        OnUpdate(key, update);
    }

    private ICollection<string> Asked(string key, string type) => Store.Interest().TryGetValue((key, type), out var names) ? names.Keys : [];

    private void OnFileError(string key, string type, string error)
    {
        Log.Write("warning", "config", error);
        CountRefused(key, type);
    }

    private void CountRefused(string key, string type)
    {
        if (XdsTypes.IsWildcardType(type))
            CountUpdate(type, default, rejected: true);
        else
            foreach (var name in Asked(key, type))
                CountUpdate(type, new ResourceKey(key, name), rejected: true);
    }

    private GrpcSource? Stream(string key)
    {
        if (_streams.TryGetValue(key, out var stream))
            return stream;
        var target = key == "ads" ? Store.Bootstrap.Ads : key;
        if (target is null)
        {
            Log.Write("error", "config", "a resource asks for ADS but the bootstrap has no ads_config");
            return null;
        }
        var isDelta = target.StartsWith("delta:", StringComparison.Ordinal);
        var clusterName = target[(target.IndexOf(':') + 1)..];
        var cluster = Store.StaticCluster(clusterName);
        if (cluster is null)
        {
            Log.Write("error", "config", $"the xDS cluster {clusterName} is not a static cluster of the bootstrap");
            return null;
        }
        stream = new GrpcSource(key, new GrpcTarget(cluster), key == "ads" ? "ads" : "sds", isDelta, WireNode(), Post, (update, isRepeated) => OnUpdate(key, update, isRepeated));
        _streams[key] = stream;
        stream.Start();
        return stream;
    }

    /// <summary>The node with what this proxy can do: a control plane tells proxies apart by it.</summary>
    private Node WireNode()
    {
        var node = Store.Bootstrap.Node.With("user_agent_name", "envoy").With("extensions", Node.List(Capabilities.Extensions().ToList()));
        // The bootstrap may tell features of its own.
        var told = node["client_features"]?.Items ?? [];
        node = node.With("client_features", Node.List(told.Concat(Capabilities.Features().Select(Node.FromString)).DistinctBy(f => f.AsText).ToList()));
        return node.With("user_agent_build_version", Node.Map(("version", Node.Map(("major_number", 1), ("minor_number", 40))), ("metadata", Node.Map(("build.type", "tulle")))));
    }

    private Dictionary<string, string> OnUpdate(string source, XdsUpdate update, bool isRepeated = false)
    {
        var refused = Store.Apply(source, update);
        // Told once; afterwards the counters say how often.
        foreach (var (name, why) in isRepeated ? [] : refused)
            Log.Write("warning", "config", $"{XdsTypes.Short(update.Type)} {name} refused: {why}");
        if (update.Malformed is not null)
        {
            CountRefused(source, update.Type);
        }
        else if (update.Type == XdsTypes.Route || update.Type == XdsTypes.Endpoint)
        {
            foreach (var (name, _, _) in update.Resources)
                CountUpdate(update.Type, new ResourceKey(source, name), refused.ContainsKey(name));
        }
        else
        {
            CountUpdate(update.Type, default, refused.Count > 0);
        }
        Publish();
        UpdateInterest();
        CheckLive();
        return refused;
    }

    private void CountUpdate(string type, ResourceKey key, bool rejected)
    {
        var leaf = rejected ? "update_rejected" : "update_success";
        switch (type)
        {
            case XdsTypes.Cluster:
                Shared.Stats.Counter(StatScope.Server, "", $"cluster_manager.cds.{leaf}").AddShared();
                break;
            case XdsTypes.Listener:
                Shared.Stats.Counter(StatScope.Server, "", $"listener_manager.lds.{leaf}").AddShared();
                break;
            case XdsTypes.Endpoint:
                foreach (var cluster in Store.StatNamesOf(key))
                    Shared.Stats.Counter(StatScope.Cluster, cluster, leaf).AddShared();
                break;
            case XdsTypes.Route:
                foreach (var prefix in Store.StatPrefixesOf(key))
                {
                    Shared.Stats.Counter(StatScope.Http, prefix, $"rds.{key.Name}.{leaf}").AddShared();
                    if (!rejected)
                        Shared.Stats.Counter(StatScope.Http, prefix, $"rds.{key.Name}.config_reload").AddShared();
                }
                break;
        }
    }

    /// <summary>Why a new listener could not have its address, asked before it is taken; null: it can.</summary>
    private string? WhyNoAddress(Snapshot.ListenerConfig listener)
    {
        // What is bound already is shared (SO_REUSEPORT): an update of the listener, or one that takes the place of one that goes.
        if (!listener.BindToPort || _bound.Values.Any(b => b.Address == listener.Address))
            return null;
        var result = ListenSocket.Probe(listener.Address, listener.Transparent);
        return result < 0 ? $"cannot listen on {listener.Address}: {Errno.Text(-result)}; {Advice(-result)}" : null;
    }

    /// <summary>Makes a snapshot and hands it to the loops, opening the sockets of new listeners first. False when one cannot be bound.</summary>
    public bool Publish()
    {
        var snapshot = Store.Rebuild();
        var ok = true;
        var opened = new Dictionary<string, int>[Workers.Count];
        for (var i = 0; i < opened.Length; i++)
            opened[i] = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (name, gone) in _bound)
        {
            if (snapshot.Listeners.Any(l => l.Name == name))
                continue;
            _bound.Remove(name);
            ListenSocket.RemoveFile(gone.Address);
        }
        foreach (var listener in snapshot.Listeners)
        {
            if (!listener.BindToPort || _stoppedAll || (_stoppedInbound && listener.Direction == "INBOUND"))
                continue;
            if (_bound.TryGetValue(listener.Name, out var bound) && bound.Address == listener.Address)
                continue;
            var failure = 0;
            for (var i = 0; i < Workers.Count && failure == 0; i++)
            {
                // A Unix socket has one queue, which the loops share; IP sockets get one each (SO_REUSEPORT).
                failure = i > 0 && !listener.Address.IsIp
                    ? ListenSocket.Share(opened[0][listener.Name], out var fd)
                    : ListenSocket.Open(listener.Address, listener.Backlog, listener.Transparent, out fd);
                failure = Math.Min(0, failure);
                if (failure == 0)
                    opened[i][listener.Name] = fd;
            }
            // A listener that some loops cannot have is not published to the others.
            for (var i = 0; i < Workers.Count && failure < 0; i++)
            {
                if (opened[i].Remove(listener.Name, out var fd))
                    ListenSocket.CloseUnused(fd);
            }
            if (failure < 0)
            {
                ok = false;
                Shared.Stats.Counter(StatScope.Server, "", "listener_manager.listener_create_failure").AddShared();
                Log.Write("error", "config", $"listener {listener.Name}: cannot listen on {listener.Address}: {Errno.Text(-failure)}; {Advice(-failure)}");
                continue;
            }
            _bound[listener.Name] = (listener.ContentHash, listener.Address);
            Shared.Stats.Counter(StatScope.Server, "", "listener_manager.listener_create_success").AddShared();
        }
        foreach (var listener in snapshot.Listeners)
            OpenLogs(listener);
        for (var i = 0; i < Workers.Count; i++)
            Workers[i].Publish(snapshot, opened[i]);
        Shared.Stats.Gauge(StatScope.Server, "", "listener_manager.total_listeners_active").Set(snapshot.Listeners.Count);
        Shared.Stats.Gauge(StatScope.Server, "", "cluster_manager.active_clusters").Set(snapshot.Clusters.Count);
        return ok;
    }

    /// <summary>Opens logs and starts their writers now: when the first record comes, descriptors or memory may be short.</summary>
    private void OpenLogs(Snapshot.ListenerConfig listener)
    {
        var chains = listener.DefaultChain is { } last ? listener.Chains.Append(last) : listener.Chains;
        var logs = listener.AccessLogs.Concat(chains.SelectMany(c => (c.Http?.AccessLogs ?? []).Concat(c.Tcp?.AccessLogs ?? [])));
        foreach (var log in logs)
            Shared.Logs.Get(log.Path);
    }

    private static string Advice(int errno) => errno switch
    {
        Errno.EADDRINUSE => "another process has the port: stop it (see ss -ltnp) or choose another",
        Errno.EACCES or Errno.EPERM => "ports below 1024 need CAP_NET_BIND_SERVICE",
        Errno.EADDRNOTAVAIL => "this machine has no such address",
        _ => "see the address in the listener",
    };

    private void CheckLive()
    {
        if (IsLive || !Store.HasClusters || !Store.HasListeners || (Store.HasWarming && Store.Bootstrap.ListenerSource is not null))
            return;
        IsLive = true;
        ShowState();
        Log.Write("info", "main", "ready: all configuration is in hand");
    }

    /// <summary>/drain_listeners. Control thread.</summary>
    /// <param name="inboundOnly">Only listeners whose traffic_direction is INBOUND.</param>
    /// <param name="graceful">Go on accepting until the drain time is over, while answers ask clients to leave; else stop at once.</param>
    /// <param name="skipStop">With graceful: never stop accepting.</param>
    public void DrainListeners(bool inboundOnly, bool graceful, bool skipStop)
    {
        if (!graceful)
        {
            StopAccepting(inboundOnly);
            return;
        }
        if (_isDrainingGracefully)
            return;
        _isDrainingGracefully = true;
        foreach (var worker in Workers)
            worker.Loop.Post(() => worker.StartDrain(inboundOnly));
        if (!skipStop)
            _ = Task.Delay((int)Math.Min(Shared.DrainTimeMs, int.MaxValue)).ContinueWith(_ => Post(() => StopAccepting(inboundOnly)), TaskScheduler.Default);
    }

    private void StopAccepting(bool inboundOnly)
    {
        _stoppedAll |= !inboundOnly;
        _stoppedInbound = true;
        foreach (var worker in Workers)
            worker.Loop.Post(() => worker.StopAccepting(inboundOnly));
    }

    /// <summary>/healthcheck/fail and /healthcheck/ok. Control thread.</summary>
    public void FailHealth(bool fails)
    {
        IsHealthFailed = fails;
        ShowState();
        foreach (var worker in Workers)
            worker.Loop.Post(() => worker.FailHealth(fails));
    }

    private void ShowState()
    {
        Shared.Stats.Gauge(StatScope.Server, "", "server.live").Set(IsLive && !IsHealthFailed ? 1 : 0);
        SetState(IsHealthFailed ? StateDraining : IsLive ? StateLive : StateInitializing);
    }

    public void Dispose()
    {
        if (_stopping)
            return;
        _stopping = true;
        _control.CompleteAdding();
        foreach (var stream in _streams.Values)
            stream.Dispose();
        foreach (var file in _files.Values)
            file.Dispose();
        foreach (var worker in Workers)
        {
            using var done = new ManualResetEventSlim();
            worker.Loop.Post(() =>
            {
                worker.Shutdown();
                done.Set();
            });
            done.Wait(1000);
            worker.Loop.Stop();
        }
        foreach (var (_, bound) in _bound)
            ListenSocket.RemoveFile(bound.Address);
        Shared.Dispose();
    }
}
