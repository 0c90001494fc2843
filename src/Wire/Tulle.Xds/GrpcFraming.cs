using System.Buffers.Binary;

namespace Tulle.Xds;

/// <summary>gRPC's Length-Prefixed-Message: one byte "compressed", four bytes length, the message.</summary>
public static class GrpcFraming
{
    public const int HeaderBytes = 5;

    /// <summary>
    /// Largest message taken from a server, bytes. Source: the CDS of 20,000 clusters is some 20 MiB; gRPC's default of 4 MiB is too small for it, and
    /// a sidecar that may use 40 MiB of memory is better told no than ended.
    /// </summary>
    public const int ResponseBytesMax = 64 * 1024 * 1024;

    /// <summary>Largest message taken from a client, bytes. Source: gRPC's own default for what a server receives.</summary>
    public const int RequestBytesMax = 4 * 1024 * 1024;

    public static byte[] Frame(ReadOnlySpan<byte> message)
    {
        var framed = new byte[HeaderBytes + message.Length];
        BinaryPrimitives.WriteUInt32BigEndian(framed.AsSpan(1), (uint)message.Length);
        message.CopyTo(framed.AsSpan(HeaderBytes));
        return framed;
    }

    /// <summary>Takes one message off the front; false when it is not complete.</summary>
    /// <param name="data">What came; moves behind the message.</param>
    /// <param name="message">The message without its frame.</param>
    /// <param name="bytesMax"><see cref="ResponseBytesMax"/> or <see cref="RequestBytesMax"/>.</param>
    /// <exception cref="ProtoException">Compressed or too large: told by its first five bytes, before the rest is waited for.</exception>
    public static bool TryTake(ref ReadOnlySpan<byte> data, out ReadOnlySpan<byte> message, int bytesMax)
    {
        message = default;
        if (data.Length < HeaderBytes)
            return false;
        if (data[0] != 0)
            throw new ProtoException("a compressed gRPC message came although none was offered");
        var length = BinaryPrimitives.ReadUInt32BigEndian(data[1..]);
        if (length > (uint)bytesMax)
            throw new ProtoException($"a gRPC message of {length} bytes is over the limit of {bytesMax}");
        if (data.Length - HeaderBytes < length)
            return false;
        message = data.Slice(HeaderBytes, (int)length);
        data = data[(HeaderBytes + (int)length)..];
        return true;
    }
}
