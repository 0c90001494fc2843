using Tulle.Base;
using Tulle.Loop;
using Tulle.Snapshot;
using Tulle.Wire;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

internal enum ProbeResult : byte
{
    Passed,
    /// <summary>Passed, and asks for less traffic.</summary>
    Degraded,
    /// <summary>Answered, and wrong: fails at once.</summary>
    Refused,
    /// <summary>Answered by another service than the one that is meant: fails at once.</summary>
    WrongService,
    /// <summary>Answered that it fails, and wants to be left out of all counts.</summary>
    Excluded,
    /// <summary>No answer in time, or one that may be asked again: the threshold decides.</summary>
    Unreachable,
    /// <summary>The check was stopped meanwhile: says nothing.</summary>
    Stopped,
}

/// <summary>One check of one endpoint: connect, TLS as the cluster has it, ask, read the whole answer. Every connection is new.</summary>
internal sealed class HealthProbe(ProxyWorker worker, ClusterConfig cluster, HealthCheckConfig check, EndpointConfig endpoint, Signal signal, SignalTimer timer, Func<bool> isStopped)
{
    /// <summary>Bytes of an answer's head, and of what a TCP check looks at. Source: Envoy's limit of a head, 60 KiB.</summary>
    private const int AnswerBytesMax = 60 * 1024;

    private byte[] _in = new byte[4096];
    private int _length;
    private string _requiredName = "";

    public async ValueTask<ProbeResult> RunAsync()
    {
        var loop = worker.Loop;
        var fd = loop.Kernel.Connect(Target(), cluster.BindAddressFor(Target()), worker.Shared.UpstreamMark);
        if (fd < 0)
            return ProbeResult.Unreachable;
        var socket = new LoopSocket(loop, fd) { Signal = signal };
        var tls = UpstreamConnection.ChooseTls(cluster, check.TransportMatch ?? endpoint.Facts.TransportMatch);
        Transport transport;
        try
        {
            transport = UpstreamConnection.MakeTransport(worker, socket, tls, check.Alpn, endpoint.Hostname, out _requiredName);
        }
        catch (InvalidOperationException)
        {
            // A certificate that OpenSSL refuses: nothing can be asked.
            socket.Close();
            return ProbeResult.Unreachable;
        }
        socket.Start(assumeWritable: false);
        timer.Reset();
        loop.ArmAfter(timer, Math.Max(1, check.TimeoutMs));
        try
        {
            while (!socket.IsWritable && !socket.HasError)
            {
                if (!await WaitAsync())
                    return Ended;
            }
            if (loop.Kernel.SocketError(fd) != 0)
                return ProbeResult.Unreachable;
            if (tls is not null && !await SecureAsync((TlsTransport)transport, tls))
                return Ended;
            return check.Http is { } http ? await AskAsync(transport, http) : await ExchangeAsync(transport, check.Tcp);
        }
        finally
        {
            loop.Cancel(timer);
            transport.Close();
        }
    }

    private ProbeResult Ended => isStopped() ? ProbeResult.Stopped : ProbeResult.Unreachable;

    private Address Target()
    {
        if (endpoint.Check?.Address is { } own)
            return own;
        return check.AlternatePort > 0 ? endpoint.Address.WithPort(check.AlternatePort) : endpoint.Address;
    }

    /// <summary>False when the time is over or the check was stopped.</summary>
    private async ValueTask<bool> WaitAsync()
    {
        await signal;
        return !timer.IsExpired && !isStopped();
    }

    private async ValueTask<bool> SecureAsync(TlsTransport transport, TlsClientConfig tls)
    {
        int result;
        while ((result = transport.Handshake()) == -Errno.EAGAIN)
        {
            if (!await WaitAsync())
                return false;
        }
        return result >= 0 && PeerNames.Accepts(tls, transport.Peer, _requiredName, worker.Loop.Kernel.WallMicros) is null;
    }

    private async ValueTask<bool> SendAsync(Transport transport, ReadOnlyMemory<byte> bytes)
    {
        while (bytes.Length > 0 || transport.HasUnsent)
        {
            var sent = bytes.Length > 0 ? transport.Write(bytes.Span) : transport.Flush();
            if (sent < 0 && sent != -Errno.EAGAIN)
                return false;
            bytes = bytes[Math.Max(0, Math.Min(sent, bytes.Length))..];
            if ((sent <= 0 || bytes.Length > 0 || transport.HasUnsent) && (bytes.Length > 0 || transport.HasUnsent) && !await WaitAsync())
                return false;
        }
        return true;
    }

    /// <summary>More of the answer: a count, 0 at its end, negative when the time is over.</summary>
    private async ValueTask<int> ReadAsync(Transport transport)
    {
        if (_length == _in.Length)
        {
            if (_length >= AnswerBytesMax)
                return -1;
            Array.Resize(ref _in, _in.Length * 4);
        }
        while (true)
        {
            var count = transport.Read(_in.AsSpan(_length));
            if (count >= 0)
            {
                _length += count;
                return count;
            }
            if (count != -Errno.EAGAIN || !await WaitAsync())
                return -1;
        }
    }

