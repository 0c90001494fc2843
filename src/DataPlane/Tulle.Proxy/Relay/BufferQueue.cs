using Tulle.Loop;

namespace Tulle.Proxy;

/// <summary>A rented array used as a queue of bytes; given back when empty. Static so that its owner's state stays plain fields.</summary>
internal static class BufferQueue
{
    public static void Append(BufferPool pool, ref byte[]? buffer, ref int start, ref int end, ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty)
            return;
        var length = end - start;
        if (buffer is null)
        {
            buffer = pool.Rent(data.Length);
            start = end = 0;
        }
        else if (buffer.Length - end < data.Length)
        {
            var target = length + data.Length <= buffer.Length ? buffer : pool.Rent(Math.Max(length + data.Length, buffer.Length * 2));
            buffer.AsSpan(start, length).CopyTo(target);
            if (!ReferenceEquals(target, buffer))
                pool.Return(buffer);
            buffer = target;
            start = 0;
            end = length;
        }
        data.CopyTo(buffer.AsSpan(end));
        end += data.Length;
    }

    public static void Consume(BufferPool pool, ref byte[]? buffer, ref int start, ref int end, int count)
    {
        start += count;
        if (start < end || buffer is null)
            return;
        pool.Return(buffer);
        buffer = null;
        start = end = 0;
    }
}
