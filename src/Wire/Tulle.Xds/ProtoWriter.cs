using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Tulle.Base.Documents;

namespace Tulle.Xds;

/// <summary>A tree in the form of proto3 JSON to protobuf bytes. Fields are written in the order of the tree; maps in the order of their keys.</summary>
public static class ProtoWriter
{
    /// <exception cref="ProtoException">A field or value does not fit the message.</exception>
    public static byte[] Write(string type, Node node)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        var message = ProtoSchema.Shared[type];
        try
        {
            WriteMessage(buffer, message, node);
        }
        catch (Exception error) when (IsBadValue(error))
        {
            throw new ProtoException($"{type} cannot be encoded: {error.Message}");
        }
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>A text that is no base64, no number, no time.</summary>
    private static bool IsBadValue(Exception error) => error is FormatException or ArithmeticException or ArgumentException or InvalidOperationException;

    private static void WriteMessage(ArrayBufferWriter<byte> buffer, ProtoMessage message, Node node)
    {
        foreach (var (name, value) in node.Fields)
        {
            if (name is "@type" or "@bytes" || value.Kind == NodeKind.Null)
                continue;
            var field = message.Find(name) ?? throw new ProtoException($"{message.Name} has no field {name}");
            if (field.IsMap)
            {
                foreach (var entry in value.Fields.OrderBy(f => f.Key, StringComparer.Ordinal))
                    WriteMapEntry(buffer, field, entry);
            }
            else if (field.IsRepeated)
            {
                WriteRepeated(buffer, field, value);
            }
            else
            {
                WriteField(buffer, field, value);
            }
        }
    }

    private static void WriteMapEntry(ArrayBufferWriter<byte> buffer, ProtoField field, KeyValuePair<string, Node> entry)
    {
        var inner = new ArrayBufferWriter<byte>(64);
        WriteScalar(inner, 1, field.MapKeyKind, Node.Of(entry.Key), field);
        WriteField(inner, field, entry.Value, 2);
        WriteBytes(buffer, field.Number, inner.WrittenSpan);
    }

    private static void WriteRepeated(ArrayBufferWriter<byte> buffer, ProtoField field, Node value)
    {
        if (value.Kind != NodeKind.List)
            throw new ProtoException($"{field.Name} is a list");
        var packed = field.Enum is not null || (field.TypeName.Length == 0 && field.Kind is not (ProtoKind.String or ProtoKind.Bytes));
        if (!packed)
        {
            foreach (var item in value.Items)
                WriteField(buffer, field, item);
            return;
        }
        var inner = new ArrayBufferWriter<byte>(64);
        foreach (var item in value.Items)
            WritePacked(inner, field, item);
        WriteBytes(buffer, field.Number, inner.WrittenSpan);
    }

    private static void WritePacked(ArrayBufferWriter<byte> inner, ProtoField field, Node item)
    {
        // A scalar with its tag in front; the tag is one byte for number 1.
        var single = new ArrayBufferWriter<byte>(16);
        WriteField(single, field, item, 1, isPacked: true);
        inner.Write(single.WrittenSpan[1..]);
    }

    private static void WriteField(ArrayBufferWriter<byte> buffer, ProtoField field, Node value, int number = 0, bool isPacked = false)
    {
        if (number == 0)
            number = field.Number;
        if (field.Enum is { } values)
        {
            var raw = value.Kind == NodeKind.Integer ? (int)value.AsInteger
                : values.NumberOf(value.AsText) ?? throw new ProtoException($"{value.AsText} is not a value of {values.Name}");
            if (raw == 0 && !isPacked && !field.IsRepeated && !field.HasPresence && number == field.Number)
                return;
            WriteVarint(buffer, (ulong)(number << 3));
            WriteVarint(buffer, (ulong)(long)raw);
            return;
        }
        if (field.Kind != ProtoKind.Message)
        {
            if (!isPacked && !field.IsRepeated && !field.HasPresence && number == field.Number && IsDefault(field.Kind, value))
                return;
            WriteScalar(buffer, number, field.Kind, value, field);
            return;
        }
        var inner = new ArrayBufferWriter<byte>(128);
        if (field.Message is { } message && !WellKnown.IsKnown(field.TypeName))
        {
            if (message.Name == "tulle.Opaque" && value["@bytes"] is { } opaque)
                inner.Write(Convert.FromBase64String(opaque.AsText));
            else if (value.Kind == NodeKind.Map)
                WriteMessage(inner, message, value);
            else
                throw new ProtoException($"{field.Name} is an object of type {message.Name}");
        }
        else
        {
            WriteWellKnown(inner, field.TypeName, value);
        }
        WriteBytes(buffer, number, inner.WrittenSpan);
    }

