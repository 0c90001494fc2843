using Tulle.Base;
using Tulle.Loop;

namespace Tulle.Proxy;

/// <summary>
/// A connection that is over before it began: it is told a fixed text (network direct_response) or is held for a while (connection_limit's delay), then it
/// is closed. It stays in its listener's list, so that draining and the limits see it.
/// </summary>
internal sealed class LastWords : Connection
{
    /// <summary>Milliseconds for a client to take the text, and then to close first. Source: Envoy's default delayed_close_timeout.</summary>
    private const long LingerMs = 1000;

    private readonly Transport _transport;
    private readonly Signal _signal;
    private readonly SignalTimer _timer;
    private readonly byte[] _text;
    private readonly long _delayMs;
    private int _sent;
    private bool _isTold, _isClosed;

    public LastWords(ProxyWorker worker, ActiveListener listener, ConnectionFacts facts, Transport transport, Signal signal, byte[] text, long delayMs)
        : base(worker, listener, facts)
    {
        _transport = transport;
        _signal = signal;
        _timer = new SignalTimer(signal);
        _text = text;
        _delayMs = delayMs;
    }

    public void Start()
    {
        List(isNew: !ReferenceEquals(Facts.CountedIn, Listener));
        _transport.Socket.Signal = _signal;
        Worker.Loop.ArmAfter(_timer, _delayMs > 0 ? _delayMs : LingerMs);
        RunAsync();
    }

#pragma warning disable VSTHRD100 // The loop is the only caller, and everything is caught.
    private async void RunAsync()
    {
        try
        {
            while (!_isClosed && !_timer.IsExpired && !Step())
                await _signal;
        }
        catch (Exception error)
        {
            Fault("the last words of a connection", error);
        }
        End();
    }
#pragma warning restore VSTHRD100

    /// <summary>True when there is nothing more to wait for. A connection that is only held is not read from.</summary>
    private bool Step()
    {
        if (_delayMs > 0)
            return false;
        while (_sent < _text.Length)
        {
            var count = _transport.Write(_text.AsSpan(_sent));
            if (count <= 0)
                return count != -Errno.EAGAIN;
            _sent += count;
        }
        if (!_isTold || _transport.HasUnsent)
        {
            if (_transport.HasUnsent && _transport.Flush() is < 0 and var failed)
                return failed != -Errno.EAGAIN;
            if (_transport.ShutdownWrite() < 0)
                return true;
            _isTold = true;
        }
        // What the client sent is read, or closing would reset the connection and take the text away; a bounded amount of it.
        for (var round = 0; round < 4; round++)
        {
            var count = _transport.Read(Worker.Loop.Staging);
            if (count <= 0)
                return count != -Errno.EAGAIN;
        }
        _transport.Socket.RaiseLater();
        return false;
    }

    public override void ForceClose()
    {
        if (_isClosed)
            return;
        _isClosed = true;
        Worker.Loop.Cancel(_timer);
        _transport.Close();
        Unlist();
        _signal.Raise();
    }
}
