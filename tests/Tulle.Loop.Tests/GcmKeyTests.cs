using System.Security.Cryptography;
using FsCheck;
using FsCheck.Fluent;
using Tulle.Native;

namespace Tulle.Loop.Tests;

/// <summary>Our AES-GCM beside libcrypto's, over every length that takes another way through it.</summary>
public class GcmKeyTests
{
    private const int Tag = AeadCipher.TagBytes;

    [NeedsVectorCodeFact]
    public void The_known_answer_of_the_mode_s_authors()
    {
        // "The Galois/Counter Mode of Operation", test case 3
        var plaintext = Convert.FromHexString("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255");
        var sealedText = new byte[plaintext.Length + Tag];
        new GcmKey(Convert.FromHexString("feffe9928665731c6d6a8f9467308308")).Seal(Convert.FromHexString("cafebabefacedbaddecaf888"), default, plaintext.AsSpan(..^1), plaintext[^1], sealedText);
        Assert.Equal("42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985" + "4d5c2af327cd64a62cf35abd2ba6fab4", Convert.ToHexStringLower(sealedText));
    }

    [NeedsVectorCodeFact]
    public void Every_length_seals_as_libcrypto_does_and_opens_in_place()
    {
        CompareEveryLength(keyBytes: 16);
        CompareEveryLength(keyBytes: 32);
    }

    private static void CompareEveryLength(int keyBytes)
    {
        var random = new Random(keyBytes);
        for (var length = 1; length <= 16385; length += length < 1200 ? 1 : 1021)
        {
            var (key, nonce, associated, plaintext) = (Bytes(random, keyBytes), Bytes(random, 12), Bytes(random, length % 17), Bytes(random, length));
            var expected = Sealed(key, nonce, associated, plaintext);
            var own = new GcmKey(key);
            var made = new byte[length + Tag];
            own.Seal(nonce, associated, plaintext.AsSpan(..^1), plaintext[^1], made);
            Assert.True(expected.AsSpan().SequenceEqual(made), $"sealing {length} bytes");
            Assert.True(own.Open(nonce, associated, made, made), $"opening {length} bytes");
            Assert.True(plaintext.AsSpan().SequenceEqual(made.AsSpan(..length)), $"the content of {length} bytes");
        }
    }

    [NeedsVectorCodeFact]
    public void One_changed_bit_anywhere_is_refused_and_nothing_of_the_content_is_left()
    {
        Prop.ForAll<byte[], int>((content, where) =>
        {
            var random = new Random(where);
            var (key, nonce, associated) = (Bytes(random, 16), Bytes(random, 12), Bytes(random, 5));
            // Long enough now and then for whole chunks.
            var plaintext = where % 3 == 0 ? [.. Bytes(random, 400), .. content, 23] : content.Append((byte)23).ToArray();
            var whole = nonce.Concat(associated).Concat(Sealed(key, nonce, associated, plaintext)).ToArray();
            whole[(uint)where % whole.Length] ^= (byte)(1 << (where & 7));
            var output = new byte[plaintext.Length];
            return !new GcmKey(key).Open(whole.AsSpan(..12), whole.AsSpan(12, 5), whole.AsSpan(17), output) && output.All(b => b == 0);
        }).QuickCheckThrowOnFailure();
    }

    [NeedsVectorCodeFact]
    public void A_record_allocates_nothing()
    {
        var key = new GcmKey(new byte[16]);
        var (content, record, nonce, associated) = (new byte[5000], new byte[5000 + 1 + Tag], new byte[12], new byte[5]);
        key.Seal(nonce, associated, content, 23, record);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
            key.Seal(nonce, associated, content, 23, record);
        Assert.True(key.Open(nonce, associated, record, record));
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    /// <summary>Whatever the choice is when a cipher is made, both sides of a connection understand each other; a record's length picks the form.</summary>
    [NeedsVectorCodeFact]
    public void Ciphers_of_every_choice_understand_each_other()
    {
        var random = new Random(5);
        foreach (var kind in new[] { AeadKind.Aes128Gcm, AeadKind.Aes256Gcm })
        {
            var key = Bytes(random, AeadCipher.KeyBytes(kind));
            foreach (var (mine, yours) in new[] { (0, int.MaxValue), (int.MaxValue, 0), (1000, 0), (1000, int.MaxValue), (1000, 17) })
            {
                using var writer = new AeadCipher(kind, key, encrypt: true, mine);
                using var reader = new AeadCipher(kind, key, encrypt: false, yours);
                foreach (var length in new[] { 0, 1, 16, 17, 998, 999, 1000, 1001, 3000, 0, 999, 16384 })
                {
                    var (nonce, associated, content) = (Bytes(random, 12), Bytes(random, 5), Bytes(random, length));
                    var record = new byte[content.Length + 1 + Tag];
                    Assert.True(writer.Seal(nonce, associated, content, 23, record));
                    Assert.True(reader.Open(nonce, associated, record, record), $"{kind}, {length} bytes, own code below {mine} and {yours}");
                    Assert.True(content.AsSpan().SequenceEqual(record.AsSpan(..content.Length)));
                    Assert.Equal(23, record[content.Length]);
                }
            }
        }
    }

    [NeedsVectorCodeFact]
    public void The_choice_is_made_once_it_is_asked_for_and_told()
    {
        GcmKey.Prepare();
        Assert.True(SpinWait.SpinUntil(() => GcmChoice.IsMade, TimeSpan.FromSeconds(30)), "nothing was chosen within 30 s");
    }

    [Theory]
    // Measured: libcrypto 3.0 loses at every length, 3.5 with AVX-512 from a few hundred bytes on.
    [InlineData(96, 2482, 266, 3555, int.MaxValue)]
    [InlineData(96, 2482, 149, 1489, 890)]
    [InlineData(300, 3000, 250, 2000, 0)]
    [InlineData(300, 2000, 250, 3000, int.MaxValue)]
    [InlineData(100, 1000, 100, 1000, 0)]
    public void Own_code_is_used_below_the_length_at_which_libcrypto_catches_up(double ownSmall, double ownLarge, double theirSmall, double theirLarge, int below) =>
        Assert.Equal(below, GcmChoice.Threshold(ownSmall, ownLarge, theirSmall, theirLarge));

    /// <summary>What `tulle-proxy --self-test` runs in the shipped form.</summary>
    [Fact]
    public void The_self_test_passes() => Assert.Null(CipherSelfTest.Run(out _));

    private static byte[] Sealed(byte[] key, byte[] nonce, byte[] associated, byte[] plaintext)
    {
        var output = new byte[plaintext.Length + Tag];
        using var reference = new AesGcm(key, Tag);
        reference.Encrypt(nonce, plaintext, output.AsSpan(..plaintext.Length), output.AsSpan(plaintext.Length), associated);
        return output;
    }

    private static byte[] Bytes(Random random, int count)
    {
        var bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }
}

/// <summary>A fact about code for processors with AVX2 and VPCLMULQDQ.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class NeedsVectorCodeFactAttribute : FactAttribute
{
    public NeedsVectorCodeFactAttribute() => Skip = GcmKey.IsSupported ? null! : "this processor has no AVX2 with VPCLMULQDQ";
}
