using System.Text;
using Tulle.Base;

namespace Tulle.Xds.Tests;

/// <summary>Writes protobuf that follows the schema, with the values at the edges, and now and then a wrong wire type or a cut.</summary>
internal sealed class ProtoGrammar(SeededRandom random)
{
    private static readonly ulong[] s_edges = [0, 1, 127, 128, int.MaxValue, uint.MaxValue, long.MaxValue, 1ul << 63, ulong.MaxValue, 315_576_000_001, 253_402_300_800, 999_999_999, 2_000_000_000];

    private static readonly string[] s_wellKnown =
    [
        "google.protobuf.Any", "google.protobuf.Duration", "google.protobuf.Timestamp", "google.protobuf.Empty", "google.protobuf.Struct", "google.protobuf.Value",
        "google.protobuf.ListValue", "google.protobuf.BoolValue", "google.protobuf.UInt32Value", "google.protobuf.UInt64Value", "google.protobuf.DoubleValue",
        "google.protobuf.StringValue", "google.protobuf.BytesValue",
    ];

    private int _left = 400;

    public byte[] Message(string type) => Message(ProtoSchema.Shared[type], 0);

    private byte[] Message(ProtoMessage message, int depth)
    {
        var output = new List<byte>();
        var fields = message.Fields.ToList();
        for (var count = random.Next(fields.Count == 0 ? 1 : 6); count > 0 && _left-- > 0; count--)
        {
            var field = fields[random.Next(fields.Count)];
            if (field.IsMap)
                Bytes(output, field.Number, [.. Scalar(1, field.MapKeyKind), .. Value(2, field, depth)]);
            else
                output.AddRange(Value(field.Number, field, depth));
        }
        if (random.Next(20) == 0 && output.Count > 0)
            output.RemoveRange(random.Next(output.Count), 1);
        if (random.Next(40) == 0)
            Tag(output, 1 + random.Next(1 << 28), random.Next(8));
        return [.. output];
    }

    private byte[] Value(int number, ProtoField field, int depth)
    {
        if (random.Next(60) == 0)
            return Scalar(number, (ProtoKind)random.Next((int)ProtoKind.Message));
        if (field.Enum is not null)
            return Scalar(number, ProtoKind.Int32);
        if (field.Kind != ProtoKind.Message)
            return Scalar(number, field.Kind);
        var inner = field.Message is { } message ? Message(message, depth + 1) : WellKnown(field.TypeName, depth + 1);
        var output = new List<byte>();
        Bytes(output, number, inner);
        return [.. output];
    }

    private byte[] WellKnown(string type, int depth)
    {
        var output = new List<byte>();
        if (_left-- <= 0)
            return [];
        switch (type)
        {
            case "google.protobuf.Any":
                var messages = ProtoSchema.Shared.Messages.Keys.ToList();
                var inner = random.Next(3) == 0 ? messages[random.Next(messages.Count)] : s_wellKnown[random.Next(s_wellKnown.Length)];
                Bytes(output, 1, Encoding.UTF8.GetBytes("type.googleapis.com/" + inner));
                Bytes(output, 2, ProtoSchema.Shared.Find(inner) is { } known ? Message(known, depth + 1) : WellKnown(inner, depth + 1));
                break;
            case "google.protobuf.Struct":
                for (var i = random.Next(4); i > 0; i--)
                    Bytes(output, 1, [.. Scalar(1, ProtoKind.String), .. Wrapped(2, WellKnown("google.protobuf.Value", depth + 1))]);
                break;
            case "google.protobuf.ListValue":
                for (var i = random.Next(4); i > 0; i--)
                    Bytes(output, 1, WellKnown("google.protobuf.Value", depth + 1));
                break;
            case "google.protobuf.Value":
                var kind = 1 + random.Next(6);
                output.AddRange(kind switch
                {
                    1 => Scalar(1, ProtoKind.Int32),
                    2 => Scalar(2, ProtoKind.Double),
                    3 => Scalar(3, ProtoKind.String),
                    4 => Scalar(4, ProtoKind.Bool),
                    5 => Wrapped(5, WellKnown("google.protobuf.Struct", depth + 1)),
                    _ => Wrapped(6, WellKnown("google.protobuf.ListValue", depth + 1)),
                });
                break;
            case "google.protobuf.Duration" or "google.protobuf.Timestamp":
                output.AddRange(Scalar(1, ProtoKind.Int64));
                output.AddRange(Scalar(2, ProtoKind.Int32));
                break;
            default:
                output.AddRange(Scalar(1, (ProtoKind)random.Next((int)ProtoKind.Message)));
                break;
        }
        return [.. output];
    }

