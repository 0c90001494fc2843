using System.Runtime.CompilerServices;

namespace Tulle.Loop;

/// <summary>
/// What a connection waits on: one waiter, on its own loop, resumed inline. A raise without a waiter is remembered, so no wake-up is lost. Waiting
/// allocates nothing after the first time (the state machine's continuation is cached by the compiler's box).
/// </summary>
public sealed class Signal
{
    private Action? _continuation; // Loop thread only.
    private bool _raised;

    public Awaiter GetAwaiter() => new(this);

    /// <summary>Whether it was raised since somebody waited; asking takes the raise.</summary>
    public bool IsCompleted
    {
        get
        {
            var raised = _raised;
            _raised = false;
            return raised;
        }
    }

    /// <summary>A structure, so that waiting is compiled for it: for a class it goes through shared code and an interface.</summary>
    public readonly struct Awaiter : ICriticalNotifyCompletion
    {
        private readonly Signal _signal;

        internal Awaiter(Signal signal) => _signal = signal;

        public bool IsCompleted => _signal.IsCompleted;

        public void GetResult()
        {
        }

        public void OnCompleted(Action continuation) => _signal._continuation = continuation;

        public void UnsafeOnCompleted(Action continuation) => _signal._continuation = continuation;
    }

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
