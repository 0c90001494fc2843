using Tulle.Base;
using Tulle.Loop;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>Active health checks of one endpoint, on the first loop: check, wait, again. Its verdict goes away with it.</summary>
internal sealed class HealthChecker
{
    private readonly ProxyWorker _worker;
    private readonly ClusterState _cluster;
    private readonly HostState _host;
    private readonly EndpointHealthState _health;
    private readonly HealthCheckStats _stats;
    private readonly Signal _signal = new();
    private readonly SignalTimer _timer;
    private bool _stopped;
    private bool _first = true;
    private int _passes, _failures;

    public HealthChecker(ProxyWorker worker, ClusterState cluster, HostState host)
    {
        _worker = worker;
        _cluster = cluster;
        _host = host;
        _health = host.Health;
        _stats = cluster.Shared.HealthCheckStats;
        _timer = new SignalTimer(_signal);
        Config = cluster.Config.HealthCheck!;
        Endpoint = host.Config.Check;
        // Until its first check passes a host gets no traffic. One that was checked in another way before keeps that verdict until then.
        if (!_health.IsChecked)
        {
            _health.FailsActiveCheck = true;
            _health.IsExcluded = cluster.Config.IgnoreNewHostsUntilFirstCheck;
        }
        _health.IsChecked = true;
    }

    public HealthCheckConfig Config { get; }

    public EndpointHealthState Health => _health;

    public EndpointCheckConfig? Endpoint { get; }

    /// <summary>A first result is there.</summary>
    public bool HasResult => !_first;

    /// <summary>Whether it still checks what is wanted.</summary>
    public bool Fits(ClusterState cluster, HostState host) =>
        ReferenceEquals(host.Health, _health) && cluster.Config.HealthCheck!.ContentHash == Config.ContentHash && host.Config.Check == Endpoint;

    public void Start() => RunAsync();

    /// <summary>Ends the checks; a check under way says nothing any more.</summary>
    /// <param name="keepVerdict">Another checker of the same endpoint follows.</param>
    public void Stop(bool keepVerdict)
    {
        _stopped = true;
        _signal.Raise();
        if (keepVerdict)
            return;
        _health.IsChecked = false;
        _health.FailsActiveCheck = _health.IsDegraded = _health.IsExcluded = false;
        _cluster.Shared.NoteHealthChange();
    }

    private async void RunAsync()
    {
        try
        {
            if (Config.InitialJitterMs > 0)
                await SleepAsync(Random(Config.InitialJitterMs));
            while (!_stopped)
            {
                _stats.Attempt.Add(_worker.Loop.Index);
                // The cluster's TLS may have been renewed meanwhile.
                var now = _worker.FindCluster(_cluster.Config.Name)?.Config ?? _cluster.Config;
                var result = await new HealthProbe(_worker, now, Config, _host.Config, _signal, _timer, () => _stopped).RunAsync();
                if (_stopped || result == ProbeResult.Stopped)
                    break;
                await SleepAsync(Note(result));
            }
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            Invariant.Report("a health check ended by an unexpected error", error);
        }
        _worker.Loop.Cancel(_timer);
    }

    private async ValueTask SleepAsync(long ms)
    {
        _timer.Reset();
        _worker.Loop.ArmAfter(_timer, Math.Max(1, ms));
        while (!_timer.IsExpired && !_stopped)
            await _signal;
    }

    private long Random(long ms) => ms <= 0 ? 0 : _worker.Loop.Random.Next((int)Math.Min(int.MaxValue, ms));

    /// <summary>Takes a result into account; returns the milliseconds until the next check.</summary>
    private long Note(ProbeResult result)
    {
        var loop = _worker.Loop.Index;
        var passed = result is ProbeResult.Passed or ProbeResult.Degraded;
        var wasFailing = _health.FailsActiveCheck;
        var fails = wasFailing;
        if (passed)
        {
            _failures = 0;
            _stats.Success.Add(loop);
            // The first result decides alone; later ones need their thresholds.
            if (fails && (_first || ++_passes >= Config.HealthyThreshold))
                fails = false;
        }
        else
        {
            _passes = 0;
            _stats.Failure.Add(loop);
            if (result == ProbeResult.Unreachable)
                _stats.NetworkFailure.Add(loop);
            if (!fails && (_first || result != ProbeResult.Unreachable || ++_failures >= Config.UnhealthyThreshold))
                fails = true;
        }
        // Counts look-ups of the service's name, right or wrong.
        if (Config.Http is { Service: not null } && result is ProbeResult.Passed or ProbeResult.Degraded or ProbeResult.WrongService)
            _stats.VerifyCluster.Add(loop);
        _first = false;
        var excluded = result == ProbeResult.Excluded || (_health.IsExcluded && !passed && wasFailing && !Pends);
        Set(fails, passed ? result == ProbeResult.Degraded : _health.IsDegraded, excluded);
        if (passed && !fails)
            _cluster.Shared.Outlier.OnCheckPassed(_health);
        var isPending = passed ? fails : !fails;
        return Interval(passed, isPending);
    }

    // A host that waited for its first check only is no longer left out once it has a result.
    private bool Pends => _cluster.Config.IgnoreNewHostsUntilFirstCheck;

    private void Set(bool fails, bool degraded, bool excluded)
    {
        if (fails == _health.FailsActiveCheck && degraded == _health.IsDegraded && excluded == _health.IsExcluded)
            return;
        if (fails)
            _passes = 0;
        else
            _failures = 0;
        _health.FailsActiveCheck = fails;
        _health.IsDegraded = degraded;
        _health.IsExcluded = excluded;
        _cluster.Shared.NoteHealthChange();
    }

    /// <summary>Envoy's choice of interval: by traffic, by the result, and by whether a threshold is still being counted.</summary>
    private long Interval(bool passed, bool isPending)
    {
        long interval;
        if (_cluster.Stats.ConnectionTotal.Value == 0)
            interval = passed && !isPending ? Config.NoTrafficHealthyIntervalMs : Config.NoTrafficIntervalMs;
        else if (passed)
            interval = isPending ? Config.HealthyEdgeIntervalMs : Config.IntervalMs;
        else
            interval = isPending ? Config.UnhealthyEdgeIntervalMs : Config.UnhealthyIntervalMs;
        return interval + Random(interval * Config.IntervalJitterPercent / 100) + Random(Config.IntervalJitterMs);
    }

    /// <summary>An answer to a request said that checks would fail: believed at once.</summary>
    public void FailNow()
    {
        if (_stopped)
            return;
        _stats.PassiveFailure.Add(_worker.Loop.Index);
        _passes = 0;
        Set(fails: true, _health.IsDegraded, excluded: true);
    }
}
