using FsCheck;
using FsCheck.Fluent;

namespace Tulle.Loop.Tests;

public class TimerWheelTests
{
    private static void NoFault(string kind, Exception error) => throw new InvalidOperationException(kind, error);

    [Fact]
    public void A_timer_fires_once_and_never_early()
    {
        Prop.ForAll<int[]>(delays =>
        {
            var now = 1_000_000L;
            var wheel = new TimerWheel(now, NoFault);
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
        var wheel = new TimerWheel(now, NoFault);
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

    /// <summary>Three timers in one slot; the one that fires first cancels a neighbour and arms it again.</summary>
    [Fact]
    public void N09_a_callback_that_moves_a_neighbour_of_its_slot_loses_nobody()
    {
        var now = 0L;
        var wheel = new TimerWheel(now, NoFault);
        var fired = new List<string>();
        ActionTimer b = null!;
        var a = new ActionTimer(() => fired.Add("a"));
        b = new ActionTimer(() => fired.Add("b"));
        var c = new ActionTimer(() =>
        {
            fired.Add("c");
            wheel.Cancel(b);
            wheel.Arm(b, now + 50);
        });
        wheel.Arm(a, 100);
        wheel.Arm(b, 100);
        wheel.Arm(c, 100);
        for (; now <= 500; now += 10)
            wheel.Advance(now);
        Assert.Equal(["a", "b", "c"], fired.Order());
    }

    /// <summary>
    /// A model beside the wheel: 12 timers whose callbacks cancel, move and arm others at random, also those of the slot that is walked. Whatever the
    /// model says is due has fired, nothing else has, and the wheel comes to an end.
    /// </summary>
    [Fact]
    public void N09_any_arming_inside_callbacks_is_what_a_plain_list_of_deadlines_says()
    {
        for (ulong seed = 1; seed <= 400; seed++)
        {
            var random = new Tulle.Base.SeededRandom(seed);
            var now = 1_000L;
            var wheel = new TimerWheel(now, NoFault);
            var timers = new ActionTimer[12];
            var deadlines = Enumerable.Repeat(long.MaxValue, timers.Length).ToArray();
            var calls = 0;
            void Move(int i)
            {
                if (random.Next(3) == 0)
                {
                    wheel.Cancel(timers[i]);
                    deadlines[i] = long.MaxValue;
                    if (random.Next(3) == 0)
                        return;
                }
                deadlines[i] = now + random.Next(random.Next(8) == 0 ? 20_000 : 60);
                wheel.Arm(timers[i], deadlines[i]);
            }
            for (var i = 0; i < timers.Length; i++)
            {
                var mine = i;
                timers[i] = new ActionTimer(() =>
                {
                    Assert.True(deadlines[mine] <= now, $"seed {seed}: timer {mine} fired {deadlines[mine] - now} ms early");
                    Assert.True(++calls < 1_000_000, $"seed {seed}: the wheel does not come to an end");
                    deadlines[mine] = long.MaxValue;
                    for (var moves = random.Next(3); moves > 0; moves--)
                        Move(random.Next(timers.Length));
                });
            }
            for (var turn = 0; turn < 600; turn++)
            {
                if (random.Next(4) == 0)
                    Move(random.Next(timers.Length));
                now += random.Next(40);
                wheel.Advance(now);
                for (var i = 0; i < timers.Length; i++)
                {
                    // A slot is 10 ms, and what a callback arms for the past is due in the next slot.
                    Assert.True(deadlines[i] == long.MaxValue || deadlines[i] > now - 20, $"seed {seed}, turn {turn}: timer {i} is {now - deadlines[i]} ms late");
                    Assert.Equal(deadlines[i], timers[i].DeadlineMs);
                }
                var next = deadlines.Min();
                if (next != long.MaxValue)
                    Assert.InRange(wheel.SleepMs(now), 0, Math.Max(20, next - now + 20));
            }
        }
    }
}
