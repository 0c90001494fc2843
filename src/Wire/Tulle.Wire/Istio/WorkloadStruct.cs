using System.Buffers.Binary;
using System.Buffers.Text;
using System.Text;

namespace Tulle.Wire.Istio;

/// <summary>
/// A google.protobuf.Struct with the facts of a workload, as sidecars tell them to each other. Facts are told apart by name; those inside a struct have its
/// name and a slash before theirs ("LABELS/app"). Only texts are kept.
/// </summary>
public static class WorkloadStruct
{
    /// <summary>Bytes that are looked at. Source: ours; Istio's own are below 1,000.</summary>
    public const int BytesMax = 16 * 1024;

    /// <summary>Letters of all names and texts together. A name is written with those of the structs around it, so 16 KiB could become megabytes. Source: ours.</summary>
    private const int LettersMax = 4 * BytesMax;

    /// <summary>Structs inside structs. Source: ours; Istio writes one level.</summary>
    private const int DepthMax = 4;

    // google/protobuf/struct.proto: Struct.fields = 1 (entries: key = 1, value = 2); Value.string_value = 3, Value.struct_value = 5.
    private const int Fields = 1 << 3 | 2, Key = 1 << 3 | 2, EntryValue = 2 << 3 | 2, StringValue = 3 << 3 | 2, StructValue = 5 << 3 | 2;

    /// <summary>Facts of the first level, and labels, in the order of their names (a deterministic text lets receivers compare it).</summary>
    public static byte[] Write(IEnumerable<KeyValuePair<string, string>> facts, IEnumerable<KeyValuePair<string, string>> labels) =>
        Struct(facts.Select(f => Text(f.Key, f.Value)).Append(("LABELS", Message(StructValue, Struct(labels.Select(l => Text(l.Key, l.Value)))))));

    /// <summary>As the value of x-envoy-peer-metadata: base64 (RFC 4648 section 4).</summary>
    public static byte[] ToField(byte[] workload) => Encoding.ASCII.GetBytes(Convert.ToBase64String(workload));

    private static (string Name, byte[] Value) Text(string name, string value) => (name, Message(StringValue, Encoding.UTF8.GetBytes(value)));

    private static byte[] Struct(IEnumerable<(string Name, byte[] Value)> entries) =>
        entries.OrderBy(e => e.Name, StringComparer.Ordinal).SelectMany(e => Message(Fields, [.. Message(Key, Encoding.UTF8.GetBytes(e.Name)), .. Message(EntryValue, e.Value)])).ToArray();

    private static byte[] Message(int tag, byte[] content)
    {
        var head = new List<byte> { (byte)tag };
        for (var length = (uint)content.Length; ; length >>= 7)
        {
            head.Add((byte)(length > 127 ? length | 0x80 : length));
            if (length <= 127)
                break;
        }
        return [.. head, .. content];
    }

    /// <summary>What a value of x-envoy-peer-metadata tells; null when it is not base64 of a Struct, or too long.</summary>
    public static Dictionary<string, string>? ReadField(ReadOnlySpan<byte> text)
    {
        if (text.Length > BytesMax)
            return null;
        var bytes = new byte[Base64.GetMaxDecodedFromUtf8Length(text.Length)];
        return Base64.DecodeFromUtf8(text, bytes, out _, out var written) == System.Buffers.OperationStatus.Done ? Read(bytes.AsSpan(0, written)) : null;
    }

    /// <summary>Null when the bytes are no Struct, or too many. A name that comes twice has its last value.</summary>
    public static Dictionary<string, string>? Read(ReadOnlySpan<byte> data)
    {
        var facts = new Dictionary<string, string>(StringComparer.Ordinal);
        var letters = LettersMax;
        return data.Length <= BytesMax && ReadStruct(data, "", facts, 0, ref letters) ? facts : null;
    }