    private static bool IsDefault(ProtoKind kind, Node value) => kind switch
    {
        ProtoKind.String or ProtoKind.Bytes => value.AsText.Length == 0,
        ProtoKind.Bool => value.Kind == NodeKind.Bool && !value.AsBool,
        _ => value.Kind is NodeKind.Integer or NodeKind.Float && value.AsDouble == 0,
    };

    private static void WriteWellKnown(ArrayBufferWriter<byte> buffer, string type, Node value)
    {
        if (WellKnown.WrapperKind(type) is { } kind)
        {
            if (value.Kind == NodeKind.Map)
                value = value["value"] ?? Node.Of(0L);
            if (!IsDefault(kind, value))
                WriteScalar(buffer, 1, kind, value, null);
            return;
        }
        switch (type)
        {
            case "google.protobuf.Any":
                WriteAny(buffer, value);
                break;
            case "google.protobuf.Duration":
                WriteDuration(buffer, value);
                break;
            case "google.protobuf.Timestamp":
                var time = DateTimeOffset.Parse(value.AsText, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);
                WriteTagged(buffer, 1, (ulong)time.ToUnixTimeSeconds());
                WriteTagged(buffer, 2, (ulong)(time.Ticks % TimeSpan.TicksPerSecond * 100));
                break;
            case "google.protobuf.Struct":
                WriteStruct(buffer, value);
                break;
            case "google.protobuf.Value":
                WriteStructValue(buffer, value);
                break;
            case "google.protobuf.ListValue":
                foreach (var item in value.Items)
                    WriteStructItem(buffer, item);
                break;
        }
    }

