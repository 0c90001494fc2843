using System.Text;
using Tulle.Base;
using Tulle.Snapshot;
using Tulle.Wire;

namespace Tulle.Proxy;

/// <summary>The access logs as one loop writes them: a buffer per sink, handed over when full or when the flush interval passed.</summary>
public sealed class AccessLogger(LogSinks sinks, long flushIntervalMs)
{
    private sealed class Pending(LogSink sink)
    {
        public readonly LogSink Sink = sink;
        public byte[] Buffer = sink.TakeBuffer();
        public int Length;
        public int Records;
        public long FirstMs;
    }

    private readonly Dictionary<string, Pending> _pending = new(StringComparer.Ordinal); // Loop thread only.
    private readonly List<Pending> _list = [];
    private StringBuilder? _json;

    public void Write(IReadOnlyList<AccessLogConfig> logs, RequestRecord record, long nowMs)
    {
        for (var i = 0; i < logs.Count; i++)
        {
            var log = logs[i];
            if (log.Filter is null || LogFilters.Allows(log.Filter, record))
                WriteOne(log, record, nowMs);
        }
    }

    private void WriteOne(AccessLogConfig log, RequestRecord record, long nowMs)
    {
        var pending = Get(log.Path);
        for (var attempt = 0; attempt < 2; attempt++)
        {
            var length = Format(log, record, pending.Buffer.AsSpan(pending.Length));
            if (length >= 0)
            {
                if (pending.Length == 0)
                    pending.FirstMs = nowMs;
                pending.Length += length;
                pending.Records++;
                return;
            }
            Submit(pending);
        }
        WriteLarge(log, record, pending.Sink);
    }

    /// <summary>The bytes of a record; −1 when they do not fit.</summary>
    private int Format(AccessLogConfig log, RequestRecord record, Span<byte> target)
    {
        var writer = new ByteWriter(target);
        if (log.Format.Json is { } template)
        {
            _json ??= new StringBuilder(1024);
            _json.Clear();
            LogWriter.WriteJson(_json, template, record);
            writer.AddText(_json.ToString());
            writer.Add((byte)'\n');
        }
        else
        {
            LogWriter.WriteText(ref writer, log.Format, record);
        }
        return writer.Overflowed ? -1 : writer.Length;
    }

    /// <summary>A record that no ordinary buffer holds: a client must not be able to hide what it asked for behind a long field.</summary>
    private void WriteLarge(AccessLogConfig log, RequestRecord record, LogSink sink)
    {
        for (var size = LogSink.BufferBytes * 4; size <= LogSink.RecordBytesMax; size *= 4)
        {
            var buffer = new byte[size];
            var length = Format(log, record, buffer);
            if (length < 0)
                continue;
            sink.Submit(buffer, length, 1);
            return;
        }
        sink.Lose(1, $"a record is over the limit of {LogSink.RecordBytesMax} bytes");
    }

    private Pending Get(string path)
    {
        if (!_pending.TryGetValue(path, out var pending))
        {
            pending = new Pending(sinks.Get(path));
            _pending[path] = pending;
            _list.Add(pending);
        }
        return pending;
    }

    private void Submit(Pending pending)
    {
        if (pending.Length == 0)
            return;
        if (pending.Sink.Submit(pending.Buffer, pending.Length, pending.Records))
            pending.Buffer = pending.Sink.TakeBuffer();
        pending.Length = 0;
        pending.Records = 0;
    }

    /// <summary>Hands over what is old enough; returns the milliseconds until the next is, or −1.</summary>
    public long Flush(long nowMs, bool all = false)
    {
        long next = -1;
        foreach (var pending in _list)
        {
            if (pending.Length == 0)
                continue;
            var due = pending.FirstMs + flushIntervalMs - nowMs;
            if (all || due <= 0)
                Submit(pending);
            else if (next < 0 || due < next)
                next = due;
        }
        return next;
    }
}

/// <summary>Which records a log wants.</summary>
internal static class LogFilters
{
    public static bool Allows(LogFilterConfig filter, RequestRecord record)
    {
        switch (filter.Kind)
        {
            case LogFilterKind.StatusCode:
                return Compare(filter, record.Status);
            case LogFilterKind.Duration:
                return Compare(filter, (record.EndMicros - record.StartMicros) / 1000);
            case LogFilterKind.ResponseFlag:
                if (filter.Flags.Count == 0)
                    return record.Reason != FailureReason.None;
                var flag = Failures.Flag(record.Reason);
                foreach (var wanted in filter.Flags)
                {
                    if (wanted == flag)
                        return true;
                }
                return false;
            case LogFilterKind.And:
                foreach (var child in filter.Children)
                {
                    if (!Allows(child, record))
                        return false;
                }
                return true;
            case LogFilterKind.Or:
                foreach (var child in filter.Children)
                {
                    if (Allows(child, record))
                        return true;
                }
                return false;
            case LogFilterKind.Header:
                return record.Request is not null && HeaderMatching.Matches(filter.Header!, record.Request);
            default:
                return true;
        }
    }

    private static bool Compare(LogFilterConfig filter, long value) => filter.Comparison switch
    {
        "EQ" => value == filter.Value,
        "LE" => value <= filter.Value,
        _ => value >= filter.Value,
    };
}
