using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Tulle.Wire;

/// <summary>Field names in ASCII lower case, eight bytes at a time: names are short, and calls that are made for long texts cost more than their work.</summary>
public static class LowerCase
{
    /// <summary>Writes the text in lower case to the start of the target, which must have room for it and must not overlap it.</summary>
    public static void Copy(ReadOnlySpan<byte> text, Span<byte> target)
    {
        var length = text.Length;
        if (length < sizeof(ulong))
        {
            for (var i = 0; i < length; i++)
                target[i] = Of(text[i]);
            return;
        }
        for (var i = 0; i <= length - sizeof(ulong); i += sizeof(ulong))
            BinaryPrimitives.WriteUInt64LittleEndian(target[i..], Of(BinaryPrimitives.ReadUInt64LittleEndian(text[i..])));
        // The last eight may be written twice.
        var last = length - sizeof(ulong);
        BinaryPrimitives.WriteUInt64LittleEndian(target[last..], Of(BinaryPrimitives.ReadUInt64LittleEndian(text[last..])));
    }

    /// <summary>Whether two texts differ in case at most.</summary>
    public static bool AreEqual(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        var length = left.Length;
        if (length != right.Length)
            return false;
        if (length < sizeof(ulong))
        {
            for (var i = 0; i < length; i++)
            {
                if (Of(left[i]) != Of(right[i]))
                    return false;
            }
            return true;
        }
        for (var i = 0; i <= length - sizeof(ulong); i += sizeof(ulong))
        {
            if (Of(BinaryPrimitives.ReadUInt64LittleEndian(left[i..])) != Of(BinaryPrimitives.ReadUInt64LittleEndian(right[i..])))
                return false;
        }
        var last = length - sizeof(ulong);
        return Of(BinaryPrimitives.ReadUInt64LittleEndian(left[last..])) == Of(BinaryPrimitives.ReadUInt64LittleEndian(right[last..]));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte Of(byte value) => (byte)(value - 'A') <= 'Z' - 'A' ? (byte)(value | 0x20) : value;

    /// <summary>Eight bytes at once. Bit 7 of each sum says whether the byte's low seven bits are at least 'A', and above 'Z'; bytes above 0x7F are left alone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Of(ulong eight)
    {
        const ulong each = 0x0101010101010101, high = 0x80 * each;
        var low = eight & ~high;
        var isAtLeastA = low + (0x80 - 'A') * each;
        var isAboveZ = low + (0x7F - 'Z') * each;
        return eight | (((isAtLeastA ^ isAboveZ) & ~eight & high) >> 2);
    }
}
