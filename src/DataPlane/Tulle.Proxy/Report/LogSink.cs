using System.Collections.Concurrent;

namespace Tulle.Proxy;

/// <summary>
/// One log file of the process. Loops fill buffers and hand full ones over; a thread of its own writes them, so that a slow disk or pipe never stops a
/// loop. When the queue is full, records are dropped and counted.
/// </summary>
public sealed class LogSink
{
    /// <summary>Buffers waiting for the writer: 64 × 64 KiB = 4 MiB of log at the most. Beyond it records are dropped.</summary>
    private const int QueueMax = 64;

    private readonly ConcurrentQueue<(byte[] Buffer, int Length)> _queue = new(); // Any loop; read by the writer thread.
    private readonly ConcurrentBag<byte[]> _spare = [];
    private readonly string _path;
    private Stream? _stream;
    private int _queued;

    public LogSink(string path)
    {
        _path = path;
        _stream = Open(path);
    }

    public string Path => _path;

    /// <summary>Records that were dropped because the writer was behind.</summary>
    public long Dropped;

    private static Stream? Open(string path)
    {
        try
        {
            return path switch
            {
                "/dev/stdout" => Console.OpenStandardOutput(),
                "/dev/stderr" => Console.OpenStandardError(),
                _ => new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0),
            };
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"access log {path} cannot be opened: {error.Message}; its records are dropped and counted");
            return null;
        }
    }

    public byte[] TakeBuffer() => _spare.TryTake(out var buffer) ? buffer : new byte[64 * 1024];

    /// <summary>Hands a filled buffer to the writer; false when the queue is full.</summary>
    public bool Submit(byte[] buffer, int length)
    {
        if (Volatile.Read(ref _queued) >= QueueMax)
            return false;
        Interlocked.Increment(ref _queued);
        _queue.Enqueue((buffer, length));
        return true;
    }

    /// <summary>Writes all that is queued; called by the writer thread only.</summary>
    public void Drain()
    {
        while (_queue.TryDequeue(out var item))
        {
            Interlocked.Decrement(ref _queued);
            try
            {
                if (_stream is null)
                    Interlocked.Increment(ref Dropped);
                else
                    _stream.Write(item.Buffer, 0, item.Length);
            }
            catch (IOException)
            {
                Interlocked.Increment(ref Dropped);
            }
            _spare.Add(item.Buffer);
        }
    }

    /// <summary>Opens the path again after the file was moved away (SIGUSR1).</summary>
    public void Reopen()
    {
        var old = _stream;
        _stream = Open(_path);
        old?.Dispose();
    }
}

/// <summary>The sinks of a process, and the thread that writes them.</summary>
public sealed class LogSinks : IDisposable
{
    private readonly ConcurrentDictionary<string, LogSink> _byPath = new(StringComparer.Ordinal);
    private readonly AutoResetEvent _work = new(false);
    private Thread? _thread;
    private volatile bool _stop;

    public LogSink Get(string path)
    {
        if (_thread is null)
        {
            _thread = new Thread(Run) { IsBackground = true, Name = "access-log" };
            _thread.Start();
        }
        return _byPath.GetOrAdd(path, static p => new LogSink(p));
    }

    public void Notify() => _work.Set();

    private void Run()
    {
        while (!_stop)
        {
            _work.WaitOne();
            DrainAll();
        }
    }

    private void DrainAll()
    {
        foreach (var sink in _byPath.Values)
            sink.Drain();
    }

    public void ReopenAll()
    {
        foreach (var sink in _byPath.Values)
            sink.Reopen();
    }

    public void Dispose()
    {
        _stop = true;
        _work.Set();
        _thread?.Join(2000);
        DrainAll();
        _work.Dispose();
    }
}
