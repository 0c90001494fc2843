using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using CryptographicOperations = System.Security.Cryptography.CryptographicOperations;

namespace Tulle.Native;

/// <summary>
/// AES-GCM (NIST SP 800-38D) for TLS records in the processor's own AES and carry-less multiplication of two blocks at once, 8 blocks at a time: libcrypto 3.0 multiplies
/// 128 bits at a time and looks its state up through five calls per record. Time does not depend on key or data: no tables, no branches on either.
/// The state is plain data. <see cref="GcmChoice"/> says when it is used, <see cref="AeadCipher"/> uses libcrypto else.
/// </summary>
public sealed unsafe class GcmKey
{
    /// <summary>Blocks whose counters are encrypted side by side: enough to hide the latency of AESENC, few enough for 16 registers with what is multiplied between the rounds.</summary>
    private const int ChunkBlocks = 8;
    private const int ChunkBytes = ChunkBlocks * 16;

    /// <summary>Powers of the hash key kept: a rest of at most a chunk and the block of lengths are multiplied at once.</summary>
    private const int Powers = ChunkBlocks + 1;

    /// <summary>x^128 + x^7 + x^2 + x + 1 with its bits reversed, without the term that falls out (SP 800-38D section 6.3).</summary>
    private const ulong Polynomial = 0xC200000000000000;

    private static ReadOnlySpan<byte> ZeroChunk => [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    /// <summary>A constant, not a field: a field of a class that has anything to initialize is asked for at every use in the native form.</summary>
    private static Vector128<byte> Reversal
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector128.Create((byte)15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    }

    /// <summary>Powers of H, highest first, each times x (which spares a shift per product), then the round keys.</summary>
    private readonly Vector128<byte>[] _material;
    private readonly int _rounds;

    /// <summary>AES-128 or AES-256 by the key's length (FIPS 197).</summary>
    public GcmKey(ReadOnlySpan<byte> key)
    {
        _rounds = key.Length / 4 + 6;
        _material = new Vector128<byte>[Powers + _rounds + 1];
        ExpandKey(key, MemoryMarshal.Cast<Vector128<byte>, uint>(_material.AsSpan(Powers)));
        fixed (Vector128<byte>* material = _material)
        {
            var h = Ssse3.Shuffle(Encrypt(material + Powers, Vector128<byte>.Zero), Reversal).AsUInt64();
            var carry = 0 - (h[1] >> 63);
            var power = Vector128.Create((h[0] << 1) ^ (carry & 1), (h[1] << 1 | h[0] >> 63) ^ (carry & Polynomial));
            var powers = (Vector128<ulong>*)material;
            powers[Powers - 1] = power;
            for (var i = Powers - 2; i >= 0; i--)
                powers[i] = Product.Of(powers[i + 1], power);
        }
    }

    /// <summary>AES-NI, AVX2 and VPCLMULQDQ in 256 bits (Intel since 2019, AMD since 2020); asked for at run time in every form of the program.</summary>
    public static bool IsSupported => Aes.IsSupported && Ssse3.IsSupported && Avx2.IsSupported && Pclmulqdq.V256.IsSupported;

    /// <summary>Decides, on another thread and once, whether and up to which length this code is used.</summary>
    public static void Prepare() => GcmChoice.Prepare();

    /// <summary>The key itself, which the round keys begin with (FIPS 197 section 5.2).</summary>
    internal ReadOnlySpan<byte> Key => MemoryMarshal.AsBytes(_material.AsSpan(Powers))[..((_rounds - 6) * 4)];

    /// <summary>Encrypts the plaintext and one byte after it, and appends the tag. Input and output are the same memory or do not overlap; associated data is at most one block.</summary>
    public void Seal(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associated, ReadOnlySpan<byte> plaintext, byte lastByte, Span<byte> output)
    {
        var length = plaintext.Length + 1;
        ArgumentOutOfRangeException.ThrowIfLessThan(output.Length, length + AeadCipher.TagBytes);
        var tag = Crypt(nonce, associated, plaintext, lastByte, output[..length]);
        tag.CopyTo(output[length..]);
    }

    /// <summary>Decrypts and checks the tag at the end of the input; false, with the output cleared, when it does not fit.</summary>
    public bool Open(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associated, ReadOnlySpan<byte> sealedText, Span<byte> output)
    {
        var length = sealedText.Length - AeadCipher.TagBytes;
        Span<byte> tag = stackalloc byte[AeadCipher.TagBytes], expected = stackalloc byte[AeadCipher.TagBytes];
        sealedText[length..].CopyTo(expected);
        Crypt(nonce, associated, sealedText[..length], -1, output[..length]).CopyTo(tag);
        if (CryptographicOperations.FixedTimeEquals(tag, expected))
            return true;
        output[..length].Clear();
        return false;
    }

    public void Clear() => CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes(_material.AsSpan()));

