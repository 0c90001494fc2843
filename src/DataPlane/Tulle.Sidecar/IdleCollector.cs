using Tulle.Loop;

namespace Tulle.Sidecar;

/// <summary>
/// Gives memory back when nothing happens: what starting up, a new configuration or a wave of connections left behind would otherwise stay until the next
/// collection, and an idle proxy allocates nothing that would bring it about. Never while requests run: a collection stops every loop for milliseconds.
/// </summary>
internal sealed class IdleCollector(IReadOnlyList<EventLoop> loops)
{
    /// <summary>Milliseconds between looks. A collection needs one look at which nothing had happened since the one before.</summary>
    public const int PeriodMs = 400;

    /// <summary>Bytes allocated since the last collection that are worth one. Source: ours, a few per cent of an idle proxy.</summary>
    private const long GarbageBytesMin = 1024 * 1024;

    /// <summary>Events of all loops in a period that still count as nothing: timers, a probe, a scrape.</summary>
    private const long QuietEventsMax = 20;

    /// <summary>Milliseconds after the start before the first look: whoever starts now has neighbours that start too, and a collection costs them tens of milliseconds (measured with six pods).</summary>
    private const int StartMs = 3000;

    private readonly long _startedMs = Environment.TickCount64;
    private long _events, _collectedAt, _allocated;

    public void Look()
    {
        if (Environment.TickCount64 - _startedMs < StartMs)
            return;
        long events = 0;
        foreach (var loop in loops)
            events += loop.EventCount;
        var allocated = GC.GetTotalAllocatedBytes();
        if (events - _events <= QuietEventsMax && allocated - _allocated < GarbageBytesMin && allocated - _collectedAt >= GarbageBytesMin)
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            _collectedAt = allocated;
        }
        (_events, _allocated) = (events, allocated);
    }
}
