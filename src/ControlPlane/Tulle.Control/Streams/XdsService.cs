using System.Collections.Concurrent;
using Microsoft.AspNetCore.Connections;
using Tulle.Base.Documents;
using Tulle.Xds;

namespace Tulle.Control;

/// <summary>The ADS streams: opens, serves and ends them, and pushes every new model to all. Nothing that happens on one stream reaches another.</summary>
internal sealed class XdsService(Func<Caller, IResourceMaker> makerFor, Published first, TimeProvider time)
{
    /// <summary>Open xDS streams. Source: istiod takes thousands; beyond this new ones are refused with UNAVAILABLE and come back.</summary>
    public const int StreamsMax = 20_000;

    /// <summary>Seconds until a stream's first request. Source: Envoy sends it with the headers; excess ends the stream with DEADLINE_EXCEEDED.</summary>
    private static readonly TimeSpan FirstWithin = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<ProxyStream, bool> _streams = new();
    private volatile Published _published = first;

    public Published Published => _published;

    public int Count => _streams.Count;

    public IEnumerable<Node> Describe() => _streams.Keys.Where(s => s.HasNode).Select(s => s.Describe());

    public void Publish(Published published)
    {
        _published = published;
        Parallel.ForEach(_streams.Keys, stream => Guard(stream, s => s.Push(published)));
    }

    /// <summary>Removals and routes that waited long enough for a silent proxy.</summary>
    public async Task TickAsync(CancellationToken stop)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(250), time);
        while (await timer.WaitForNextTickAsync(stop))
        {
            foreach (var stream in _streams.Keys.Where(s => s.IsWaiting))
                Guard(stream, s => s.Tick());
        }
    }

    private static void Guard(ProxyStream stream, Action<ProxyStream> act)
    {
        try
        {
            act(stream);
        }
        catch (Exception error)
        {
            Console.Error.WriteLine(error is XdsRefusedException ? $"xds: {error.Message}; its stream is ended" : $"xds: a stream is ended after an error of ours: {error}");
            stream.End();
        }
    }

    public async Task ServeAsync(HttpContext context, Caller caller, bool isDelta)
    {
        if (_streams.Count >= StreamsMax)
        {
            GrpcCall.End(context, 14, $"{StreamsMax} streams are open already");
            return;
        }
        var stream = new ProxyStream(isDelta, makerFor(caller), () => _published, time);
        _streams[stream] = true;
        var (status, message) = (0, "");
        try
        {
            context.Response.ContentType = "application/grpc";
            context.Response.DeclareTrailer("grpc-status");
            await context.Response.StartAsync();
            (status, message) = await RunAsync(context, stream);
        }
        finally
        {
            _streams.TryRemove(stream, out _);
            stream.End();
        }
        GrpcCall.End(context, status, message);
    }

    /// <summary>Reads and writes until either ends; the status says why.</summary>
    private static async Task<(int Status, string Message)> RunAsync(HttpContext context, ProxyStream stream)
    {
        var writing = WriteAsync(context, stream);
        var reading = GrpcCall.ReadAsync(context, FirstWithin, stream.OnRequest);
        // A stream that is ended by us (a push that failed, the end of the process) has nobody to read for.
        var ended = await Task.WhenAny(reading, writing) == writing && !reading.IsCompleted;
        var result = ended ? (14, "the stream is ended by the server; come back") : await StatusOfAsync(reading);
        stream.End();
        await writing;
        return result;
    }

    private static async Task<(int Status, string Message)> StatusOfAsync(Task reading)
    {
        try
        {
            await reading;
            return (0, "");
        }
        catch (XdsRefusedException refused)
        {
            Console.Error.WriteLine($"xds: a stream is refused: {refused.Message}");
            return (refused.Status, refused.Message);
        }
        catch (ProtoException error)
        {
            Console.Error.WriteLine($"xds: a request cannot be decoded: {error.Message}");
            return (3, $"the request cannot be decoded: {error.Message}");
        }
        catch (TimeoutException error)
        {
            return (4, error.Message);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ConnectionResetException)
        {
            return (1, "");
        }
        catch (Exception error)
        {
            Console.Error.WriteLine($"xds: a stream is ended after an error of ours: {error}");
            return (13, "an error of the control plane; its log tells which");
        }
    }

    private static async Task WriteAsync(HttpContext context, ProxyStream stream)
    {
        try
        {
            await foreach (var message in stream.Outgoing.ReadAllAsync(context.RequestAborted))
            {
                await context.Response.Body.WriteAsync(message, context.RequestAborted);
                await context.Response.Body.FlushAsync(context.RequestAborted);
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            context.Abort();
        }
    }

    public void End()
    {
        foreach (var stream in _streams.Keys)
            stream.End();
    }
}
