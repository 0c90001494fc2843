using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Loop;
using Tulle.Proxy;
using Tulle.Sidecar;

namespace Tulle.Bench;

/// <summary>Reads lines "CASE ROUNDS REQUESTS" and answers each with a line: calls and bytes per request, then nanoseconds per request of every round. bench/user/run drives it.</summary>
internal static partial class Program
{
    private const int Clients = 64;

    private static void Main()
    {
        // As a loop's own thread has it.
        using var flow = ExecutionContext.SuppressFlow();
        // Cases stay between lines: the next round goes on where the last one ended, warm.
        var running = new Dictionary<string, (EventLoop Loop, MemoryKernel Kernel)>(StringComparer.Ordinal);
        while (Console.ReadLine() is { } line)
        {
            var words = line.Split(' ');
            var (rounds, requests) = (int.Parse(words[1], CultureInfo.InvariantCulture), long.Parse(words[2], CultureInfo.InvariantCulture));
            if (!running.TryGetValue(words[0], out var work))
                running[words[0]] = work = Start(Case.Of(words[0]));
            Measure(work.Loop, work.Kernel, rounds, requests);
        }
    }

    private static (EventLoop Loop, MemoryKernel Kernel) Start(Case work)
    {
        var kernel = new MemoryKernel(Clients, Encoding.ASCII.GetBytes(work.Request), Encoding.ASCII.GetBytes(work.RequestEnd), Encoding.ASCII.GetBytes(work.Answer), Encoding.ASCII.GetBytes(work.AnswerEnd));
        var shared = new ProxyShared(1);
        var loop = new EventLoop(kernel, 0, 1);
        var worker = new ProxyWorker(loop, shared);
        var diagnostics = new Diagnostics();
        var store = new ConfigStore(Bootstrap.Read(Bootstrap.Parse(work.Configuration, "case.yaml"), diagnostics, "", ""), shared.Stats);
        store.LoadStatic(diagnostics);
        if (diagnostics.HasErrors)
            throw new InvalidOperationException(string.Join('\n', diagnostics.All));
        worker.Publish(store.Rebuild(), new Dictionary<string, int> { ["l0"] = MemoryKernel.ListenFd });
        return (loop, kernel);
    }

    private static void Measure(EventLoop loop, MemoryKernel kernel, int rounds, long requests)
    {
        var times = new double[rounds];
        var (calls, bytes, answered) = (kernel.Calls, GC.GetAllocatedBytesForCurrentThread(), kernel.Answered);
        for (var round = 0; round < rounds; round++)
        {
            var (begin, from) = (ThreadCpuNs(), kernel.Answered);
            for (var turn = 0L; kernel.Answered < from + requests; turn++)
            {
                loop.Turn(0);
                if (turn > requests + 1000)
                    throw new InvalidOperationException("the proxy does not answer");
            }
            times[round] = (ThreadCpuNs() - begin) / (double)(kernel.Answered - from);
        }
        answered = kernel.Answered - answered;
        bytes = GC.GetAllocatedBytesForCurrentThread() - bytes;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{(kernel.Calls - calls) / (double)answered:F2} {bytes / (double)answered:F2} {string.Join(' ', times.Select(t => t.ToString("F1", CultureInfo.InvariantCulture)))}"));
    }

    private static long ThreadCpuNs()
    {
        const int threadCpuTime = 3;
        _ = GetTime(threadCpuTime, out var time);
        return time.Seconds * 1_000_000_000 + time.Nanoseconds;
    }

    private struct TimeSpec
    {
        public long Seconds, Nanoseconds;
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int GetTime(int clock, out TimeSpec time);
}
