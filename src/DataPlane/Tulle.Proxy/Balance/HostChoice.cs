using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>What the earlier attempts of a request tell the choice of the next host. One per exchange that may be retried; reused.</summary>
internal sealed class HostChoice
{
    private readonly List<HostState> _tried = new(4);
    private ulong _triedLevels;
    private int _attempts;

    public void Reset()
    {
        _tried.Clear();
        _triedLevels = 0;
        _attempts = 0;
    }

    /// <summary>Picks a host for the next attempt, as the policy wishes: another host, another priority, not a canary.</summary>
    public HostState? Pick(HostSet hosts, RetryConfig policy, ProxyWorker worker, ClusterStats stats)
    {
        var loop = worker.Loop.Index;
        var random = worker.Loop.Random;
        var isRetry = _attempts++ > 0;
        // Priorities are marked as tried in groups of so many attempts.
        if (isRetry && policy.PreviousPrioritiesFrequency > 0 && (_attempts - 1) % policy.PreviousPrioritiesFrequency == 0)
        {
            foreach (var host in _tried)
                _triedLevels |= hosts.Bit(host);
        }
        var picked = hosts.PickElsewhere(ref _triedLevels, random, stats, loop);
        for (var i = 0; isRetry && i < policy.HostSelectionAttemptsMax && picked is not null && IsUnwanted(policy, picked); i++)
            picked = hosts.PickElsewhere(ref _triedLevels, random, stats, loop);
        if (picked is not null)
            _tried.Add(picked);
        return picked;
    }

    private bool IsUnwanted(RetryConfig policy, HostState host)
    {
        if (policy.AvoidPreviousHosts && _tried.Contains(host))
            return true;
        if (policy.AvoidCanaries && host.Config.Facts.IsCanary)
            return true;
        if (policy.AvoidMetadata.IsEmpty)
            return false;
        foreach (var (key, value) in policy.AvoidMetadata.Pairs)
        {
            if (!host.Config.Facts.Subset.TryGetValue(key, out var has) || has.Whole != value)
                return false;
        }
        return true;
    }
}
