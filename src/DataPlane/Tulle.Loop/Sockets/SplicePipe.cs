using Tulle.Base;
using Tulle.Native;

namespace Tulle.Loop;

public enum SpliceResult : byte
{
    /// <summary>The sink is full; bytes may wait in the pipe.</summary>
    Blocked,

    /// <summary>The source is empty and so is the pipe.</summary>
    Quiet,

    /// <summary>Both sides could go on; others should have their turn first.</summary>
    More,
    SourceEnded,

    /// <summary>The source was reset; what it sent before is delivered.</summary>
    SourceFailed,
    SinkFailed,
}

/// <summary>A kernel pipe between two sockets: bytes pass without being copied to user space.</summary>
public sealed class SplicePipe : IDisposable
{
    private readonly int _capacity;
    private int _read, _write, _inside;
    private bool _sourceFailed;

    private SplicePipe(int read, int write, int capacity)
    {
        _read = read;
        _write = write;
        _capacity = capacity;
    }

    /// <summary>Nothing is in it, so that another connection may have it.</summary>
    internal bool IsClean => _read >= 0 && _inside == 0;

    /// <summary>Null when the process is out of descriptors, or of pipe memory so that a pipe would be smaller than a copy (0 or less in <paramref name="capacity"/>).</summary>
    internal static SplicePipe? TryCreate(int bytesWanted, int bytesMin, out int capacity)
    {
        capacity = Libc.Pipe(bytesWanted, out var read, out var write);
        if (capacity >= bytesMin)
            return new SplicePipe(read, write, capacity);
        if (capacity >= 0)
        {
            _ = Libc.Close(read);
            _ = Libc.Close(write);
        }
        return null;
    }

    internal void Reset() => _sourceFailed = false;

    /// <summary>Fills the pipe once and empties it as far as the sink takes it; returns the bytes delivered.</summary>
    public long Pump(LoopSocket source, LoopSocket sink, out SpliceResult result)
    {
        var ended = false;
        if (_inside < _capacity && source.IsReadable && !_sourceFailed)
            ended = Fill(source);
        var delivered = Empty(sink, out var failed);
        if (failed)
            result = SpliceResult.SinkFailed;
        else if (_inside > 0)
            result = SpliceResult.Blocked;
        else if (_sourceFailed)
            result = SpliceResult.SourceFailed;
        else if (ended)
            result = SpliceResult.SourceEnded;
        else if (delivered > 0)
            result = SpliceResult.More;
        else
            result = SpliceResult.Quiet;
        return delivered;
    }

    /// <summary>True at the source's end.</summary>
    private bool Fill(LoopSocket source)
    {
        int got;
        do
        {
            got = Libc.Splice(source.Fd, _write, _capacity - _inside);
        }
        while (got == -Errno.EINTR);
        if (got > 0)
            _inside += got;
        else if (got == -Errno.EAGAIN)
            // EAGAIN also means a full pipe: only an empty one proves an empty socket.
            NoteEmpty(source);
        else if (got < 0)
            _sourceFailed = true;
        return got == 0;
    }

    private void NoteEmpty(LoopSocket source)
    {
        if (_inside == 0)
            source.NoteReadEmpty();
    }

    private long Empty(LoopSocket sink, out bool failed)
    {
        long delivered = 0;
        failed = false;
        while (_inside > 0)
        {
            var put = sink.IsWritable ? Libc.Splice(_read, sink.Fd, _inside) : -Errno.EAGAIN;
            if (put > 0)
            {
                _inside -= put;
                delivered += put;
            }
            else if (put == -Errno.EAGAIN)
            {
                sink.NoteWriteFull();
                break;
            }
            else if (put != -Errno.EINTR)
            {
                failed = true;
                break;
            }
        }
        return delivered;
    }

    public void Dispose()
    {
        if (_read < 0)
            return;
        _ = Libc.Close(_read);
        _ = Libc.Close(_write);
        _read = _write = -1;
    }
}
