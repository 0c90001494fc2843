using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>
/// Permits of one cluster, shared by all loops (Envoy's thresholds count over all workers). A threshold that cannot be reached costs nothing: it is
/// not counted. Otherwise one interlocked add a permit.
/// </summary>
public sealed class CircuitBreaker
{
    private uint _connectionsMax, _pendingMax, _requestsMax, _retriesMax; // Control thread writes; loops read.
    private int _connections, _pending, _requests, _retries; // Any loop, by Interlocked.

    private volatile ThresholdsConfig _thresholds = ThresholdsConfig.Default;

    public void Configure(ThresholdsConfig thresholds)
    {
        _thresholds = thresholds;
        _connectionsMax = thresholds.ConnectionsMax;
        _pendingMax = thresholds.PendingMax;
        _requestsMax = thresholds.RequestsMax;
        _retriesMax = thresholds.RetriesMax;
    }

    public bool TryConnection() => Try(ref _connections, _connectionsMax);

    /// <summary>A connection beyond the limit: a host without any on a loop may always have one, or its requests could never be served (as in Envoy).</summary>
    public void ForceConnection() => Interlocked.Increment(ref _connections);

    public void EndConnection() => Interlocked.Decrement(ref _connections);

    public bool TryPending() => Try(ref _pending, _pendingMax);

    public void EndPending() => Interlocked.Decrement(ref _pending);

    public bool TryRequest() => Try(ref _requests, _requestsMax);

    public void EndRequest() => Interlocked.Decrement(ref _requests);

    public bool TryRetry() => Try(ref _retries, RetriesAllowed());

    /// <summary>With a budget: a share of what the cluster has to do now, and never less than a minimum.</summary>
    private uint RetriesAllowed()
    {
        var thresholds = _thresholds;
        if (thresholds.RetryBudgetPercent < 0)
            return _retriesMax;
        var busy = Math.Max(0, Volatile.Read(ref _requests)) + Math.Max(0, Volatile.Read(ref _pending));
        return Math.Max((uint)(thresholds.RetryBudgetPercent / 100 * busy), thresholds.RetryBudgetMin);
    }

    public void EndRetry() => Interlocked.Decrement(ref _retries);

    public int Requests => Volatile.Read(ref _requests);

    public int Connections => Volatile.Read(ref _connections);

    public int Pending => Volatile.Read(ref _pending);

    public int Retries => Volatile.Read(ref _retries);

    private static bool Try(ref int count, uint max)
    {
        if ((uint)Interlocked.Increment(ref count) <= max)
            return true;
        Interlocked.Decrement(ref count);
        return false;
    }
}
