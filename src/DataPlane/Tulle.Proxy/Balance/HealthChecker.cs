using Tulle.Base;
using Tulle.Loop;
using Tulle.Snapshot;
using Tulle.Wire;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>Active health checks of one endpoint, on the first loop: connect, ask, wait, again.</summary>
internal sealed class HealthChecker
{
    private readonly ProxyWorker _worker;
    private readonly HealthCheckConfig _config;
    private readonly Address _address;
    private readonly EndpointHealthState _health;
    private readonly Signal _signal = new();
    private readonly SignalTimer _timer;
    private bool _stopped;
    private bool _first = true;
    private int _passes, _failures;

    public HealthChecker(ProxyWorker worker, HealthCheckConfig config, Address address, EndpointHealthState health)
    {
        _worker = worker;
        _config = config;
        _address = address;
        _health = health;
        _timer = new SignalTimer(_signal);
        // Until the first check passes a host gets no traffic.
        health.FailsActiveCheck = true;
        worker.Shared.Health.NoteChange();
    }

    public void Start() => RunAsync();

    public void Stop()
    {
        _stopped = true;
        _signal.Raise();
    }

    private async void RunAsync()
    {
        try
        {
            while (!_stopped)
            {
                Note(await CheckAsync());
                _timer.Reset();
                _worker.Loop.ArmAfter(_timer, Math.Max(1, _health.FailsActiveCheck ? _config.UnhealthyIntervalMs : _config.IntervalMs));
                while (!_timer.IsExpired && !_stopped)
                    await _signal;
            }
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            Invariant.Report("a health check ended by an unexpected error", error);
        }
        _worker.Loop.Cancel(_timer);
    }

    private void Note(bool passed)
    {
        _passes = passed ? _passes + 1 : 0;
        _failures = passed ? 0 : _failures + 1;
        // The first result decides alone; later ones need their thresholds.
        var fails = _health.FailsActiveCheck;
        if (passed && fails && (_first || _passes >= _config.HealthyThreshold))
            fails = false;
        else if (!passed && !fails && _failures >= _config.UnhealthyThreshold)
            fails = true;
        _first = false;
        if (fails == _health.FailsActiveCheck)
            return;
        _health.FailsActiveCheck = fails;
        _worker.Shared.Health.NoteChange();
        foreach (var cluster in _worker.Clusters.Values)
            cluster.RefreshForReport();
    }

    private async ValueTask<bool> CheckAsync()
    {
        var loop = _worker.Loop;
        var fd = loop.Kernel.Connect(_address, null, _worker.Shared.UpstreamMark);
        if (fd < 0)
            return false;
        var socket = new LoopSocket(loop, fd) { Signal = _signal };
        socket.Start(assumeWritable: false);
        _timer.Reset();
        loop.ArmAfter(_timer, _config.TimeoutMs);
        try
        {
            while (!socket.IsWritable && !socket.HasError)
            {
                await _signal;
                if (_timer.IsExpired || _stopped)
                    return false;
            }
            if (loop.Kernel.SocketError(fd) != 0)
                return false;
            if (_config.Path is null)
                return true;
            if (!Send(socket))
                return false;
            var buffer = new byte[8192];
            var length = 0;
            var scanned = 0;
            while (true)
            {
                var count = socket.Read(buffer.AsSpan(length));
                if (count == -Errno.EAGAIN)
                {
                    await _signal;
                    if (_timer.IsExpired || _stopped)
                        return false;
                    continue;
                }
                if (count <= 0)
                    return false;
                length += count;
                var status = Http1Parser.FindHeadEnd(buffer.AsSpan(0, length), ref scanned, buffer.Length, out var headLength);
                if (status == ParseStatus.NeedMore)
                    continue;
                var head = new HttpHead();
                return status == ParseStatus.Done && Http1Parser.ParseResponse(buffer, 0, headLength, head, 100) == ParseStatus.Done && head.Status == 200;
            }
        }
        finally
        {
            loop.Cancel(_timer);
            socket.Close();
        }
    }

    private bool Send(LoopSocket socket)
    {
        Span<byte> buffer = stackalloc byte[2048];
        var writer = new ByteWriter(buffer);
        writer.Add("GET "u8);
        writer.AddText(_config.Path!);
        writer.Add(" HTTP/1.1\r\nhost: "u8);
        writer.AddText(_config.Host);
        writer.Add("\r\nuser-agent: Envoy/HC\r\nconnection: close\r\n\r\n"u8);
        return !writer.Overflowed && socket.Write(writer.Written) == writer.Length;
    }
}
