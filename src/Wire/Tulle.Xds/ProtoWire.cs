using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Tulle.Base.Documents;

namespace Tulle.Xds;

/// <summary>Tags, varints, fixed numbers, lengths: protobuf's encoding below messages (protobuf encoding guide, "Message structure").</summary>
internal static class ProtoWire
{
    public const int Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5;

    /// <summary>Largest field number (29 bits).</summary>
    private const ulong NumberMax = (1 << 29) - 1;

    // Bytes that are no UTF-8 make another name than the sender meant: refused, as protobuf does for proto3.
    private static readonly UTF8Encoding s_utf8 = new(false, throwOnInvalidBytes: true);

    public static (int Number, int Wire) ReadTag(scoped ref ReadOnlySpan<byte> data)
    {
        var tag = ReadVarint(ref data);
        if (tag >> 3 is 0 or > NumberMax)
            throw new ProtoException($"field number {tag >> 3} is outside 1..{NumberMax}");
        return ((int)(tag >> 3), (int)(tag & 7));
    }

    public static ulong ReadVarint(scoped ref ReadOnlySpan<byte> data)
    {
        ulong result = 0;
        for (var shift = 0; shift < 70; shift += 7)
        {
            if (data.IsEmpty)
                throw new ProtoException("the message is cut off");
            var value = data[0];
            data = data[1..];
            result |= (ulong)(value & 0x7F) << shift;
            if (value < 0x80)
                return result;
        }
        throw new ProtoException("a number is longer than ten bytes");
    }

    public static ReadOnlySpan<byte> ReadBytes(scoped ref ReadOnlySpan<byte> data, int wire)
    {
        Expect(wire, Bytes);
        var length = ReadVarint(ref data);
        return length > (ulong)data.Length ? throw new ProtoException("the message is cut off") : Take(ref data, (int)length);
    }

    public static string ReadText(scoped ref ReadOnlySpan<byte> data, int wire)
    {
        try
        {
            return s_utf8.GetString(ReadBytes(ref data, wire));
        }
        catch (ArgumentException)
        {
            throw new ProtoException("a text is not UTF-8");
        }
    }

    public static void Expect(int wire, int wanted)
    {
        if (wire != wanted)
            throw new ProtoException($"wire type {wire} where {wanted} is expected");
    }

    private static ReadOnlySpan<byte> Take(scoped ref ReadOnlySpan<byte> data, int count)
    {
        if (count > data.Length)
            throw new ProtoException("the message is cut off");
        var taken = data[..count];
        data = data[count..];
        return taken;
    }

    /// <summary>Passes over a value and returns its bytes.</summary>
    public static ReadOnlySpan<byte> Skip(scoped ref ReadOnlySpan<byte> data, int wire)
    {
        var before = data;
        switch (wire)
        {
            case Varint:
                ReadVarint(ref data);
                return before[..(before.Length - data.Length)];
            case Fixed64:
                return Take(ref data, 8);
            case Bytes:
                return ReadBytes(ref data, Bytes);
            case Fixed32:
                return Take(ref data, 4);
            default:
                throw new ProtoException($"wire type {wire} is not in use");
        }
    }

    public static int WireOf(ProtoKind kind) => kind switch
    {
        ProtoKind.Double or ProtoKind.Fixed64 or ProtoKind.SFixed64 => Fixed64,
        ProtoKind.Float or ProtoKind.Fixed32 or ProtoKind.SFixed32 => Fixed32,
        ProtoKind.String or ProtoKind.Bytes or ProtoKind.Message => Bytes,
        _ => Varint,
    };

    public static Node Default(ProtoKind kind) => kind switch
    {
        ProtoKind.String or ProtoKind.Bytes => Node.Of(""),
        ProtoKind.Bool => Node.Of(false),
        ProtoKind.Double or ProtoKind.Float => Node.Of(0d),
        _ => Node.Of(0L),
    };

    public static Node ReadScalar(ProtoKind kind, scoped ref ReadOnlySpan<byte> data, int wire)
    {
        Expect(wire, WireOf(kind));
        switch (kind)
        {
            case ProtoKind.String:
                return Node.Of(ReadText(ref data, wire));
            case ProtoKind.Bytes:
                return Node.Of(Convert.ToBase64String(ReadBytes(ref data, wire)));
            case ProtoKind.Double:
                return Node.Of(BinaryPrimitives.ReadDoubleLittleEndian(Take(ref data, 8)));
            case ProtoKind.Float:
                return Node.Of((double)BinaryPrimitives.ReadSingleLittleEndian(Take(ref data, 4)));
            case ProtoKind.Fixed64:
            case ProtoKind.SFixed64:
                return Node.Of(BinaryPrimitives.ReadInt64LittleEndian(Take(ref data, 8)));
            case ProtoKind.Fixed32:
                return Node.Of((long)BinaryPrimitives.ReadUInt32LittleEndian(Take(ref data, 4)));
            case ProtoKind.SFixed32:
                return Node.Of((long)BinaryPrimitives.ReadInt32LittleEndian(Take(ref data, 4)));
        }
        var raw = ReadVarint(ref data);
        return kind switch
        {
            ProtoKind.Bool => Node.Of(raw != 0),
            ProtoKind.Int32 => Node.Of((long)(int)raw),
            ProtoKind.UInt32 => Node.Of((long)(uint)raw),
            ProtoKind.SInt32 or ProtoKind.SInt64 => Node.Of((long)(raw >> 1) ^ -(long)(raw & 1)),
            ProtoKind.UInt64 when raw > long.MaxValue => Node.Of(raw.ToString(CultureInfo.InvariantCulture)),
            _ => Node.Of((long)raw),
        };
    }
}
