using System.Collections.Concurrent;

namespace Tulle.Base;

/// <summary>Errors of the programmer: counted, logged on powers of two, and survived (Envoy's ENVOY_BUG).</summary>
public static class Invariant
{
    private static readonly ConcurrentDictionary<string, int> s_counts = new(StringComparer.Ordinal);
    private static long s_total;

    /// <summary>How many were reported since the start.</summary>
    public static long Total => Interlocked.Read(ref s_total);

    public static void Report(string what, Exception? error = null)
    {
        Interlocked.Increment(ref s_total);
        var count = s_counts.AddOrUpdate(what, 1, static (_, n) => n + 1);
        if ((count & (count - 1)) == 0)
            Console.Error.WriteLine($"[critical] {what} ({count} times): {error}");
    }
}
