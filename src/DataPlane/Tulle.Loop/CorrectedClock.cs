namespace Tulle.Loop;

/// <summary>
/// Wall-clock microseconds that run with the monotonic clock, so that durations between two readings are right, and that are set anew once the two have
/// drifted apart (the machine slept, or somebody set the clock). Any thread.
/// </summary>
internal sealed class CorrectedClock(Func<long> monotonicMicros, Func<long> wallMicros)
{
    /// <summary>How often the real clock is asked.</summary>
    private const long CheckMicros = 1_000_000;

    /// <summary>A difference below this is left alone: NTP slews, it does not step.</summary>
    private const long DriftMicrosMax = 100_000;

    private long _offset = wallMicros() - monotonicMicros();
    private long _nextCheck = monotonicMicros() + CheckMicros;

    public long Micros
    {
        get
        {
            var now = monotonicMicros();
            if (now < Volatile.Read(ref _nextCheck))
                return now + Volatile.Read(ref _offset);
            Volatile.Write(ref _nextCheck, now + CheckMicros);
            var offset = wallMicros() - now;
            if (Math.Abs(offset - Volatile.Read(ref _offset)) > DriftMicrosMax)
                Volatile.Write(ref _offset, offset);
            return now + Volatile.Read(ref _offset);
        }
    }
}