    /// <param name="lastByte">What follows the input and is encrypted with it; −1 when decrypting.</param>
    private Vector128<byte> Crypt(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associated, ReadOnlySpan<byte> input, int lastByte, Span<byte> output)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(nonce.Length, AeadCipher.NonceBytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(associated.Length, 16);
        var first = default(Vector128<byte>);
        var block = new Span<byte>(&first, 16);
        // J0 = IV || 0^31 || 1 encrypts the tag; the data's counters start at 2 (SP 800-38D section 7.1).
        nonce.CopyTo(block);
        block[15] = 1;
        fixed (byte* source = input, target = output)
        fixed (Vector128<byte>* material = _material)
        {
            var powers = (Vector128<ulong>*)material;
            var keys = material + Powers;
            var mask = Encrypt(keys, first);
            var counter = Ssse3.Shuffle(first, Reversal).AsUInt32() + Vector128.CreateScalar(1u);
            first = default;
            associated.CopyTo(block);
            var hash = Product.Of(Ssse3.Shuffle(first, Reversal).AsUInt64(), powers[Powers - 1]);
            if (associated.Length == 0)
                hash = default;
            var chunks = input.Length / ChunkBytes;
            if (chunks > 0)
                hash = Chunks(source, target, chunks, ref counter, hash, keys, powers + (Powers - ChunkBlocks), lastByte >= 0);
            var done = chunks * ChunkBytes;
            var lengths = Vector128.Create((ulong)output.Length * 8, (ulong)associated.Length * 8);
            hash = Rest(source + done, input.Length - done, lastByte, target + done, counter, hash, lengths, keys, powers);
            return Ssse3.Shuffle(hash.AsByte(), Reversal) ^ mask;
        }
    }

    /// <summary>Whole chunks. While one is encrypted or decrypted, the ciphertext before it (sealing) or of it (opening) is hashed between the rounds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private Vector128<ulong> Chunks(byte* source, byte* target, int chunks, ref Vector128<uint> counter, Vector128<ulong> start, Vector128<byte>* keys, Vector128<ulong>* powers, bool encrypt)
    {
        var rounds = _rounds;
        var next = counter;
        fixed (byte* zero = ZeroChunk)
        {
            // Sealing, there is nothing to hash beside the first chunk: zeros add nothing.
            var hashed = encrypt ? zero : source;
            var hash = encrypt ? default : start;
            for (var chunk = 0; chunk < chunks; chunk++)
            {
                var key = keys[0];
                var b0 = Counter(next, 0, key);
                var b1 = Counter(next, 1, key);
                var b2 = Counter(next, 2, key);
                var b3 = Counter(next, 3, key);
                var b4 = Counter(next, 4, key);
                var b5 = Counter(next, 5, key);
                var b6 = Counter(next, 6, key);
                var b7 = Counter(next, 7, key);
                next += Vector128.CreateScalar((uint)ChunkBlocks);
                Round(keys[1], ref b0, ref b1, ref b2, ref b3, ref b4, ref b5, ref b6, ref b7);
                var wide = new WideProduct(Load(hashed) ^ hash.ToVector256(), powers);
                Round(keys[2], ref b0, ref b1, ref b2, ref b3, ref b4, ref b5, ref b6, ref b7);
                wide.Add(Load(hashed + 32), powers + 2);
                Round(keys[3], ref b0, ref b1, ref b2, ref b3, ref b4, ref b5, ref b6, ref b7);
                Round(keys[4], ref b0, ref b1, ref b2, ref b3, ref b4, ref b5, ref b6, ref b7);
                wide.Add(Load(hashed + 64), powers + 4);
                Round(keys[5], ref b0, ref b1, ref b2, ref b3, ref b4, ref b5, ref b6, ref b7);
                Round(keys[6], ref b0, ref b1, ref b2, ref b3, ref b4, ref b5, ref b6, ref b7);
                wide.Add(Load(hashed + 96), powers + 6);
                Round(keys[7], ref b0, ref b1, ref b2, ref b3, ref b4, ref b5, ref b6, ref b7);
                hash = wide.Reduce();
                for (var round = 8; round < rounds; round++)
                    Round(keys[round], ref b0, ref b1, ref b2, ref b3, ref b4, ref b5, ref b6, ref b7);
                key = keys[rounds];
                var s0 = Vector256.Create(Aes.EncryptLast(b0, key), Aes.EncryptLast(b1, key)) ^ Vector256.Load(source);
                var s1 = Vector256.Create(Aes.EncryptLast(b2, key), Aes.EncryptLast(b3, key)) ^ Vector256.Load(source + 32);
                var s2 = Vector256.Create(Aes.EncryptLast(b4, key), Aes.EncryptLast(b5, key)) ^ Vector256.Load(source + 64);
                var s3 = Vector256.Create(Aes.EncryptLast(b6, key), Aes.EncryptLast(b7, key)) ^ Vector256.Load(source + 96);
                s0.Store(target);
                s1.Store(target + 32);
                s2.Store(target + 64);
                s3.Store(target + 96);
                source += ChunkBytes;
                hashed = encrypt ? target : source;
                target += ChunkBytes;
                if (encrypt && chunk == 0)
                    hash = start;
            }
            counter = next;
            if (!encrypt)
                return hash;
            var last = new WideProduct(Load(hashed) ^ hash.ToVector256(), powers);
            last.Add(Load(hashed + 32), powers + 2);
            last.Add(Load(hashed + 64), powers + 4);
            last.Add(Load(hashed + 96), powers + 6);
            return last.Reduce();
        }
    }

