namespace Tulle.Loop;

/// <summary>A rented array with the bytes from <see cref="Start"/> to <see cref="End"/> in use; given back when it runs empty. Plain data of its owner.</summary>
internal struct RentedBytes
{
    public byte[]? Array;
    public int Start, End;

    public readonly int Length => End - Start;

    public readonly Span<byte> Used => Array.AsSpan(Start, End - Start);

    public readonly Span<byte> Free => Array.AsSpan(End);

    /// <summary>Makes room for so many bytes in all, those in use included, and moves them to the front.</summary>
    public void Reserve(BufferPool pool, int bytes)
    {
        if (Array is null)
        {
            Array = pool.Rent(bytes);
            Start = End = 0;
            return;
        }
        if (Start == 0 && Array.Length >= bytes)
            return;
        var target = Array.Length >= bytes ? Array : pool.Rent(bytes);
        Used.CopyTo(target);
        End -= Start;
        Start = 0;
        if (!ReferenceEquals(target, Array))
            pool.Return(Array);
        Array = target;
    }

    public void Append(BufferPool pool, ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
            return;
        if (Array is null || Free.Length < bytes.Length)
            Reserve(pool, Length + bytes.Length);
        bytes.CopyTo(Free);
        End += bytes.Length;
    }

    public void Consume(BufferPool pool, int count)
    {
        Start += count;
        if (Start == End)
            Return(pool);
    }

    public void Return(BufferPool pool)
    {
        if (Array is not null)
            pool.Return(Array);
        Array = null;
        Start = End = 0;
    }
}
