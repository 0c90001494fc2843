using System.Collections.Concurrent;
using System.Globalization;

namespace Tulle.Sidecar;

/// <summary>
/// The process log, in Envoy's shape: [time][level][component] message, on stderr. Once <see cref="Start"/> was called a thread writes it: a terminal
/// or pipe that nobody reads must not stop configuration, admin or the end of the process.
/// </summary>
internal static class Log
{
    /// <summary>Lines waiting for the writer. Beyond it lines are dropped and counted in the next one.</summary>
    private const int LinesMax = 1024;

    private static readonly string[] Levels = ["trace", "debug", "info", "warning", "error", "critical", "off"];
    private static readonly BlockingCollection<string> s_lines = new(LinesMax);
    private static int s_level = 2;
    private static int s_dropped;
    private static Thread? s_writer;

    public static string Level => Levels[s_level];

    public static bool TrySetLevel(string level)
    {
        var index = Array.IndexOf(Levels, level == "warn" ? "warning" : level);
        if (index >= 0)
            s_level = index;
        return index >= 0;
    }

    public static void Start()
    {
        s_writer = new Thread(Run, 256 * 1024) { IsBackground = true, Name = "log" };
        s_writer.Start();
    }

    /// <summary>Waits a moment for the lines that are under way.</summary>
    public static void Stop()
    {
        s_lines.CompleteAdding();
        s_writer?.Join(500);
    }

    private static void Run()
    {
        foreach (var line in s_lines.GetConsumingEnumerable())
        {
            try
            {
                Console.Error.WriteLine(line);
                var dropped = Interlocked.Exchange(ref s_dropped, 0);
                if (dropped > 0)
                    Console.Error.WriteLine($"({dropped} lines were dropped: nobody read them)");
            }
            catch (Exception error) when (error is IOException or ObjectDisposedException)
            {
                // stderr is gone; there is nowhere to say so.
            }
        }
    }

    public static void Write(string level, string component, string message)
    {
        if (Array.IndexOf(Levels, level) < s_level)
            return;
        var time = DateTimeOffset.UtcNow.ToString("yyyy-MM-dd HH:mm:ss.fff", CultureInfo.InvariantCulture);
        var line = $"[{time}][{Environment.ProcessId}][{level}][{component}] {message}";
        if (s_writer is null)
        {
            Console.Error.WriteLine(line);
            return;
        }
        try
        {
            if (!s_lines.TryAdd(line))
                Interlocked.Increment(ref s_dropped);
        }
        catch (InvalidOperationException)
        {
            // Said while the process ends.
        }
    }
}