    /// <summary>What is left, less than a chunk, block by block, and the block of lengths; reduced once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private Vector128<ulong> Rest(byte* source, int length, int lastByte, byte* target, Vector128<uint> counter, Vector128<ulong> hash, Vector128<ulong> lengths, Vector128<byte>* keys, Vector128<ulong>* powers)
    {
        var encrypt = lastByte >= 0;
        var total = encrypt ? length + 1 : length;
        var power = powers + (Powers - 1 - (total + 15) / 16);
        var product = default(Product);
        for (var at = 0; at < total; at += 16)
        {
            var stream = Encrypt(keys, Counter(counter, 0, default));
            counter += Vector128.CreateScalar(1u);
            Vector128<byte> text;
            if (length - at >= 16)
            {
                var read = Vector128.Load(source + at);
                var made = read ^ stream;
                made.Store(target + at);
                text = encrypt ? made : read;
            }
            else
            {
                // The last block, padded with zeros for the hash only (section 7.1 step 4).
                var padded = default(Vector128<byte>);
                var block = (byte*)&padded;
                for (var i = at; i < length; i++)
                    block[i - at] = source[i];
                if (encrypt)
                    block[length - at] = (byte)lastByte;
                var made = padded ^ stream;
                text = padded;
                padded = made;
                for (var i = at; i < total; i++)
                    target[i] = block[i - at];
                if (encrypt)
                {
                    for (var i = total - at; i < 16; i++)
                        block[i] = 0;
                    text = padded;
                }
            }
            product.Add(Ssse3.Shuffle(text, Reversal).AsUInt64() ^ hash, *power++);
            hash = default;
        }
        product.Add(lengths ^ hash, *power);
        return product.Reduce();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector128<byte> Encrypt(Vector128<byte>* keys, Vector128<byte> block)
    {
        block ^= keys[0];
        for (var round = 1; round < _rounds; round++)
            block = Aes.Encrypt(block, keys[round]);
        return Aes.EncryptLast(block, keys[_rounds]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> Counter(Vector128<uint> counter, uint add, Vector128<byte> key) => Ssse3.Shuffle((counter + Vector128.CreateScalar(add)).AsByte(), Reversal) ^ key;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Load(byte* two) => Avx2.Shuffle(Vector256.Load(two), Vector256.Create(Reversal, Reversal)).AsUInt64();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Round(
        Vector128<byte> key, ref Vector128<byte> b0, ref Vector128<byte> b1, ref Vector128<byte> b2, ref Vector128<byte> b3, ref Vector128<byte> b4, ref Vector128<byte> b5,
        ref Vector128<byte> b6, ref Vector128<byte> b7)
    {
        b0 = Aes.Encrypt(b0, key);
        b1 = Aes.Encrypt(b1, key);
        b2 = Aes.Encrypt(b2, key);
        b3 = Aes.Encrypt(b3, key);
        b4 = Aes.Encrypt(b4, key);
        b5 = Aes.Encrypt(b5, key);
        b6 = Aes.Encrypt(b6, key);
        b7 = Aes.Encrypt(b7, key);
    }

    /// <summary>The key schedule of FIPS 197 section 5.2, in little-endian words.</summary>
    private static void ExpandKey(ReadOnlySpan<byte> key, Span<uint> words)
    {
        var count = key.Length / 4;
        for (var i = 0; i < count; i++)
            words[i] = BinaryPrimitives.ReadUInt32LittleEndian(key[(4 * i)..]);
        var constant = 1u;
        for (var i = count; i < words.Length; i++)
        {
            var word = words[i - 1];
            if (i % count == 0)
            {
                word = uint.RotateRight(SubstituteWord(word), 8) ^ constant;
                constant = constant << 1 ^ (constant >> 7) * 0x11B;
            }
            else if (count > 6 && i % count == 4)
            {
                word = SubstituteWord(word);
            }
            words[i] = words[i - count] ^ word;
        }
    }

    private static uint SubstituteWord(uint word) => Aes.KeygenAssist(Vector128.Create(word).AsByte(), 0).AsUInt32()[0];

    /// <summary>Sums of products of blocks and powers before their reduction: 128 × 128 bits in three parts.</summary>
    private struct Product
    {
        private Vector128<ulong> _low, _middle, _high;

        public Product(Vector128<ulong> low, Vector128<ulong> middle, Vector128<ulong> high) => (_low, _middle, _high) = (low, middle, high);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<ulong> Of(Vector128<ulong> a, Vector128<ulong> b)
        {
            var product = default(Product);
            product.Add(a, b);
            return product.Reduce();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add(Vector128<ulong> a, Vector128<ulong> b)
        {
            _low ^= Pclmulqdq.CarrylessMultiply(a, b, 0x00);
            _middle ^= Pclmulqdq.CarrylessMultiply(a, b, 0x01) ^ Pclmulqdq.CarrylessMultiply(a, b, 0x10);
            _high ^= Pclmulqdq.CarrylessMultiply(a, b, 0x11);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly Vector128<ulong> Reduce()
        {
            var polynomial = Vector128.CreateScalar(Polynomial);
            var low = _low ^ Sse2.ShiftLeftLogical128BitLane(_middle, 8);
            var high = _high ^ Sse2.ShiftRightLogical128BitLane(_middle, 8);
            // Twice the lowest 64 bits are folded into the bits above them.
            low = Sse2.Shuffle(low.AsUInt32(), 0x4e).AsUInt64() ^ Pclmulqdq.CarrylessMultiply(low, polynomial, 0x00);
            low = Sse2.Shuffle(low.AsUInt32(), 0x4e).AsUInt64() ^ Pclmulqdq.CarrylessMultiply(low, polynomial, 0x00);
            return low ^ high;
        }
    }

    /// <summary>The same for two blocks side by side.</summary>
    private struct WideProduct
    {
        private Vector256<ulong> _low, _middle, _high;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public WideProduct(Vector256<ulong> blocks, Vector128<ulong>* powers) => Add(blocks, powers);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add(Vector256<ulong> blocks, Vector128<ulong>* powers)
        {
            var two = Vector256.Load((ulong*)powers);
            _low ^= Pclmulqdq.V256.CarrylessMultiply(blocks, two, 0x00);
            _middle ^= Pclmulqdq.V256.CarrylessMultiply(blocks, two, 0x01) ^ Pclmulqdq.V256.CarrylessMultiply(blocks, two, 0x10);
            _high ^= Pclmulqdq.V256.CarrylessMultiply(blocks, two, 0x11);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly Vector128<ulong> Reduce() => new Product(Fold(_low), Fold(_middle), Fold(_high)).Reduce();

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector128<ulong> Fold(Vector256<ulong> two) => two.GetLower() ^ two.GetUpper();
    }
}