    private byte[] Scalar(int number, ProtoKind kind)
    {
        var output = new List<byte>();
        switch (kind)
        {
            case ProtoKind.String or ProtoKind.Bytes:
                var text = new byte[random.Next(9)];
                for (var i = 0; i < text.Length; i++)
                    text[i] = (byte)(random.Next(50) == 0 ? random.Next(256) : 'a' + random.Next(26));
                Bytes(output, number, text);
                break;
            case ProtoKind.Double or ProtoKind.Fixed64 or ProtoKind.SFixed64:
                Tag(output, number, 1);
                output.AddRange(BitConverter.GetBytes(random.Next(2) == 0 ? random.NextUInt64() : s_edges[random.Next(s_edges.Length)]));
                break;
            case ProtoKind.Float or ProtoKind.Fixed32 or ProtoKind.SFixed32:
                Tag(output, number, 5);
                output.AddRange(BitConverter.GetBytes((uint)random.NextUInt64()));
                break;
            default:
                Tag(output, number, 0);
                Varint(output, random.Next(2) == 0 ? (ulong)random.Next(10) : s_edges[random.Next(s_edges.Length)]);
                break;
        }
        return [.. output];
    }

    private static byte[] Wrapped(int number, byte[] inner)
    {
        var output = new List<byte>();
        Bytes(output, number, inner);
        return [.. output];
    }

    private static void Bytes(List<byte> output, int number, ReadOnlySpan<byte> content)
    {
        Tag(output, number, 2);
        Varint(output, (ulong)content.Length);
        output.AddRange(content);
    }

    private static void Tag(List<byte> output, int number, int wire) => Varint(output, ((ulong)number << 3) | (uint)wire);

    private static void Varint(List<byte> output, ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            output.Add((byte)(value | 0x80));
        output.Add((byte)value);
    }

    /// <summary>Every way down that the schema offers, a few thousand levels deep.</summary>
    public static IEnumerable<(string Type, byte[] Message)> Bombs()
    {
        var prefix = Encoding.UTF8.GetBytes("type.googleapis.com/google.protobuf.");
        byte[] AnyOf(string type, byte[] value) => [.. Wrapped(1, [.. prefix, .. Encoding.UTF8.GetBytes(type)]), .. Wrapped(2, value)];
        byte[] Nest(Func<byte[], byte[]> step, int levels = 3000)
        {
            byte[] bytes = [];
            for (var i = 0; i < levels; i++)
                bytes = step(bytes);
            return bytes;
        }
        // Resources of a response are Any (field 2); a listener's metadata is a map of Struct.
        yield return (XdsTypes.DiscoveryResponse, Wrapped(2, Nest(b => AnyOf("Any", b))));
        yield return (XdsTypes.DiscoveryResponse, Wrapped(2, AnyOf("Value", Nest(b => Wrapped(5, Wrapped(1, Wrapped(2, b)))))));
        yield return (XdsTypes.DiscoveryResponse, Wrapped(2, AnyOf("ListValue", Nest(b => Wrapped(1, Wrapped(6, b))))));
        yield return (XdsTypes.DiscoveryResponse, Wrapped(2, AnyOf("Value", Nest(b => Wrapped(6, Wrapped(1, b))))));
        yield return (XdsTypes.DiscoveryResponse, Wrapped(2, Nest(b => AnyOf("Any", AnyOf("Any", AnyOf("Value", Wrapped(6, Wrapped(1, b))))))));
        // Permission.not_rule (8) is a Permission.
        yield return ("envoy.config.rbac.v3.Permission", Nest(b => Wrapped(8, b)));
    }

    /// <summary>A DiscoveryRequest whose error carries Any in Any: what ended the control plane.</summary>
    public static byte[] RequestWithBomb(int levels)
    {
        var url = Encoding.UTF8.GetBytes("type.googleapis.com/google.protobuf.Any");
        byte[] bomb = [];
        for (var i = 0; i < levels; i++)
            bomb = [.. Wrapped(1, url), .. Wrapped(2, bomb)];
        return [.. Wrapped(4, Encoding.UTF8.GetBytes(XdsTypes.Cluster)), .. Wrapped(6, Wrapped(3, bomb))];
    }
}
