using FsCheck;
using FsCheck.Fluent;

namespace Tulle.Loop.Tests;

public class TimerWheelTests
{
    [Fact]
    public void A_timer_fires_once_and_never_early()
    {
        Prop.ForAll<int[]>(delays =>
        {
            var now = 1_000_000L;
            var wheel = new TimerWheel(now);
            var fired = new List<(int Index, long At)>();
            var timers = delays.Select((d, i) => (Delay: (long)((uint)d % 20_000), Timer: new ActionTimer(() => fired.Add((i, now))))).ToList();
            foreach (var (delay, timer) in timers)
                wheel.Arm(timer, now + delay);
            var start = now;
            while (now < start + 21_000)
            {
                now += 17;
                wheel.Advance(now);
            }
            return fired.Count == delays.Length && fired.Select(f => f.Index).Distinct().Count() == delays.Length
                && fired.All(f => f.At >= start + timers[f.Index].Delay && f.At <= start + timers[f.Index].Delay + 60);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_cancelled_timer_stays_silent_and_a_moved_one_keeps_its_last_deadline()
    {
        var now = 0L;
        var wheel = new TimerWheel(now);
        var fired = new List<string>();
        var cancelled = new ActionTimer(() => fired.Add("cancelled"));
        var later = new ActionTimer(() => fired.Add($"later@{now}"));
        var earlier = new ActionTimer(() => fired.Add($"earlier@{now}"));
        wheel.Arm(cancelled, 100);
        wheel.Arm(later, 100);
        wheel.Arm(earlier, 9000);
        wheel.Cancel(cancelled);
        wheel.Arm(later, 6000);
        wheel.Arm(earlier, 50);
        for (; now <= 10_000; now += 10)
            wheel.Advance(now);
        Assert.Equal(2, fired.Count);
        Assert.StartsWith("earlier@", fired[0], StringComparison.Ordinal);
        Assert.InRange(long.Parse(fired[0][8..]), 50, 80);
        Assert.InRange(long.Parse(fired[1][6..]), 6000, 6030);
    }
}
