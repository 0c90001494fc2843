using Tulle.Snapshot;

namespace Tulle.Proxy;

internal enum EjectionKind : byte
{
    Consecutive5xx,
    ConsecutiveGateway,
    ConsecutiveLocal,
    SuccessRate,
    LocalSuccessRate,
    FailurePercentage,
    LocalFailurePercentage,
}

/// <summary>
/// Passive health of one cluster: counts what answers and connections did and ejects a host for a while. Any loop reports and ejects; one loop looks
/// every interval, lets hosts return and compares success rates.
/// </summary>
internal sealed class OutlierDetector(SharedCluster cluster, StatsStore store)
{
    private readonly Lock _ejecting = new(); // Ejections are rare; the limits need them one by one.
    private volatile OutlierConfig? _config;
    private OutlierStats? _stats;
    private int _active;

    private OutlierStats Stats => _stats ??= new OutlierStats(store, cluster.StatName);

    /// <summary>Takes the configuration of the cluster; without one every ejection ends. Loop 0.</summary>
    public void Configure(OutlierConfig? config)
    {
        _config = config;
        if (config is not null)
        {
            _ = Stats;
            return;
        }
        foreach (var health in cluster.AllHealth())
            Uneject(health, clearCounts: true);
    }

    public bool IsOn => _config is not null;

    /// <summary>An answer came.</summary>
    public static void Answered(ProxyWorker worker, HostState host, int status) => host.Cluster.Shared.Outlier.Count(worker, host, status);

    /// <summary>No answer came: refused, reset, or too late. Told apart from answers only with split_external_local_origin_errors.</summary>
    /// <param name="status">What it counts as otherwise: 503, or 504 for a time-out.</param>
    public static void Failed(ProxyWorker worker, HostState host, int status)
    {
        var detector = host.Cluster.Shared.Outlier;
        if (detector._config is not { } config)
            return;
        if (!config.SplitLocal)
        {
            detector.Count(worker, host, status);
            return;
        }
        Interlocked.Increment(ref host.Health.Connects);
        if (Interlocked.Increment(ref host.Health.ConsecutiveLocal) == config.ConsecutiveLocal)
            detector.Detect(worker, host, EjectionKind.ConsecutiveLocal);
    }

    /// <summary>A connection stands.</summary>
    /// <param name="isAnswer">Nothing more will be heard (TCP): it counts as a good answer.</param>
    public static void Connected(ProxyWorker worker, HostState host, bool isAnswer)
    {
        var detector = host.Cluster.Shared.Outlier;
        if (detector._config is not { } config)
            return;
        if (config.SplitLocal)
        {
            Interlocked.Increment(ref host.Health.Connects);
            Interlocked.Increment(ref host.Health.GoodConnects);
            Clear(ref host.Health.ConsecutiveLocal);
        }
        else if (isAnswer)
        {
            detector.Count(worker, host, 200);
        }
    }

    private static void Clear(ref int count)
    {
        if (Volatile.Read(ref count) != 0)
            Volatile.Write(ref count, 0);
    }

    private void Count(ProxyWorker worker, HostState host, int status)
    {
        if (_config is not { } config)
            return;
        var health = host.Health;
        if (config.WatchesRates)
            Interlocked.Increment(ref health.Answers);
        if (status is < 500 or > 599)
        {
            if (config.WatchesRates)
                Interlocked.Increment(ref health.GoodAnswers);
            Clear(ref health.Consecutive5xx);
            Clear(ref health.ConsecutiveGateway);
            return;
        }
        if (status is not (502 or 503 or 504))
            Clear(ref health.ConsecutiveGateway);
        else if (Interlocked.Increment(ref health.ConsecutiveGateway) == config.ConsecutiveGateway)
            Detect(worker, host, EjectionKind.ConsecutiveGateway);
        if (Interlocked.Increment(ref health.Consecutive5xx) == config.Consecutive5xx)
            Detect(worker, host, EjectionKind.Consecutive5xx);
    }