    private async ValueTask<ProbeResult> ExchangeAsync(Transport transport, TcpCheckConfig tcp)
    {
        if (tcp.Send.Length > 0 && !await SendAsync(transport, tcp.Send))
            return Ended;
        while (!HasAll(tcp.Receive))
        {
            if (await ReadAsync(transport) <= 0)
                return Ended;
        }
        return ProbeResult.Passed;
    }

    /// <summary>Every block is there, in order, with anything between them.</summary>
    private bool HasAll(IReadOnlyList<byte[]> blocks)
    {
        var rest = _in.AsSpan(0, _length);
        foreach (var block in blocks)
        {
            var at = rest.IndexOf(block);
            if (at < 0)
                return false;
            rest = rest[(at + block.Length)..];
        }
        return true;
    }

    private async ValueTask<ProbeResult> AskAsync(Transport transport, HttpCheckConfig http)
    {
        if (Request(http) is not { } request || !await SendAsync(transport, request))
            return Ended;
        var head = new HttpHead();
        var scanned = 0;
        while (true)
        {
            if (await ReadAsync(transport) <= 0)
                return Ended;
            var status = Http1Parser.FindHeadEnd(_in.AsSpan(0, _length), ref scanned, AnswerBytesMax, out var headLength);
            if (status == ParseStatus.NeedMore)
                continue;
            if (status != ParseStatus.Done || Http1Parser.ParseResponse(_in, 0, headLength, head, 100) != ParseStatus.Done)
                return ProbeResult.Unreachable;
            // An interim answer (RFC 9110 section 15.2) is none.
            if (head.Status is >= 200 or 101)
            {
                var verdict = Judge(http, head);
                return await HasBodyAsync(transport, http, head, headLength) ? verdict : Ended;
            }
            _in.AsSpan(headLength, _length - headLength).CopyTo(_in);
            _length -= headLength;
            scanned = 0;
        }
    }

    private byte[]? Request(HttpCheckConfig http)
    {
        var buffer = new byte[8192];
        var writer = new ByteWriter(buffer);
        writer.AddText(http.Method);
        writer.Add(" "u8);
        writer.AddText(http.Path);
        writer.Add(" HTTP/1.1\r\nhost: "u8);
        writer.AddText(endpoint.Check is { Hostname.Length: > 0 } own ? own.Hostname : http.Host);
        writer.Add("\r\nuser-agent: Envoy/HC\r\n"u8);
        if (http.Method is "POST" or "PUT" or "PATCH")
            writer.Add("content-length: 0\r\n"u8);
        writer.Add("connection: close\r\n\r\n"u8);
        return writer.Overflowed ? null : writer.Written.ToArray();
    }

    private static ProbeResult Judge(HttpCheckConfig http, HttpHead head)
    {
        if (head.Find("x-envoy-immediate-health-check-fail"u8) >= 0)
            return ProbeResult.Excluded;
        if (!IsWithin(http.Expected, head.Status))
            return IsWithin(http.Retriable, head.Status) ? ProbeResult.Unreachable : ProbeResult.Refused;
        if (http.Service is { } service)
        {
            var at = head.Find("x-envoy-upstream-healthchecked-cluster"u8);
            if (at < 0 || !service.IsMatch(System.Text.Encoding.Latin1.GetString(head.Value(at))))
                return ProbeResult.WrongService;
        }
        return head.Find("x-envoy-degraded"u8) >= 0 ? ProbeResult.Degraded : ProbeResult.Passed;
    }

    private static bool IsWithin(IReadOnlyList<(int From, int To)> ranges, int status)
    {
        foreach (var (from, to) in ranges)
        {
            if (status >= from && status < to)
                return true;
        }
        return false;
    }

    /// <summary>Reads the body to its end (RFC 9112 section 6.3): half an answer is none.</summary>
    private async ValueTask<bool> HasBodyAsync(Transport transport, HttpCheckConfig http, HttpHead head, int headLength)
    {
        if (http.Method == "HEAD" || head.Status is 204 or 304 or 101)
            return true;
        var chunks = default(ChunkDecoder);
        var left = head.ContentLength;
        _in.AsSpan(headLength, _length - headLength).CopyTo(_in);
        _length -= headLength;
        while (true)
        {
            if (head.IsChunked)
            {
                var at = 0;
                ChunkEvent happened;
                do
                {
                    happened = chunks.Next(_in.AsSpan(at, _length - at), out var consumed, out _, out _);
                    at += consumed;
                }
                while (happened is ChunkEvent.Data or ChunkEvent.Trailer);
                if (happened != ChunkEvent.NeedMore)
                    return happened == ChunkEvent.Done;
                _in.AsSpan(at, _length - at).CopyTo(_in);
                _length -= at;
            }
            else
            {
                left = left < 0 ? left : left - _length;
                _length = 0;
                if (left == 0)
                    return true;
            }
            var count = await ReadAsync(transport);
            if (count <= 0)
                return count == 0 && !head.IsChunked && head.ContentLength < 0;
        }
    }
}
