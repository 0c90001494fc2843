using System.Runtime.CompilerServices;

namespace Tulle.Loop;

/// <summary>
/// What a connection waits on: one waiter, on its own loop, resumed inline. A raise without a waiter is remembered, so no wake-up is lost. Waiting
/// allocates nothing after the first time (the state machine's continuation is cached by the compiler's box).
/// </summary>
public sealed class Signal : ICriticalNotifyCompletion
{
    private Action? _continuation; // Loop thread only.
    private bool _raised;

    public bool IsCompleted
    {
        get
        {
            if (!_raised)
                return false;
            _raised = false;
            return true;
        }
    }

    public Signal GetAwaiter() => this;

    public void GetResult()
    {
    }

    public void OnCompleted(Action continuation) => _continuation = continuation;

    public void UnsafeOnCompleted(Action continuation) => _continuation = continuation;

    /// <summary>Wakes the waiter now.</summary>
    public void Raise()
    {
        var continuation = _continuation;
        if (continuation is null)
        {
            _raised = true;
            return;
        }
        _continuation = null;
        continuation();
    }

    /// <summary>Forgets a raise that nobody waited for.</summary>
    public void Clear() => _raised = false;
}
