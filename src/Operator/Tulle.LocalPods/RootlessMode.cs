namespace Tulle.LocalPods;

/// <summary>Whether the mesh runs inside a user namespace, where /etc belongs to somebody else. Decided once, before the process begins.</summary>
public static class RootlessMode
{
    /// <summary>The environment variable that says so.</summary>
    public const string Variable = "TULLE_ROOTLESS";

    public static bool IsOn { get; } = Environment.GetEnvironmentVariable(Variable) is not null;

    /// <summary>Where each namespace's resolv.conf is. `ip netns exec` looks in /etc/netns by itself; elsewhere whoever starts a process binds the file.</summary>
    internal static string ResolverRoot { get; } = IsOn ? "/run/tulle-netns" : "/etc/netns";
}
