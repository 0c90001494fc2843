using Tulle.Base;

namespace Tulle.Proxy;

/// <summary>
/// Whether an answer shall ask its client to leave. By the gradual strategy the share of answers that do grows over the drain time, so that clients do
/// not all connect elsewhere in one moment; at once, every answer does. Loop thread only.
/// </summary>
internal sealed class DrainState(long drainTimeMs, bool atOnce)
{
    private long _allSinceMs = -1;
    private long _inboundSinceMs = -1;

    /// <summary>/healthcheck/fail: every answer, whatever the strategy.</summary>
    public bool HealthFails { get; set; }

    /// <summary>A drain that runs already is not begun anew.</summary>
    public void Start(bool inboundOnly, long nowMs)
    {
        ref var since = ref inboundOnly ? ref _inboundSinceMs : ref _allSinceMs;
        if (since < 0)
            since = nowMs;
    }

    /// <param name="isInbound">The listener's direction.</param>
    /// <param name="leavingSinceMs">Since when the listener itself is replaced or removed; −1: it is not.</param>
    /// <param name="nowMs">The loop's clock.</param>
    /// <param name="random">The loop's.</param>
    public bool MustClose(bool isInbound, long leavingSinceMs, long nowMs, SeededRandom random)
    {
        if (HealthFails)
            return true;
        var since = Earlier(leavingSinceMs, Earlier(_allSinceMs, isInbound ? _inboundSinceMs : -1));
        return since >= 0 && (atOnce || drainTimeMs <= 0 || random.NextDouble() * drainTimeMs < nowMs - since);
    }

    private static long Earlier(long a, long b) => a < 0 ? b : b < 0 ? a : Math.Min(a, b);
}
