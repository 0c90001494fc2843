using System.Buffers.Binary;
using System.Text;
using Tulle.Base.Documents;

namespace Tulle.Xds;

/// <summary>The bytes are not the message they should be.</summary>
public sealed class ProtoException(string message) : Exception(message);

/// <summary>
/// Protobuf bytes to a tree in the form of proto3 JSON with snake_case names. A field that the contract does not know becomes "#number", so that
/// whoever reads the tree can reject it by name instead of losing it.
/// </summary>
public static class ProtoReader
{
    /// <summary>Nesting of messages. Source: protobuf's own default of 100.</summary>
    private const int DepthMax = 100;

    /// <exception cref="ProtoException">Truncated or malformed bytes.</exception>
    public static Node Read(string type, ReadOnlySpan<byte> data) => ReadMessage(ProtoSchema.Shared[type], data, 0);

    private static Node ReadMessage(ProtoMessage message, ReadOnlySpan<byte> data, int depth)
    {
        if (depth > DepthMax)
            throw new ProtoException($"{message.Name} nests deeper than {DepthMax} messages");
        var fields = new List<KeyValuePair<string, Node>>();
        Dictionary<string, int>? lists = null;
        while (!data.IsEmpty)
        {
            var tag = ReadVarint(ref data);
            var number = (int)(tag >> 3);
            var wire = (int)(tag & 7);
            var field = message.Find(number);
            if (field is null)
            {
                var unknown = Skip(ref data, wire);
                fields.Add(new($"#{number}", Node.Of(Convert.ToBase64String(unknown))));
                continue;
            }
            if (field.IsMap)
            {
                AddMapEntry(fields, field, ReadBytes(ref data, wire), depth);
            }
            else if (field.IsRepeated)
            {
                var list = ListOf(fields, ref lists, field.Name);
                if (wire == 2 && IsPackable(field))
                {
                    var packed = ReadBytes(ref data, wire);
                    while (!packed.IsEmpty)
                        list.Add(ReadValue(field, ref packed, WireOf(field.Kind), depth));
                }
                else
                {
                    list.Add(ReadValue(field, ref data, wire, depth));
                }
            }
            else
            {
                Set(fields, field.Name, ReadValue(field, ref data, wire, depth));
            }
        }
        return Node.Map(fields);
    }

    private static void Set(List<KeyValuePair<string, Node>> fields, string name, Node value)
    {
        for (var i = 0; i < fields.Count; i++)
        {
            if (fields[i].Key == name)
            {
                fields[i] = new(name, value);
                return;
            }
        }
        fields.Add(new(name, value));
    }

    private static List<Node> ListOf(List<KeyValuePair<string, Node>> fields, ref Dictionary<string, int>? lists, string name)
    {
        lists ??= new Dictionary<string, int>(StringComparer.Ordinal);
        if (lists.TryGetValue(name, out var index))
            return (List<Node>)fields[index].Value.Items;
        var list = new List<Node>();
        lists[name] = fields.Count;
        fields.Add(new(name, Node.List(list)));
        return list;
    }

    private static void AddMapEntry(List<KeyValuePair<string, Node>> fields, ProtoField field, ReadOnlySpan<byte> entry, int depth)
    {
        var key = "";
        Node? value = null;
        while (!entry.IsEmpty)
        {
            var tag = ReadVarint(ref entry);
            if (tag >> 3 == 1)
                key = ReadScalar(field.MapKeyKind, ref entry, (int)(tag & 7)).AsText;
            else if (tag >> 3 == 2)
                value = ReadValue(field, ref entry, (int)(tag & 7), depth);
            else
                Skip(ref entry, (int)(tag & 7));
        }
        value ??= field.Kind == ProtoKind.Message ? Node.Map() : Default(field.Kind);
        var index = fields.FindIndex(f => f.Key == field.Name);
        if (index < 0)
        {
            fields.Add(new(field.Name, Node.Map(new List<KeyValuePair<string, Node>> { new(key, value) })));
            return;
        }
        Set((List<KeyValuePair<string, Node>>)fields[index].Value.Fields, key, value);
    }

    private static bool IsPackable(ProtoField field) => field.Enum is not null || (field.Kind is not (ProtoKind.String or ProtoKind.Bytes or ProtoKind.Message) && field.Message is null);

