using System.Buffers.Text;
using System.Text;

namespace Tulle.Wire.Istio;

/// <summary>
/// The value of x-envoy-peer-metadata: a google.protobuf.Struct with the facts of a workload, in base64 (RFC 4648 section 4). Facts are told apart by name;
/// those inside a struct have its name and a slash before theirs ("LABELS/app"). Only texts are kept.
/// </summary>
public static class PeerMetadataText
{
    /// <summary>Bytes of the base64 text that are looked at. Source: ours; Istio's own are below 1,000.</summary>
    public const int TextBytesMax = 16 * 1024;

    /// <summary>Structs inside structs. Source: ours; Istio writes one level.</summary>
    private const int DepthMax = 4;

    // google/protobuf/struct.proto: Struct.fields = 1 (entries: key = 1, value = 2); Value.string_value = 3, Value.struct_value = 5.
    private const int Fields = 1 << 3 | 2, Key = 1 << 3 | 2, EntryValue = 2 << 3 | 2, StringValue = 3 << 3 | 2, StructValue = 5 << 3 | 2;

    /// <summary>Facts of the first level, and labels, in the order of their names (a deterministic text lets receivers compare it).</summary>
    public static byte[] Write(IEnumerable<KeyValuePair<string, string>> facts, IEnumerable<KeyValuePair<string, string>> labels)
    {
        var inner = Struct(labels.Select(l => (l.Key, Message(StringValue, Encoding.UTF8.GetBytes(l.Value)))));
        var outer = Struct(facts.Select(f => (f.Key, Message(StringValue, Encoding.UTF8.GetBytes(f.Value)))).Append(("LABELS", Message(StructValue, inner))));
        return Encoding.ASCII.GetBytes(Convert.ToBase64String(outer));
    }

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

    /// <summary>Null when the text is not base64 of a Struct, or longer than <see cref="TextBytesMax"/>. A name that comes twice has its last value.</summary>
    public static Dictionary<string, string>? Read(ReadOnlySpan<byte> text)
    {
        if (text.Length > TextBytesMax)
            return null;
        var bytes = new byte[Base64.GetMaxDecodedFromUtf8Length(text.Length)];
        if (Base64.DecodeFromUtf8(text, bytes, out _, out var written) != System.Buffers.OperationStatus.Done)
            return null;
        var facts = new Dictionary<string, string>(StringComparer.Ordinal);
        return ReadStruct(bytes.AsSpan(0, written), "", facts, 0) ? facts : null;
    }

    private static bool ReadStruct(ReadOnlySpan<byte> data, string prefix, Dictionary<string, string> facts, int depth)
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
            var key = prefix + Encoding.UTF8.GetString(name);
            while (value.Length > 0)
            {
                if (!TryTake(ref value, out tag, out var content))
                    return false;
                if (tag == StringValue)
                    facts[key] = Encoding.UTF8.GetString(content);
                else if (tag == StructValue && !ReadStruct(content, key + "/", facts, depth + 1))
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
}
