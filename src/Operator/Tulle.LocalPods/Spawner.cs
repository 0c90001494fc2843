using System.Collections.Concurrent;
using System.Diagnostics;

namespace Tulle.LocalPods;

/// <summary>
/// Starts processes from one thread that lives as long as this process: PR_SET_PDEATHSIG, which ends children when we are killed, is bound to the
/// thread that forked them, and pool threads come and go.
/// </summary>
internal sealed class Spawner
{
    private readonly BlockingCollection<Action> _work = [];

    public Spawner() => new Thread(() =>
    {
        foreach (var action in _work.GetConsumingEnumerable())
            action();
    })
    { IsBackground = true, Name = "spawner" }.Start();

    /// <summary>Runs a command with its output in a file; in a network namespace and as another user when given.</summary>
    public Task<Process> StartAsync(string logFile, IReadOnlyList<string> command, string? networkNamespace = null, int user = 0, IReadOnlyDictionary<string, string>? environment = null, string? folder = null)
    {
        var started = new TaskCompletionSource<Process>(TaskCreationOptions.RunContinuationsAsynchronously);
        _work.Add(() =>
        {
            try
            {
                var start = new ProcessStartInfo("/bin/sh") { RedirectStandardInput = true, WorkingDirectory = folder ?? "/" };
                start.ArgumentList.Add("-c");
                start.ArgumentList.Add("log=$1; shift; exec \"$@\" >>\"$log\" 2>&1 </dev/null");
                start.ArgumentList.Add("tulle");
                start.ArgumentList.Add(logFile);
                if (networkNamespace is not null)
                {
                    foreach (var word in new[] { "ip", "netns", "exec", networkNamespace })
                        start.ArgumentList.Add(word);
                    if (RootlessMode.IsOn)
                    {
                        foreach (var word in new[] { "/bin/sh", "-c", "mount --bind \"$1\" /etc/resolv.conf; shift; exec \"$@\"", "sh", Path.Combine(RootlessMode.ResolverRoot, networkNamespace, "resolv.conf") })
                            start.ArgumentList.Add(word);
                    }
                }
                start.ArgumentList.Add("setpriv");
                if (user > 0)
                {
                    foreach (var word in new[] { $"--reuid={user}", $"--regid={user}", "--clear-groups" })
                        start.ArgumentList.Add(word);
                }
                start.ArgumentList.Add("--pdeathsig=KILL");
                start.ArgumentList.Add("--");
                foreach (var word in command)
                    start.ArgumentList.Add(word);
                foreach (var (name, value) in environment ?? new Dictionary<string, string>())
                    start.Environment[name] = value;
                var process = Process.Start(start)!;
                process.StandardInput.Close();
                started.SetResult(process);
            }
            catch (Exception error) when (error is System.ComponentModel.Win32Exception or InvalidOperationException)
            {
                started.SetException(new CommandException($"{command[0]} cannot be started: {error.Message}"));
            }
        });
        return started.Task;
    }
}
