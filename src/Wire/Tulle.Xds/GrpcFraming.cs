using System.Buffers.Binary;

namespace Tulle.Xds;

/// <summary>gRPC's Length-Prefixed-Message: one byte "compressed", four bytes length, the message.</summary>
public static class GrpcFraming
{
    public const int HeaderBytes = 5;

    /// <summary>Largest message that is taken. Source: istiod's own limit for what it sends is far below; gRPC's default of 4 MiB is too small for CDS of large meshes.</summary>
    public const int MessageBytesMax = 256 * 1024 * 1024;

    public static byte[] Frame(ReadOnlySpan<byte> message)
    {
        var framed = new byte[HeaderBytes + message.Length];
        BinaryPrimitives.WriteUInt32BigEndian(framed.AsSpan(1), (uint)message.Length);
        message.CopyTo(framed.AsSpan(HeaderBytes));
        return framed;
    }

    /// <summary>Largest request that a server takes. Source: gRPC's default, 4 MiB; a proxy's request names its resources and is far below. Excess ends the stream.</summary>
    public const int RequestBytesMax = 4 * 1024 * 1024;

    /// <summary>Takes one message off the front; false when it is not complete.</summary>
    /// <exception cref="ProtoException">Compressed or too large.</exception>
    public static bool TryTake(ref ReadOnlySpan<byte> data, out ReadOnlySpan<byte> message, int bytesMax = MessageBytesMax)
    {
        message = default;
        if (data.Length < HeaderBytes)
            return false;
        if (data[0] != 0)
            throw new ProtoException("a compressed gRPC message came although none was offered");
        var length = BinaryPrimitives.ReadUInt32BigEndian(data[1..]);
        if (length > bytesMax)
            throw new ProtoException($"a gRPC message of {length} bytes is over the limit of {bytesMax}");
        if (data.Length - HeaderBytes < length)
            return false;
        message = data.Slice(HeaderBytes, (int)length);
        data = data[(HeaderBytes + (int)length)..];
        return true;
    }
}