    private static void WriteDuration(ArrayBufferWriter<byte> buffer, Node value)
    {
        var text = value.AsText;
        if (text.EndsWith('s') && long.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole))
        {
            WriteTagged(buffer, 1, (ulong)whole);
            return;
        }
        if (!Durations.TryParseMs(text, out var milliseconds))
            throw new ProtoException($"\"{text}\" is not a duration");
        var nanos = (long)Math.Round(milliseconds * 1e6);
        WriteTagged(buffer, 1, (ulong)(nanos / 1_000_000_000));
        WriteTagged(buffer, 2, (ulong)(nanos % 1_000_000_000));
    }

    /// <summary>An Any by its "@type"; its content is encoded by the contract of that type.</summary>
    /// <exception cref="ProtoException">A type that is not in the contract, or a value that does not fit.</exception>
    public static (string Url, byte[] Value) WriteAnyParts(Node node)
    {
        try
        {
            return WriteParts(node);
        }
        catch (Exception error) when (IsBadValue(error))
        {
            throw new ProtoException($"{node["@type"]?.AsText} cannot be encoded: {error.Message}");
        }
    }

    private static (string Url, byte[] Value) WriteParts(Node node)
    {
        var url = node["@type"]?.AsText ?? throw new ProtoException("an Any needs \"@type\"");
        var type = url[(url.LastIndexOf('/') + 1)..];
        var inner = new ArrayBufferWriter<byte>(256);
        if (node["@bytes"] is { } raw)
            inner.Write(Convert.FromBase64String(raw.AsText));
        else if (WellKnown.IsKnown(type))
            WriteWellKnown(inner, type, node["value"] ?? Node.Map());
        else if (ProtoSchema.Shared.Find(type) is { } message)
            WriteMessage(inner, message, node);
        else
            throw new ProtoException($"type {type} is not in the contract");
        return (url, inner.WrittenSpan.ToArray());
    }

    private static void WriteAny(ArrayBufferWriter<byte> buffer, Node node)
    {
        var (url, value) = WriteAnyParts(node);
        WriteBytes(buffer, 1, Encoding.UTF8.GetBytes(url));
        if (value.Length > 0)
            WriteBytes(buffer, 2, value);
    }

    private static void WriteStruct(ArrayBufferWriter<byte> buffer, Node node)
    {
        foreach (var (name, value) in node.Fields)
        {
            var entry = new ArrayBufferWriter<byte>(64);
            WriteBytes(entry, 1, Encoding.UTF8.GetBytes(name));
            var inner = new ArrayBufferWriter<byte>(64);
            WriteStructValue(inner, value);
            WriteBytes(entry, 2, inner.WrittenSpan);
            WriteBytes(buffer, 1, entry.WrittenSpan);
        }
    }

    private static void WriteStructItem(ArrayBufferWriter<byte> buffer, Node item)
    {
        var inner = new ArrayBufferWriter<byte>(64);
        WriteStructValue(inner, item);
        WriteBytes(buffer, 1, inner.WrittenSpan);
    }

    private static void WriteStructValue(ArrayBufferWriter<byte> buffer, Node value)
    {
        switch (value.Kind)
        {
            case NodeKind.Null:
                WriteVarint(buffer, 8);
                WriteVarint(buffer, 0);
                break;
            case NodeKind.Bool:
                WriteVarint(buffer, 4 << 3);
                WriteVarint(buffer, value.AsBool ? 1ul : 0);
                break;
            case NodeKind.Integer:
            case NodeKind.Float:
                WriteVarint(buffer, (2 << 3) | 1);
                BinaryPrimitives.WriteDoubleLittleEndian(buffer.GetSpan(8), value.AsDouble);
                buffer.Advance(8);
                break;
            case NodeKind.String:
                WriteBytes(buffer, 3, Encoding.UTF8.GetBytes(value.AsText));
                break;
            case NodeKind.Map:
                var map = new ArrayBufferWriter<byte>(64);
                WriteStruct(map, value);
                WriteBytes(buffer, 5, map.WrittenSpan);
                break;
            default:
                var list = new ArrayBufferWriter<byte>(64);
                foreach (var item in value.Items)
                    WriteStructItem(list, item);
                WriteBytes(buffer, 6, list.WrittenSpan);
                break;
        }
    }

    private static void WriteScalar(ArrayBufferWriter<byte> buffer, int number, ProtoKind kind, Node value, ProtoField? field)
    {
        switch (kind)
        {
            case ProtoKind.String:
                WriteBytes(buffer, number, Encoding.UTF8.GetBytes(value.AsText));
                return;
            case ProtoKind.Bytes:
                WriteBytes(buffer, number, Convert.FromBase64String(value.AsText));
                return;
            case ProtoKind.Bool:
                WriteVarint(buffer, (ulong)(number << 3));
                WriteVarint(buffer, value.AsBool || value.AsText == "true" ? 1ul : 0);
                return;
            case ProtoKind.Double:
                WriteVarint(buffer, (ulong)((number << 3) | 1));
                BinaryPrimitives.WriteDoubleLittleEndian(buffer.GetSpan(8), value.AsDouble);
                buffer.Advance(8);
                return;
            case ProtoKind.Float:
                WriteVarint(buffer, (ulong)((number << 3) | 5));
                BinaryPrimitives.WriteSingleLittleEndian(buffer.GetSpan(4), (float)value.AsDouble);
                buffer.Advance(4);
                return;
        }
        var whole = value.Kind == NodeKind.String
            ? kind == ProtoKind.UInt64 ? (long)ulong.Parse(value.AsText, CultureInfo.InvariantCulture)
                : long.TryParse(value.AsText, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var parsed) ? parsed
                : throw new ProtoException($"{field?.Name} is a number, \"{value.AsText}\" is written")
            : value.AsInteger;
        switch (kind)
        {
            case ProtoKind.Fixed64 or ProtoKind.SFixed64:
                WriteVarint(buffer, (ulong)((number << 3) | 1));
                BinaryPrimitives.WriteInt64LittleEndian(buffer.GetSpan(8), whole);
                buffer.Advance(8);
                return;
            case ProtoKind.Fixed32 or ProtoKind.SFixed32:
                WriteVarint(buffer, (ulong)((number << 3) | 5));
                BinaryPrimitives.WriteInt32LittleEndian(buffer.GetSpan(4), (int)whole);
                buffer.Advance(4);
                return;
            case ProtoKind.SInt32 or ProtoKind.SInt64:
                whole = (whole << 1) ^ (whole >> 63);
                break;
        }
        WriteVarint(buffer, (ulong)(number << 3));
        WriteVarint(buffer, (ulong)whole);
    }

    private static void WriteTagged(ArrayBufferWriter<byte> buffer, int number, ulong value)
    {
        if (value == 0)
            return;
        WriteVarint(buffer, (ulong)(number << 3));
        WriteVarint(buffer, value);
    }

    private static void WriteBytes(ArrayBufferWriter<byte> buffer, int number, ReadOnlySpan<byte> bytes)
    {
        WriteVarint(buffer, (ulong)((number << 3) | 2));
        WriteVarint(buffer, (ulong)bytes.Length);
        buffer.Write(bytes);
    }

    private static void WriteVarint(ArrayBufferWriter<byte> buffer, ulong value)
    {
        var span = buffer.GetSpan(10);
        var length = 0;
        while (value >= 0x80)
        {
            span[length++] = (byte)(value | 0x80);
            value >>= 7;
        }
        span[length++] = (byte)value;
        buffer.Advance(length);
    }
}
