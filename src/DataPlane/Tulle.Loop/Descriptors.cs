using Tulle.Native;

namespace Tulle.Loop;

/// <summary>
/// Where the data plane stops taking descriptors, so that admin, logs and configuration always have some. The kernel gives the lowest free number:
/// a number at the ceiling means that nearly all below it are in use, and costs no count.
/// </summary>
public static class Descriptors
{
    /// <summary>Left free for everything that is no traffic. Source: 64 admin connections, some logs, certificates and look-ups; a small limit leaves half of what is free.</summary>
    private const int ReserveMax = 96;

    private static long s_refused;

    /// <summary>Connections to upstreams are opened below it. Unset there is no ceiling (tests).</summary>
    public static int Ceiling { get; private set; } = int.MaxValue;

    /// <summary>Clients are accepted below it: what is accepted shall find a descriptor for its upstream.</summary>
    public static int ClientCeiling { get; private set; } = int.MaxValue;

    /// <summary>Connections, of either side, that were not opened for lack of descriptors.</summary>
    public static long Refused => Interlocked.Read(ref s_refused);

    /// <summary>Called once, on a loop: must not wait.</summary>
    public static Action? OnFirstRefusal { get; set; }

    internal static void CountRefused()
    {
        if (Interlocked.Increment(ref s_refused) == 1)
            OnFirstRefusal?.Invoke();
    }

    /// <summary>Looks at the limit of the process and at what is open already. Called once the listeners are open.</summary>
    public static void Reserve()
    {
        var limit = (int)Math.Min(Libc.FileLimit(), int.MaxValue);
        var free = Math.Max(0, limit - Directory.GetFileSystemEntries("/proc/self/fd").Length);
        Ceiling = limit - Math.Min(ReserveMax, free / 2);
        ClientCeiling = Ceiling - Math.Min(ReserveMax, free / 4);
    }
}
