using System.Globalization;

namespace Tulle.Sidecar;

/// <summary>How many loops a process should run: the CPU quota of its cgroup, rounded up, else the cores it may use.</summary>
internal static class CpuQuota
{
    public static int Loops()
    {
        var cores = Environment.ProcessorCount;
        var quota = ReadV2("/sys/fs/cgroup/cpu.max") ?? ReadV1();
        return Math.Clamp(quota ?? cores, 1, cores);
    }

    /// <summary>cpu.max of cgroup v2: "200000 100000" or "max 100000".</summary>
    private static int? ReadV2(string path)
    {
        var parts = Read(path)?.Split(' ');
        return parts is { Length: 2 } && Number(parts[0]) is { } quota && Number(parts[1]) is { } period and > 0 ? (int)Math.Ceiling(quota / period) : null;
    }

    private static int? ReadV1() =>
        Number(Read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")) is { } quota and > 0 && Number(Read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")) is { } period and > 0
            ? (int)Math.Ceiling(quota / period) : null;

    private static double? Number(string? text) => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) ? value : null;

    private static string? Read(string path)
    {
        try
        {
            return File.Exists(path) ? File.ReadAllText(path).Trim() : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}

internal static class ProxyVersion
{
    public static string Text { get; } = typeof(ProxyVersion).Assembly.GetName().Version?.ToString(3) ?? "0";
}