    private static bool ReadStruct(ReadOnlySpan<byte> data, string prefix, Dictionary<string, string> facts, int depth, ref int letters)
    {
        if (depth > DepthMax)
            return false;
        while (data.Length > 0)
        {
            if (!TryTake(ref data, out var tag, out var entry))
                return false;
            if (tag != Fields)
                continue;
            ReadOnlySpan<byte> name = default, value = default;
            while (entry.Length > 0)
            {
                if (!TryTake(ref entry, out tag, out var content))
                    return false;
                if (tag == Key)
                    name = content;
                else if (tag == EntryValue)
                    value = content;
            }
            letters -= prefix.Length + name.Length + value.Length;
            if (letters < 0)
                return false;
            var key = prefix + Encoding.UTF8.GetString(name);
            while (value.Length > 0)
            {
                if (!TryTake(ref value, out tag, out var content))
                    return false;
                if (tag == StringValue)
                    facts[key] = Encoding.UTF8.GetString(content);
                else if (tag == StructValue && !ReadStruct(content, key + "/", facts, depth + 1, ref letters))
                    return false;
            }
        }
        return true;
    }

    /// <summary>One field of a protobuf message; the content is empty for numbers.</summary>
    private static bool TryTake(scoped ref ReadOnlySpan<byte> data, out int tag, out ReadOnlySpan<byte> content)
    {
        content = default;
        tag = 0;
        if (!TryNumber(ref data, out var number) || number > int.MaxValue)
            return false;
        tag = (int)number;
        var length = 0ul;
        switch (tag & 7)
        {
            case 0:
                return TryNumber(ref data, out _);
            case 1:
                length = 8;
                break;
            case 2 when TryNumber(ref data, out length):
                break;
            case 5:
                length = 4;
                break;
            default:
                return false;
        }
        if (length > (ulong)data.Length)
            return false;
        content = data[..(int)length];
        data = data[(int)length..];
        return true;
    }

    private static bool TryNumber(scoped ref ReadOnlySpan<byte> data, out ulong number)
    {
        number = 0;
        for (var i = 0; i < 10 && i < data.Length; i++)
        {
            number |= (ulong)(data[i] & 0x7f) << (7 * i);
            if (data[i] >= 0x80)
                continue;
            data = data[(i + 1)..];
            return true;
        }
        return false;
    }

    // istio.metadata_exchange for TCP: 4 bytes magic, 4 bytes length (both big-endian), google.protobuf.Any (type_url = 1, value = 2) of a Struct that holds
    // the workload's Struct and the node's id under the names of the HTTP fields.
    private const uint ExchangeMagic = 0x3D230467;
    private const string ExchangeName = "x-envoy-peer-metadata";
    private const int AnyType = 1 << 3 | 2, AnyValue = 2 << 3 | 2;

    /// <summary>What a sidecar sends first on a TLS connection whose ALPN is the exchange's.</summary>
    public static byte[] ToExchange(byte[] workload, string id)
    {
        var both = Struct([(ExchangeName, Message(StructValue, workload)), Text(ExchangeName + "-id", id)]);
        byte[] any = [.. Message(AnyType, "type.googleapis.com/google.protobuf.Struct"u8.ToArray()), .. Message(AnyValue, both)];
        var head = new byte[8];
        BinaryPrimitives.WriteUInt32BigEndian(head, ExchangeMagic);
        BinaryPrimitives.WriteInt32BigEndian(head.AsSpan(4), any.Length);
        return [.. head, .. any];
    }

    /// <summary>Whether the first bytes of a stream are an exchange: its length, head included; 0 when they are not, −1 when more bytes are needed to tell.</summary>
    public static int ExchangeLength(ReadOnlySpan<byte> start)
    {
        Span<byte> magic = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(magic, ExchangeMagic);
        var known = Math.Min(4, start.Length);
        if (!start[..known].SequenceEqual(magic[..known]))
            return 0;
        if (start.Length < 8)
            return -1;
        var length = BinaryPrimitives.ReadUInt32BigEndian(start[4..]);
        if (length > BytesMax)
            return 0;
        return start.Length < 8 + (int)length ? -1 : 8 + (int)length;
    }

    /// <summary>What a whole exchange tells; null when it cannot be read.</summary>
    public static Dictionary<string, string>? ReadExchange(ReadOnlySpan<byte> exchange)
    {
        var any = exchange[8..];
        while (any.Length > 0)
        {
            if (!TryTake(ref any, out var tag, out var content))
                return null;
            if (tag == AnyValue)
                return Read(content) is { } told ? told.Where(t => t.Key.StartsWith(ExchangeName + "/", StringComparison.Ordinal)).ToDictionary(t => t.Key[(ExchangeName.Length + 1)..], t => t.Value, StringComparer.Ordinal) : null;
        }
        return null;
    }
}
