using System.Globalization;

namespace Tulle.LocalPods;

/// <summary>What a starting pod waits for, so that a person is told when it takes long.</summary>
internal sealed class PodWaiting
{
    /// <summary>Milliseconds of waiting for one thing before that is said.</summary>
    public const int FirstMs = 2000;

    /// <summary>Milliseconds until it is said again.</summary>
    public const int AgainMs = 30_000;

    private volatile string _for = "";
    private long _sinceMs;
    private long _dueMs;

    /// <summary>What the pod waits for from now on; "" for nothing.</summary>
    public void For(string what, long nowMs)
    {
        _sinceMs = nowMs;
        _dueMs = nowMs + FirstMs;
        _for = what;
    }

    /// <summary>What the last try said, when it said anything.</summary>
    public string Reason { get; set; } = "";

    /// <summary>The sentence when it is time for it, else null.</summary>
    public string? TakeDue(PodPhase phase, long nowMs)
    {
        var what = _for;
        if (phase is not (PodPhase.Starting or PodPhase.NotReady) || what.Length == 0 || nowMs < _dueMs)
            return null;
        _dueMs = nowMs + AgainMs;
        var seconds = ((nowMs - _sinceMs) / 1000).ToString(CultureInfo.InvariantCulture);
        return $"waits for {what}, {seconds} s now{(Reason.Length > 0 ? $" ({Reason})" : "")}; edits are taken meanwhile";
    }
}