    /// <summary>So many in a row: the count begins anew, whatever becomes of the ejection.</summary>
    private void Detect(ProxyWorker worker, HostState host, EjectionKind kind)
    {
        if (host.Health.IsEjected)
            return;
        TryEject(worker, host.Health, kind);
        switch (kind)
        {
            case EjectionKind.Consecutive5xx:
                Clear(ref host.Health.Consecutive5xx);
                break;
            case EjectionKind.ConsecutiveGateway:
                Clear(ref host.Health.ConsecutiveGateway);
                break;
            default:
                Clear(ref host.Health.ConsecutiveLocal);
                break;
        }
    }

    private static int Enforcing(OutlierConfig config, EjectionKind kind) => kind switch
    {
        EjectionKind.Consecutive5xx => config.Enforcing5xx,
        EjectionKind.ConsecutiveGateway => config.EnforcingGateway,
        EjectionKind.ConsecutiveLocal => config.EnforcingLocal,
        EjectionKind.SuccessRate => config.EnforcingSuccessRate,
        EjectionKind.LocalSuccessRate => config.EnforcingLocalSuccessRate,
        EjectionKind.FailurePercentage => config.EnforcingFailurePercentage,
        _ => config.EnforcingLocalFailurePercentage,
    };

    private void TryEject(ProxyWorker worker, EndpointHealthState health, EjectionKind kind)
    {
        if (_config is not { } config)
            return;
        var loop = worker.Loop.Index;
        Stats.DetectedByKind[(int)kind].Add(loop);
        lock (_ejecting)
        {
            if (health.IsEjected)
                return;
            var fits = 100L * (_active + 1) <= (long)config.EjectionPercentMax * cluster.EndpointCount;
            if (!fits && !(config.AlwaysEjectOne && _active == 0))
            {
                Stats.Overflow.Add(loop);
                return;
            }
            var enforcing = Enforcing(config, kind);
            if (enforcing < 100 && worker.Loop.Random.Next(100) >= enforcing)
                return;
            // The time out grows only until the maximum is passed.
            if (health.Ejections * config.BaseEjectionMs < config.MaxEjectionMs + config.BaseEjectionMs)
                health.Ejections++;
            var jitter = config.EjectionJitterMs > 0 ? worker.Loop.Random.Next((int)Math.Min(int.MaxValue - 1, config.EjectionJitterMs) + 1) : 0;
            health.EjectedAtMs = worker.Loop.NowMs + jitter;
            health.IsEjected = true;
            _active++;
        }
        Stats.Active.Add(loop);
        Stats.Enforced.Add(loop);
        Stats.EnforcedByKind[(int)kind].Add(loop);
        cluster.NoteHealthChange();
    }

    /// <summary>Every interval, on one loop: who may come back, whose record is clean, whose success rate stands out.</summary>
    public void Look(ProxyWorker worker)
    {
        if (_config is not { } config)
            return;
        var all = cluster.AllHealth();
        foreach (var health in all)
        {
            if (!health.IsEjected)
                health.Ejections = Math.Max(0, health.Ejections - 1);
            else if (worker.Loop.NowMs - health.EjectedAtMs >= Math.Min(config.MaxEjectionMs, config.BaseEjectionMs * health.Ejections))
                Uneject(health, clearCounts: true);
        }
        if (!config.WatchesRates)
            return;
        SuccessRates.Compare(all, config, isLocal: false, (health, kind) => TryEject(worker, health, kind));
        if (config.SplitLocal)
            SuccessRates.Compare(all, config, isLocal: true, (health, kind) => TryEject(worker, health, kind));
    }

    /// <summary>An active check passed: an ejected host returns at once, unless configured otherwise.</summary>
    public void OnCheckPassed(EndpointHealthState health)
    {
        if (health.IsEjected && _config is { CheckUnejects: true })
            Uneject(health, clearCounts: true);
    }

    /// <summary>The last loop let go of the host.</summary>
    public void Forget(EndpointHealthState health) => Uneject(health, clearCounts: false);

    private void Uneject(EndpointHealthState health, bool clearCounts)
    {
        lock (_ejecting)
        {
            if (!health.IsEjected)
                return;
            health.IsEjected = false;
            _active--;
        }
        if (clearCounts)
        {
            Clear(ref health.Consecutive5xx);
            Clear(ref health.ConsecutiveGateway);
            Clear(ref health.ConsecutiveLocal);
        }
        Stats.Active.AddShared(-1);
        cluster.NoteHealthChange();
    }
}
