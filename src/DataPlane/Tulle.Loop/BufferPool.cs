namespace Tulle.Loop;

/// <summary>
/// Byte arrays of a few sizes, owned by one loop. A connection rents when its socket has bytes and returns when it is empty, so an idle connection
/// holds none. Arrays are pinned: native calls take them without cost and the collector never moves around them.
/// </summary>
public sealed class BufferPool
{
    public const int Small = 4 * 1024;
    public const int Medium = 16 * 1024;
    public const int Large = 64 * 1024;

    /// <summary>Free arrays kept per size: 4 KiB × 256 + 16 KiB × 128 + 64 KiB × 32 = 5 MiB a loop at the most.</summary>
    private static readonly int[] KeepMax = [256, 128, 32];

    private readonly byte[][][] _free = [new byte[KeepMax[0]][], new byte[KeepMax[1]][], new byte[KeepMax[2]][]];
    private readonly int[] _count = new int[3];

    /// <summary>Arrays rented and not returned; a test compares it with zero after traffic.</summary>
    public int Rented { get; private set; }

    /// <summary>Their bytes.</summary>
    public long RentedBytes { get; private set; }

    /// <summary>An array of at least this size; larger than <see cref="Large"/> is made anew and not kept.</summary>
    public byte[] Rent(int bytes)
    {
        Rented++;
        var index = Index(bytes);
        RentedBytes += index < 0 ? bytes : SizeOf(index);
        if (index < 0)
            return new byte[bytes];
        ref var count = ref _count[index];
        return count > 0 ? _free[index][--count] : GC.AllocateUninitializedArray<byte>(SizeOf(index), pinned: true);
    }

    public void Return(byte[] buffer)
    {
        Rented--;
        RentedBytes -= buffer.Length;
        var index = Index(buffer.Length);
        if (index < 0 || SizeOf(index) != buffer.Length)
            return;
        ref var count = ref _count[index];
        if (count < _free[index].Length)
            _free[index][count++] = buffer;
    }

    private static int SizeOf(int index) => index switch { 0 => Small, 1 => Medium, _ => Large };

    private static int Index(int bytes) => bytes <= Small ? 0 : bytes <= Medium ? 1 : bytes <= Large ? 2 : -1;
}
