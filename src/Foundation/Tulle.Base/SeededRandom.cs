namespace Tulle.Base;

/// <summary>A small fast random source whose run can be repeated from its seed (xoshiro256**, seeded by splitmix64). Not for keys.</summary>
public sealed class SeededRandom
{
    private ulong _a, _b, _c, _d;

    public SeededRandom(ulong seed)
    {
        _a = Mix(ref seed);
        _b = Mix(ref seed);
        _c = Mix(ref seed);
        _d = Mix(ref seed);
    }

    private static ulong Mix(ref ulong state)
    {
        var z = state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    public ulong NextUInt64()
    {
        var result = ulong.RotateLeft(_b * 5, 7) * 9;
        var t = _b << 17;
        _c ^= _a;
        _d ^= _b;
        _b ^= _c;
        _a ^= _d;
        _c ^= t;
        _d = ulong.RotateLeft(_d, 45);
        return result;
    }

    /// <summary>A number from 0 to <paramref name="bound"/> − 1; bound must be positive.</summary>
    public int Next(int bound) => (int)Math.BigMul(NextUInt64(), (ulong)(uint)bound, out _);

    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1ul << 53));
}