    private static int WireOf(ProtoKind kind) => kind switch
    {
        ProtoKind.Double or ProtoKind.Fixed64 or ProtoKind.SFixed64 => 1,
        ProtoKind.Float or ProtoKind.Fixed32 or ProtoKind.SFixed32 => 5,
        _ => 0,
    };

    private static Node ReadValue(ProtoField field, ref ReadOnlySpan<byte> data, int wire, int depth)
    {
        if (field.Enum is { } values)
        {
            var number = (int)ReadVarint(ref data);
            return values.NameOf(number) is { } name ? Node.Of(name) : Node.Of((long)number);
        }
        if (field.Kind != ProtoKind.Message)
            return ReadScalar(field.Kind, ref data, wire);
        var bytes = ReadBytes(ref data, wire);
        return field.Message is { } message && !WellKnown.IsKnown(field.TypeName)
            ? message.Name == "tulle.Opaque" ? Node.Map(("@bytes", Node.Of(Convert.ToBase64String(bytes)))) : ReadMessage(message, bytes, depth + 1)
            : ReadWellKnown(field.TypeName, bytes, depth + 1);
    }

    internal static Node ReadWellKnown(string type, ReadOnlySpan<byte> data, int depth)
    {
        if (WellKnown.WrapperKind(type) is { } kind)
        {
            var value = Default(kind);
            while (!data.IsEmpty)
            {
                var tag = ReadVarint(ref data);
                if (tag >> 3 == 1)
                    value = ReadScalar(kind, ref data, (int)(tag & 7));
                else
                    Skip(ref data, (int)(tag & 7));
            }
            return value;
        }
        switch (type)
        {
            case "google.protobuf.Any":
                return ReadAny(data, depth);
            case "google.protobuf.Duration":
                var (seconds, nanos) = ReadSecondsAndNanos(data);
                // Beyond what 64-bit nanoseconds hold (292 years) the fraction does not matter.
                return Node.Of(Math.Abs(seconds) > 9_000_000_000 ? $"{seconds}s" : Durations.FormatNanos(seconds * 1_000_000_000 + nanos));
            case "google.protobuf.Timestamp":
                var (unix, fraction) = ReadSecondsAndNanos(data);
                return Node.Of(DateTimeOffset.FromUnixTimeSeconds(Math.Clamp(unix, -62135596800, 253402300799)).AddTicks(fraction / 100).ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", System.Globalization.CultureInfo.InvariantCulture));
            case "google.protobuf.Struct":
                return ReadStruct(data, depth);
            case "google.protobuf.Value":
                return ReadStructValue(data, depth);
            case "google.protobuf.ListValue":
                return ReadListValue(data, depth);
            default:
                return Node.Map();
        }
    }

    private static Node ReadAny(ReadOnlySpan<byte> data, int depth)
    {
        var url = "";
        ReadOnlySpan<byte> value = default;
        while (!data.IsEmpty)
        {
            var tag = ReadVarint(ref data);
            if (tag >> 3 == 1)
                url = Encoding.UTF8.GetString(ReadBytes(ref data, (int)(tag & 7)));
            else if (tag >> 3 == 2)
                value = ReadBytes(ref data, (int)(tag & 7));
            else
                Skip(ref data, (int)(tag & 7));
        }
        return ReadAny(url, value, depth);
    }

    /// <summary>The content of an Any; a type outside the contract keeps its bytes.</summary>
    public static Node ReadAny(string url, ReadOnlySpan<byte> value, int depth = 0)
    {
        var type = url[(url.LastIndexOf('/') + 1)..];
        var fields = new List<KeyValuePair<string, Node>> { new("@type", Node.Of(url)) };
        if (WellKnown.IsKnown(type))
            fields.Add(new("value", ReadWellKnown(type, value, depth + 1)));
        else if (ProtoSchema.Shared.Find(type) is { } message)
            fields.AddRange(ReadMessage(message, value, depth + 1).Fields);
        else if (url.Length > 0)
            fields.Add(new("@bytes", Node.Of(Convert.ToBase64String(value))));
        return Node.Map(fields);
    }

    private static (long Seconds, long Nanos) ReadSecondsAndNanos(ReadOnlySpan<byte> data)
    {
        long seconds = 0;
        long nanos = 0;
        while (!data.IsEmpty)
        {
            var tag = ReadVarint(ref data);
            var value = (long)ReadVarint(ref data);
            if (tag == 8)
                seconds = value;
            else if (tag == 16)
                nanos = (int)value;
        }
        return (seconds, nanos);
    }

    private static Node ReadStruct(ReadOnlySpan<byte> data, int depth)
    {
        if (depth > DepthMax)
            throw new ProtoException($"a Struct nests deeper than {DepthMax} levels");
        var fields = new List<KeyValuePair<string, Node>>();
        while (!data.IsEmpty)
        {
            var tag = ReadVarint(ref data);
            var entry = ReadBytes(ref data, (int)(tag & 7));
            var key = "";
            var value = Node.Null();
            while (!entry.IsEmpty)
            {
                var part = ReadVarint(ref entry);
                var bytes = ReadBytes(ref entry, (int)(part & 7));
                if (part >> 3 == 1)
                    key = Encoding.UTF8.GetString(bytes);
                else
                    value = ReadStructValue(bytes, depth + 1);
            }
            Set(fields, key, value);
        }
        return Node.Map(fields);
    }

    private static Node ReadStructValue(ReadOnlySpan<byte> data, int depth)
    {
        var result = Node.Null();
        while (!data.IsEmpty)
        {
            var tag = ReadVarint(ref data);
            var wire = (int)(tag & 7);
            switch (tag >> 3)
            {
                case 2:
                    var number = ReadScalar(ProtoKind.Double, ref data, wire).AsDouble;
                    result = number == Math.Floor(number) && Math.Abs(number) < 9e15 ? Node.Of((long)number) : Node.Of(number);
                    break;
                case 3:
                    result = ReadScalar(ProtoKind.String, ref data, wire);
                    break;
                case 4:
                    result = ReadScalar(ProtoKind.Bool, ref data, wire);
                    break;
                case 5:
                    result = ReadStruct(ReadBytes(ref data, wire), depth + 1);
                    break;
                case 6:
                    result = ReadListValue(ReadBytes(ref data, wire), depth + 1);
                    break;
                default:
                    Skip(ref data, wire);
                    break;
            }
        }
        return result;
    }

    private static Node ReadListValue(ReadOnlySpan<byte> data, int depth)
    {
        if (depth > DepthMax)
            throw new ProtoException($"a list nests deeper than {DepthMax} levels");
        var items = new List<Node>();
        while (!data.IsEmpty)
        {
            var tag = ReadVarint(ref data);
            items.Add(ReadStructValue(ReadBytes(ref data, (int)(tag & 7)), depth + 1));
        }
        return Node.List(items);
    }

    private static Node Default(ProtoKind kind) => kind switch
    {
        ProtoKind.String or ProtoKind.Bytes => Node.Of(""),
        ProtoKind.Bool => Node.Of(false),
        ProtoKind.Double or ProtoKind.Float => Node.Of(0d),
        _ => Node.Of(0L),
    };

    private static Node ReadScalar(ProtoKind kind, ref ReadOnlySpan<byte> data, int wire)
    {
        switch (kind)
        {
            case ProtoKind.String:
                return Node.Of(Encoding.UTF8.GetString(ReadBytes(ref data, wire)));
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
            ProtoKind.UInt64 when raw > long.MaxValue => Node.Of(raw.ToString(System.Globalization.CultureInfo.InvariantCulture)),
            _ => Node.Of((long)raw),
        };
    }

    internal static ulong ReadVarint(scoped ref ReadOnlySpan<byte> data)
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

    private static ReadOnlySpan<byte> ReadBytes(scoped ref ReadOnlySpan<byte> data, int wire)
    {
        if (wire != 2)
            throw new ProtoException($"wire type {wire} where bytes are expected");
        var length = ReadVarint(ref data);
        return length > (ulong)data.Length ? throw new ProtoException("the message is cut off") : Take(ref data, (int)length);
    }

    private static ReadOnlySpan<byte> Take(scoped ref ReadOnlySpan<byte> data, int count)
    {
        if (count > data.Length)
            throw new ProtoException("the message is cut off");
        var taken = data[..count];
        data = data[count..];
        return taken;
    }

    private static ReadOnlySpan<byte> Skip(scoped ref ReadOnlySpan<byte> data, int wire)
    {
        var before = data;
        switch (wire)
        {
            case 0:
                ReadVarint(ref data);
                return before[..(before.Length - data.Length)];
            case 1:
                return Take(ref data, 8);
            case 2:
                return ReadBytes(ref data, 2);
            case 5:
                return Take(ref data, 4);
            default:
                throw new ProtoException($"wire type {wire} is not in use");
        }
    }
}
