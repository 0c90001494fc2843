using System.Collections.Concurrent;

namespace Tulle.Proxy;

/// <summary>
/// One log file of the process. Loops fill buffers and hand full ones over; a thread of this sink alone touches the file, so that a slow disk or a pipe
/// that nobody reads stops neither a loop nor another log. When the queue is full, records are dropped, counted and told of once.
/// </summary>
public sealed class LogSink
{
    /// <summary>Bytes waiting for the writer. Source: 64 buffers. Beyond it records are dropped (access_log.records_lost).</summary>
    public const int QueueBytesMax = 4 * 1024 * 1024;

    /// <summary>Bytes of an ordinary buffer.</summary>
    public const int BufferBytes = 64 * 1024;

    /// <summary>Largest record. Source: a head may have 60 KiB by default, and JSON can write a byte as three; beyond it the record is lost and counted.</summary>
    public const int RecordBytesMax = 1024 * 1024;

    private const int StackBytes = 128 * 1024;

    private readonly record struct Filled(byte[] Buffer, int Length, int Records);

    private readonly ConcurrentQueue<Filled> _queue = new(); // Any loop; read by the writer thread.
    private readonly ConcurrentBag<byte[]> _spare = [];
    private readonly AutoResetEvent _work = new(false);
    private readonly Stat _lost, _writeFailed, _reopenFailed;
    private readonly Action<string> _tell;
    private readonly Thread _thread;
    private Stream? _stream; // Writer thread only.
    private long _queuedBytes;
    private int _isLosing;
    private volatile bool _reopen;
    private volatile bool _stop;

    /// <param name="path">Where to; "/dev/stdout" and "/dev/stderr" are the process's own.</param>
    /// <param name="stats">Where lost records are counted.</param>
    /// <param name="tell">Writes to the process log; must not wait.</param>
    public LogSink(string path, StatsStore stats, Action<string> tell)
    {
        Path = path;
        _tell = tell;
        _lost = stats.Counter(StatScope.Server, "", "access_log.records_lost");
        _writeFailed = stats.Counter(StatScope.Server, "", "filesystem.write_failed");
        _reopenFailed = stats.Counter(StatScope.Server, "", "filesystem.reopen_failed");
        // Made while the configuration is taken: later there may be no memory or descriptor for a thread.
        _thread = new Thread(Run, StackBytes) { IsBackground = true, Name = "access-log" };
        _thread.Start();
    }

    public string Path { get; }

    public byte[] TakeBuffer() => _spare.TryTake(out var buffer) ? buffer : new byte[BufferBytes];

    /// <summary>Hands a filled buffer to the writer; false when the queue is full: the buffer stays the caller's, its records are lost.</summary>
    public bool Submit(byte[] buffer, int length, int records)
    {
        if (Interlocked.Add(ref _queuedBytes, length) > QueueBytesMax)
        {
            Interlocked.Add(ref _queuedBytes, -length);
            Lose(records, "nobody reads it as fast as it is written");
            return false;
        }
        _queue.Enqueue(new Filled(buffer, length, records));
        _work.Set();
        return true;
    }

    /// <summary>Counts records that will not be written, and says so when it begins.</summary>
    public void Lose(int records, string why)
    {
        _lost.AddShared(records);
        if (Interlocked.Exchange(ref _isLosing, 1) == 0)
            _tell($"access log {Path}: records are lost: {why}; they are counted in access_log.records_lost");
    }

    /// <summary>Opens the path again after the file was moved away (SIGUSR1). The writer does it: nobody else touches the file.</summary>
    public void Reopen()
    {
        _reopen = true;
        _work.Set();
    }

    private void Run()
    {
        Open();
        while (!_stop)
        {
            _work.WaitOne();
            if (_reopen)
            {
                _reopen = false;
                Open();
            }
            Drain();
        }
    }

    /// <summary>The new file first: when it cannot be opened the old one is written on.</summary>
    private void Open()
    {
        try
        {
            var opened = Path switch
            {
                "/dev/stdout" => Console.OpenStandardOutput(),
                "/dev/stderr" => Console.OpenStandardError(),
                _ => new FileStream(Path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0),
            };
            _stream?.Dispose();
            _stream = opened;
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            _reopenFailed.AddShared();
            _tell($"access log {Path} cannot be opened: {error.Message}; {(_stream is null ? "its records are lost and counted" : "the old file is written on")}");
        }
    }

    private void Drain()
    {
        while (_queue.TryDequeue(out var item))
        {
            try
            {
                if (_stream is null)
                {
                    Lose(item.Records, "the file is not open");
                }
                else
                {
                    _stream.Write(item.Buffer, 0, item.Length);
                    if (_isLosing != 0 && _queue.IsEmpty && Interlocked.Exchange(ref _isLosing, 0) != 0)
                        _tell($"access log {Path} is written again");
                }
            }
            catch (Exception error) when (error is not OutOfMemoryException)
            {
                _writeFailed.AddShared();
                Lose(item.Records, error.Message);
            }
            Interlocked.Add(ref _queuedBytes, -item.Length);
            if (item.Buffer.Length == BufferBytes)
                _spare.Add(item.Buffer);
        }
    }

    /// <summary>Writes what is queued and ends the writer; one that cannot write within the time is left behind.</summary>
    public void Stop(int waitMs)
    {
        _stop = true;
        _work.Set();
        if (_thread.Join(waitMs))
            _work.Dispose();
        else
            _tell($"access log {Path} is still blocked: what it holds is lost");
    }
}

/// <summary>The sinks of a process.</summary>
public sealed class LogSinks(StatsStore stats) : IDisposable
{
    /// <summary>Milliseconds that the end of the process waits for all logs together.</summary>
    private const int StopMs = 1000;

    private readonly Dictionary<string, LogSink> _byPath = new(StringComparer.Ordinal); // Under its own lock: asked once per loop and path.

    /// <summary>Where a trouble with a log is told; must not wait. Set before the first sink is made.</summary>
    public Action<string> Tell { get; set; } = Console.Error.WriteLine;

    public LogSink Get(string path)
    {
        lock (_byPath)
        {
            if (!_byPath.TryGetValue(path, out var sink))
                _byPath[path] = sink = new LogSink(path, stats, Tell);
            return sink;
        }
    }

    public void ReopenAll()
    {
        foreach (var sink in All())
            sink.Reopen();
    }

    private List<LogSink> All()
    {
        lock (_byPath)
            return [.. _byPath.Values];
    }

    public void Dispose()
    {
        var until = Environment.TickCount64 + StopMs;
        foreach (var sink in All())
            sink.Stop((int)Math.Max(1, until - Environment.TickCount64));
    }
}
