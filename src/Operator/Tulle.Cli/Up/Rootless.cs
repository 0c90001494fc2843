using Tulle.LocalPods;
using Tulle.Native;

namespace Tulle.Cli;

/// <summary>
/// `up` without root: the whole mesh inside one user, network and mount namespace. There we are root over our own network only; one user id exists, so
/// the proxy's connections are told apart by a packet mark instead of by its user.
/// </summary>
internal static class Rootless
{
    /// <summary>A private /run: what the mesh writes there (namespaces, sockets, logs) nobody else sees, and it is gone with it. A resolver file that lives in /run gets a stand-in for pods to bind over.</summary>
    private const string Prepare = """
        resolver=$(readlink -m /etc/resolv.conf)
        if ! command -v ip >/dev/null; then
            echo "tulle up: the program ip is missing (package iproute2)" >&2
            exit 1
        fi
        if mount -t tmpfs tmpfs /run && ip link set lo up; then
            case "$resolver" in /run/*) mkdir -p "${resolver%/*}" && : >"$resolver" ;; esac
            exec "$@"
        fi
        echo "tulle up: this system lets users make namespaces but not mount in them; run it as root" >&2
        exit 1
        """;

    /// <summary>Replaces this process by itself inside new namespaces. Returns only when that is not possible, with the exit code.</summary>
    public static int Enter(string[] arguments)
    {
        var words = new List<string> { "unshare", "--user", "--map-root-user", "--net", "--mount", "/bin/sh", "-c", Prepare, "sh", "env", $"{RootlessMode.Variable}=1", Environment.ProcessPath! };
        words.AddRange(arguments);
        Libc.Execute("unshare", words);
        Console.Error.WriteLine("tulle up: without root it needs the program unshare (package util-linux) and a kernel that lets users make namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0); otherwise run it as root");
        return 1;
    }
}
