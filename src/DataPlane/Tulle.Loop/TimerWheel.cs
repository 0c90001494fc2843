using System.Numerics;

namespace Tulle.Loop;

/// <summary>A deadline on a loop. Setting it later or cancelling it touches one field: the wheel finds out when it comes by.</summary>
public abstract class LoopTimer
{
    internal LoopTimer? Next, Previous;
    internal int Slot = -1;

    /// <summary>Loop time in milliseconds; long.MaxValue when not armed.</summary>
    public long DeadlineMs { get; internal set; } = long.MaxValue;

    public bool IsArmed => DeadlineMs != long.MaxValue;

    /// <summary>Called on the loop, once, at or after the deadline.</summary>
    protected internal abstract void Fire();
}

/// <summary>A timer that raises a signal and remembers that it did.</summary>
public sealed class SignalTimer(Signal signal) : LoopTimer
{
    public bool IsExpired { get; private set; }

    public void Reset() => IsExpired = false;

    protected internal override void Fire()
    {
        IsExpired = true;
        signal.Raise();
    }
}

/// <summary>A timer that calls a method.</summary>
public sealed class ActionTimer(Action action) : LoopTimer
{
    protected internal override void Fire() => action();
}

/// <summary>A hashed wheel of 512 slots of 10 ms. Later deadlines are moved on each time the wheel comes by. What a callback throws goes to <c>onFault</c>.</summary>
internal sealed class TimerWheel(long nowMs, Action<string, Exception> onFault)
{
    private const int SlotCount = 512;
    private const int TickMs = 10;

    private readonly LoopTimer?[] _slots = new LoopTimer?[SlotCount];
    private readonly ulong[] _used = new ulong[SlotCount / 64];
    private long _tick = nowMs / TickMs;

    public void Arm(LoopTimer timer, long deadlineMs)
    {
        var earlier = deadlineMs < timer.DeadlineMs;
        timer.DeadlineMs = deadlineMs;
        if (timer.Slot >= 0)
        {
            // Linked already: a later deadline is noticed when the wheel reaches the old slot.
            if (!earlier || !IsBefore(deadlineMs, timer.Slot))
                return;
            Unlink(timer);
        }
        Link(timer);
    }

    public void Cancel(LoopTimer timer) => timer.DeadlineMs = long.MaxValue;

    private bool IsBefore(long deadlineMs, int slot)
    {
        var ticks = Math.Max(1, (deadlineMs + TickMs - 1) / TickMs - _tick);
        var away = (slot - (int)(_tick & (SlotCount - 1)) + SlotCount) & (SlotCount - 1);
        return ticks < (away == 0 ? SlotCount : away);
    }

    private void Link(LoopTimer timer)
    {
        var tick = Math.Max(_tick + 1, (timer.DeadlineMs + TickMs - 1) / TickMs);
        var slot = (int)(Math.Min(tick, _tick + SlotCount - 1) & (SlotCount - 1));
        timer.Slot = slot;
        timer.Previous = null;
        timer.Next = _slots[slot];
        if (timer.Next is not null)
            timer.Next.Previous = timer;
        _slots[slot] = timer;
        _used[slot >> 6] |= 1ul << (slot & 63);
    }

    private void Unlink(LoopTimer timer)
    {
        if (timer.Previous is not null)
            timer.Previous.Next = timer.Next;
        else
            _slots[timer.Slot] = timer.Next;
        if (timer.Next is not null)
            timer.Next.Previous = timer.Previous;
        if (_slots[timer.Slot] is null)
            _used[timer.Slot >> 6] &= ~(1ul << (timer.Slot & 63));
        timer.Next = timer.Previous = null;
        timer.Slot = -1;
    }

    /// <summary>Fires what is due.</summary>
    public void Advance(long nowMs)
    {
        var target = nowMs / TickMs;
        while (_tick < target)
        {
            if (!AnyUsed())
            {
                _tick = target;
                return;
            }
            _tick++;
            var slot = (int)(_tick & (SlotCount - 1));
            if (_slots[slot] is null)
                continue;
            // One at a time from the head, so that the lists are whole whenever a callback runs: it may arm, move or cancel any timer, also those of
            // this slot. Nothing can be put into it meanwhile (deadlines go 1 to 511 ticks ahead), so this ends.
            while (_slots[slot] is { } timer)
            {
                Unlink(timer);
                if (timer.DeadlineMs <= nowMs)
                {
                    timer.DeadlineMs = long.MaxValue;
                    Fire(timer);
                }
                else if (timer.DeadlineMs != long.MaxValue)
                {
                    Link(timer);
                }
            }
        }
    }

    private void Fire(LoopTimer timer)
    {
        try
        {
            timer.Fire();
        }
        catch (Exception error)
        {
            onFault("a timer", error);
        }
    }

    /// <summary>How long a loop may sleep: −1 without timers.</summary>
    public int SleepMs(long nowMs)
    {
        var start = (int)((_tick + 1) & (SlotCount - 1));
        for (var i = 0; i <= _used.Length; i++)
        {
            var word = ((start >> 6) + i) & (_used.Length - 1);
            var bits = _used[word];
            if (i == 0)
                bits &= ulong.MaxValue << (start & 63);
            if (bits == 0)
                continue;
            var slot = (word << 6) + BitOperations.TrailingZeroCount(bits);
            var away = (slot - start + SlotCount) & (SlotCount - 1);
            return (int)Math.Max(0, (_tick + 1 + away) * TickMs - nowMs);
        }
        return -1;
    }

    private bool AnyUsed()
    {
        foreach (var word in _used)
        {
            if (word != 0)
                return true;
        }
        return false;
    }
}
