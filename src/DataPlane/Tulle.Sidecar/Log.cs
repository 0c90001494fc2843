using System.Globalization;

namespace Tulle.Sidecar;

/// <summary>The process log, in Envoy's shape: [time][level][component] message, on stderr.</summary>
internal static class Log
{
    private static readonly string[] Levels = ["trace", "debug", "info", "warning", "error", "critical", "off"];
    private static int s_level = 2;

    public static string Level => Levels[s_level];

    public static bool TrySetLevel(string level)
    {
        var index = Array.IndexOf(Levels, level == "warn" ? "warning" : level);
        if (index >= 0)
            s_level = index;
        return index >= 0;
    }

    public static void Write(string level, string component, string message)
    {
        if (Array.IndexOf(Levels, level) < s_level)
            return;
        var time = DateTimeOffset.UtcNow.ToString("yyyy-MM-dd HH:mm:ss.fff", CultureInfo.InvariantCulture);
        Console.Error.WriteLine($"[{time}][{Environment.ProcessId}][{level}][{component}] {message}");
    }
}
