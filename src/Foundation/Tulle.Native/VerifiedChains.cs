using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace Tulle.Native;

/// <summary>
/// Chains that this context verified, so that a peer that comes again costs a hash instead of signatures. Only what was accepted is kept, for as long as
/// every certificate that was sent or used, and every revocation list, is in its time; it lives and dies with the context, that is with the trust bundle
/// and the revocation lists. Names are no part of it: they are checked on every connection. Used by all loops.
/// </summary>
internal sealed unsafe class VerifiedChains
{
    /// <summary>Chains per context; more begin anew. Source: the pods that one meets; 1,024 entries are about 100 KB.</summary>
    private const int EntriesMax = 1024;

    /// <summary>A longer chain is verified every time. Source: four RSA-4096 certificates are about 8 KiB.</summary>
    private const int BytesMax = 32 * 1024;

    [ThreadStatic]
    private static byte[]? s_buffer;

    private readonly record struct Key(ulong A, ulong B, ulong C, ulong D);

    private readonly ConcurrentDictionary<Key, (long From, long Until)> _entries = new();
    private readonly long _until;
    private int _count;
    private long _hits, _misses;

    /// <param name="until">Unix seconds at which the first revocation list ends; long.MaxValue without one.</param>
    public VerifiedChains(long until) => _until = until;

    public long Hits => Interlocked.Read(ref _hits);

    public long Misses => Interlocked.Read(ref _misses);

    /// <summary>Verifies, or remembers that it did. What X509_verify_cert would give.</summary>
    public int Verify(nint storeContext, long nowSeconds)
    {
        if (!TryKey(storeContext, out var key))
            return OpenSsl.X509_verify_cert(storeContext);
        if (_entries.TryGetValue(key, out var time) && nowSeconds >= time.From && nowSeconds < time.Until)
        {
            Interlocked.Increment(ref _hits);
            OpenSsl.X509_STORE_CTX_set_error(storeContext, OpenSsl.X509_V_OK);
            return 1;
        }
        Interlocked.Increment(ref _misses);
        var result = OpenSsl.X509_verify_cert(storeContext);
        if (result == 1 && OpenSsl.X509_STORE_CTX_get_error(storeContext) == OpenSsl.X509_V_OK)
            Keep(key, storeContext, nowSeconds);
        return result;
    }

    private void Keep(Key key, nint storeContext, long now)
    {
        long from = long.MinValue, until = _until;
        Narrow(OpenSsl.X509_STORE_CTX_get0_chain(storeContext), now, ref from, ref until);
        Narrow(OpenSsl.X509_STORE_CTX_get0_untrusted(storeContext), now, ref from, ref until);
        // Not in its time although it was accepted: a configuration that allows it. Nothing to remember.
        if (now < from || now >= until)
            return;
        if (Volatile.Read(ref _count) >= EntriesMax)
        {
            _entries.Clear();
            Volatile.Write(ref _count, 0);
        }
        if (_entries.TryAdd(key, (from, until)))
            Interlocked.Increment(ref _count);
        else
            _entries[key] = (from, until);
    }

    private static void Narrow(nint stack, long now, ref long from, ref long until)
    {
        for (var i = 0; i < OpenSslShims.Count(stack); i++)
        {
            var x509 = OpenSslShims.Item(stack, i);
            from = Math.Max(from, SecondsOf(OpenSsl.X509_get0_notBefore(x509), now, otherwise: long.MaxValue));
            until = Math.Min(until, SecondsOf(OpenSsl.X509_get0_notAfter(x509), now, otherwise: long.MinValue));
        }
    }

    /// <summary>An ASN1_TIME in Unix seconds, by its distance from now as the library sees it.</summary>
    public static long SecondsOf(nint time, long now, long otherwise)
    {
        int days, seconds;
        return time != 0 && OpenSsl.ASN1_TIME_diff(&days, &seconds, 0, time) == 1 ? now + days * 86_400L + seconds : otherwise;
    }

    /// <summary>SHA-256 over the peer's certificate and all that it sent with it.</summary>
    private static bool TryKey(nint storeContext, out Key key)
    {
        key = default;
        var buffer = s_buffer ??= new byte[BytesMax];
        var length = 0;
        if (!Append(OpenSsl.X509_STORE_CTX_get0_cert(storeContext), buffer, ref length))
            return false;
        var sent = OpenSsl.X509_STORE_CTX_get0_untrusted(storeContext);
        for (var i = 0; i < OpenSslShims.Count(sent); i++)
        {
            if (!Append(OpenSslShims.Item(sent, i), buffer, ref length))
                return false;
        }
        Span<byte> hash = stackalloc byte[32];
        SHA256.HashData(buffer.AsSpan(0, length), hash);
        key = new Key(BinaryPrimitives.ReadUInt64LittleEndian(hash), BinaryPrimitives.ReadUInt64LittleEndian(hash[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(hash[16..]), BinaryPrimitives.ReadUInt64LittleEndian(hash[24..]));
        return true;
    }

    /// <summary>DER says its own length: one certificate behind another cannot be read in two ways.</summary>
    private static bool Append(nint x509, byte[] buffer, ref int length)
    {
        var size = OpenSsl.i2d_X509_length(x509, 0);
        if (size <= 0 || size > buffer.Length - length)
            return false;
        fixed (byte* start = &buffer[length])
        {
            var cursor = start;
            _ = OpenSsl.i2d_X509(x509, ref cursor);
        }
        length += size;
        return true;
    }
}
