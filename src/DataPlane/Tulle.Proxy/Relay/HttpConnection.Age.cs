namespace Tulle.Proxy;

/// <summary>The age of the connection: too old, it drains (max_connection_duration).</summary>
internal sealed partial class HttpConnection
{
    private long _oldAtMs = long.MaxValue;
    private bool _countedOld;

    /// <summary>The answer is the last on this connection: the process, the listener or the connection itself drains.</summary>
    private bool MustLeave => MustClose || IsOld();

    private bool IsOld()
    {
        if (Now < _oldAtMs)
            return false;
        if (!_countedOld)
        {
            _countedOld = true;
            _stats.ConnectionMaxDuration.Add(LoopIndex);
        }
        return true;
    }

    /// <summary>When a connection without a request is closed for its age: the client had the drain timeout to leave.</summary>
    private long AgeDeadline() => _oldAtMs == long.MaxValue ? long.MaxValue : _oldAtMs + _manager.DrainTimeoutMs;
}
