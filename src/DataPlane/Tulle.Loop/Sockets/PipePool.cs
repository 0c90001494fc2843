namespace Tulle.Loop;

/// <summary>
/// Pipes of one loop, a few of them kept for the next bulk transfer. The memory of pipes is counted per user by the kernel
/// (/proc/sys/fs/pipe-user-pages-soft, 64 MiB by default): behind that limit a pipe has 4 or 8 KiB, and copying is better.
/// </summary>
public sealed class PipePool(bool canSplice = true)
{
    /// <summary>Size asked for. Source: measured, 512 KiB halves the cost against the default 64 KiB.</summary>
    private const int BytesWanted = 512 * 1024;

    /// <summary>A smaller one is not used: that much is copied at once anyway.</summary>
    private const int BytesMin = 64 * 1024;

    /// <summary>Free pipes kept: 2 MiB of a loop at the most, and none of it holds bytes.</summary>
    private const int KeepMax = 4;

    private readonly Stack<SplicePipe> _free = new(KeepMax);

    /// <summary>Pipes that the kernel refused or made too small; the connection went on copying (statistic: server.splice_pipe_failures).</summary>
    public long Failures { get; private set; }

    /// <summary>Called for each of them.</summary>
    public Action? OnFailure { get; set; }

    /// <summary>Null when there is none to be had: the caller goes on copying.</summary>
    public SplicePipe? Take()
    {
        if (!canSplice)
            return null;
        if (_free.TryPop(out var kept))
            return kept;
        var pipe = SplicePipe.TryCreate(BytesWanted, BytesMin, out _);
        if (pipe is null)
        {
            Failures++;
            OnFailure?.Invoke();
        }
        return pipe;
    }

    public void Return(SplicePipe pipe)
    {
        if (pipe.IsClean && _free.Count < KeepMax)
        {
            pipe.Reset();
            _free.Push(pipe);
        }
        else
        {
            pipe.Dispose();
        }
    }
}
