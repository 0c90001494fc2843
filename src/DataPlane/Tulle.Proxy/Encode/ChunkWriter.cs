using Tulle.Wire;

namespace Tulle.Proxy;

/// <summary>
/// Puts together in the staging area what is written for one read of a chunked body: the content of all its chunks as one chunk, and behind it the
/// last chunk with the trailers when the body ended. So a peer that sends one byte a chunk costs one write a read, as in Envoy.
/// </summary>
internal ref struct ChunkWriter
{
    /// <summary>Room for the size of the chunk, which is known last: eight digits and CRLF.</summary>
    private const int SizeBytesMax = 10;

    private readonly Span<byte> _staging;
    private readonly bool _isChunked;
    private int _end = SizeBytesMax;
    private ByteWriter _tail;
    private bool _hasTail, _isClosed;

    /// <param name="staging">The loop's staging area.</param>
    /// <param name="isChunked">False: the content goes as it is (to an HTTP/1.0 client).</param>
    public ChunkWriter(Span<byte> staging, bool isChunked)
    {
        _staging = staging;
        _isChunked = isChunked;
    }

    public readonly bool IsEmpty => _end == SizeBytesMax && !_hasTail;

    /// <summary>Room for content, with the CRLF behind it and the last chunk.</summary>
    public readonly bool Fits(int bytes) => _end + bytes + 8 <= _staging.Length;

    public void Add(ReadOnlySpan<byte> content)
    {
        content.CopyTo(_staging[_end..]);
        _end += content.Length;
    }

    /// <summary>The last chunk begins, unless it did: only <see cref="AddTrailer"/> and <see cref="End"/> follow.</summary>
    public void BeginLast(bool writeSize)
    {
        if (_hasTail)
            return;
        if (_end > SizeBytesMax && _isChunked)
            CloseChunk();
        _tail = new ByteWriter(_staging[_end..]);
        _hasTail = true;
        if (writeSize)
            _tail.Add("0\r\n"u8);
    }

    public void AddTrailer(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) => _tail.AddField(name, value);

    public void End() => _tail.Add("\r\n"u8);

    private void CloseChunk()
    {
        "\r\n"u8.CopyTo(_staging[_end..]);
        _end += 2;
        _isClosed = true;
    }

    /// <summary>What is to be written. The writer is used up.</summary>
    public ReadOnlySpan<byte> Finish()
    {
        var content = _end - SizeBytesMax - (_isClosed ? 2 : 0);
        if (_isChunked && content > 0 && !_isClosed)
            CloseChunk();
        var start = SizeBytesMax;
        if (_isChunked && content > 0)
        {
            _staging[--start] = (byte)'\n';
            _staging[--start] = (byte)'\r';
            for (var rest = content; rest > 0; rest >>= 4)
                _staging[--start] = "0123456789abcdef"u8[rest & 15];
        }
        return _staging[start..(_end + (_hasTail ? _tail.Length : 0))];
    }
}
