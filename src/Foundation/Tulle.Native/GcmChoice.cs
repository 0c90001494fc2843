using System.Diagnostics;

namespace Tulle.Native;

/// <summary>
/// Who encrypts records with AES-GCM here: our own code up to a length, libcrypto from there on. A call of libcrypto costs more, a byte less where it has wide vectors itself (3.1 and later with
/// AVX-512, not 3.0); which it is depends on processor and library, so it is measured when TLS is first configured. Both forms take the same key, and a nonce belongs to one record: a connection
/// may use both.
/// </summary>
public static class GcmChoice
{
    private const int Small = 64, Large = 16 * 1024;

    /// <summary>Each is measured so often and the best counts: whoever is interrupted measures too much, never too little.</summary>
    private const int Samples = 9;

    private static int s_preparing;
    private static volatile int s_ownBelow;

    /// <summary>Records below this length are our own code's; 0 (also until it was measured): none, int.MaxValue: all.</summary>
    public static int OwnBelow => s_ownBelow;

    /// <summary>True when the choice was made; always where the processor leaves none.</summary>
    public static bool IsMade { get; private set; } = !GcmKey.IsSupported;

    /// <summary>Called once with what was chosen and why, from another thread.</summary>
    public static Action<string>? OnMade { get; set; }

    /// <summary>Measures on a thread of the pool; at once when that was done, or nothing is to be chosen.</summary>
    public static void Prepare()
    {
        if (GcmKey.IsSupported && Interlocked.Exchange(ref s_preparing, 1) == 0)
            ThreadPool.UnsafeQueueUserWorkItem(static _ => Measure(), null);
    }

    private static void Measure()
    {
        Span<byte> key = stackalloc byte[16];
        var own = new GcmKey(key);
        using var theirs = new AeadCipher(AeadKind.Aes128Gcm, key, encrypt: true, ownBelow: 0);
        var (text, output) = (new byte[Large], new byte[Large + 1 + AeadCipher.TagBytes]);
        double Best(int length, int calls, Action<int> seal)
        {
            var best = double.MaxValue;
            for (var sample = 0; sample < Samples; sample++)
            {
                var begun = Stopwatch.GetTimestamp();
                for (var i = 0; i < calls; i++)
                    seal(length);
                best = Math.Min(best, Stopwatch.GetElapsedTime(begun).TotalNanoseconds / calls);
            }
            return best;
        }
        void Own(int length) => own.Seal(text.AsSpan(0, AeadCipher.NonceBytes), default, text.AsSpan(0, length), 0, output);
        void Theirs(int length) => theirs.Seal(text.AsSpan(0, AeadCipher.NonceBytes), default, text.AsSpan(0, length), 0, output);
        // The first calls fetch code and tables; just in time they compile it.
        Best(Large, 2, Own);
        Best(Large, 2, Theirs);
        var (ownSmall, ownLarge, theirSmall, theirLarge) = (Best(Small, 20, Own), Best(Large, 2, Own), Best(Small, 20, Theirs), Best(Large, 2, Theirs));
        s_ownBelow = Threshold(ownSmall, ownLarge, theirSmall, theirLarge);
        IsMade = true;
        own.Clear();
        var chosen = OwnBelow switch
        {
            0 => "libcrypto",
            int.MaxValue => "own code",
            var below => $"own code below {below} bytes, libcrypto from there on",
        };
        OnMade?.Invoke($"AES-GCM: {chosen} (ns for {Small} B and {Large / 1024} KiB: own {ownSmall:F0} and {ownLarge:F0}, libcrypto {theirSmall:F0} and {theirLarge:F0})");
    }

    /// <summary>Where two straight lines through two points each cross: the length below which ours costs less.</summary>
    public static int Threshold(double ownSmall, double ownLarge, double theirSmall, double theirLarge)
    {
        var (ownPerByte, theirPerByte) = ((ownLarge - ownSmall) / (Large - Small), (theirLarge - theirSmall) / (Large - Small));
        if (ownSmall >= theirSmall)
            return ownLarge < theirLarge ? int.MaxValue : 0;
        if (ownLarge <= theirLarge)
            return int.MaxValue;
        return (int)(Small + (theirSmall - ownSmall) / (ownPerByte - theirPerByte));
    }
}
