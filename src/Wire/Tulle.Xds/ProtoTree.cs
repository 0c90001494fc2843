using Tulle.Base.Documents;

namespace Tulle.Xds;

/// <summary>Reads one message into a tree. Every step down is counted in one place, whatever kind of message it leads to.</summary>
internal sealed partial class ProtoTree(int valuesMax)
{
    private int _depth;
    private int _values;

    private void Enter(string what)
    {
        if (++_depth > ProtoReader.DepthMax)
            throw new ProtoException($"{what} nests deeper than {ProtoReader.DepthMax} messages");
    }

    private void CountValue()
    {
        if (++_values > valuesMax)
            throw new ProtoException($"more than {valuesMax} values in one message");
    }

    public Node ReadMessage(ProtoMessage message, ReadOnlySpan<byte> data)
    {
        var fields = new ProtoFields();
        ReadFields(message, data, fields);
        return fields.ToNode();
    }

    private void ReadFields(ProtoMessage message, ReadOnlySpan<byte> data, ProtoFields fields)
    {
        Enter(message.Name);
        Dictionary<string, List<Node>>? lists = null;
        Dictionary<string, ProtoFields>? maps = null;
        Dictionary<string, string>? chosen = null;
        while (!data.IsEmpty)
        {
            CountValue();
            var (number, wire) = ProtoWire.ReadTag(ref data);
            var field = message.Find(number);
            if (field is null)
                fields.Set($"#{number}", Node.Of(Convert.ToBase64String(ProtoWire.Skip(ref data, wire))));
            else if (field.IsMap)
                ReadMapEntry(field, ProtoWire.ReadBytes(ref data, wire), MapOf(fields, ref maps, field.Name));
            else if (field.IsRepeated)
                ReadRepeated(field, ref data, wire, ListOf(fields, ref lists, field.Name));
            else
                SetSingle(message, field, ReadValue(field, ref data, wire), fields, ref chosen);
        }
        _depth--;
    }

    private static void SetSingle(ProtoMessage message, ProtoField field, Node value, ProtoFields fields, ref Dictionary<string, string>? chosen)
    {
        // Protobuf would merge the two; no encoder writes such bytes, and whoever reads a message in two ways has two messages.
        if (field.Kind == ProtoKind.Message && field.Enum is null && fields.Has(field.Name))
            throw new ProtoException($"{message.Name}.{field.Name} comes twice");
        if (field.Oneof.Length > 0)
        {
            chosen ??= new Dictionary<string, string>(StringComparer.Ordinal);
            // Of a oneof the last member counts.
            if (chosen.TryGetValue(field.Oneof, out var old) && old != field.Name)
            {
                fields.Replace(old, field.Name, value);
                chosen[field.Oneof] = field.Name;
                return;
            }
            chosen[field.Oneof] = field.Name;
        }
        fields.Set(field.Name, value);
    }

    private void ReadRepeated(ProtoField field, scoped ref ReadOnlySpan<byte> data, int wire, List<Node> list)
    {
        if (wire != ProtoWire.Bytes || ElementWire(field) == ProtoWire.Bytes)
        {
            list.Add(ReadValue(field, ref data, wire));
            return;
        }
        var packed = ProtoWire.ReadBytes(ref data, wire);
        while (!packed.IsEmpty)
        {
            CountValue();
            list.Add(ReadValue(field, ref packed, ElementWire(field)));
        }
    }

    private static int ElementWire(ProtoField field) => field.Enum is not null ? ProtoWire.Varint : ProtoWire.WireOf(field.Kind);

    private static List<Node> ListOf(ProtoFields fields, ref Dictionary<string, List<Node>>? lists, string name)
    {
        lists ??= new Dictionary<string, List<Node>>(StringComparer.Ordinal);
        if (lists.TryGetValue(name, out var list))
            return list;
        lists[name] = list = [];
        fields.Set(name, Node.List(list));
        return list;
    }

    private static ProtoFields MapOf(ProtoFields fields, ref Dictionary<string, ProtoFields>? maps, string name)
    {
        maps ??= new Dictionary<string, ProtoFields>(StringComparer.Ordinal);
        if (maps.TryGetValue(name, out var map))
            return map;
        maps[name] = map = new ProtoFields();
        fields.Set(name, map.ToNode());
        return map;
    }

    private void ReadMapEntry(ProtoField field, ReadOnlySpan<byte> entry, ProtoFields map)
    {
        var key = ProtoWire.Default(field.MapKeyKind).AsText;
        Node? value = null;
        while (!entry.IsEmpty)
        {
            CountValue();
            var (number, wire) = ProtoWire.ReadTag(ref entry);
            if (number == 1)
                key = ProtoWire.ReadScalar(field.MapKeyKind, ref entry, wire).AsText;
            else if (number == 2)
                value = ReadValue(field, ref entry, wire);
            else
                ProtoWire.Skip(ref entry, wire);
        }
        map.Set(key, value ?? (field.Enum is not null ? Node.Of(0L) : field.Kind == ProtoKind.Message ? ReadEmbedded(field, []) : ProtoWire.Default(field.Kind)));
    }

    private Node ReadValue(ProtoField field, scoped ref ReadOnlySpan<byte> data, int wire)
    {
        if (field.Enum is { } values)
        {
            ProtoWire.Expect(wire, ProtoWire.Varint);
            var number = (int)ProtoWire.ReadVarint(ref data);
            return values.NameOf(number) is { } name ? Node.Of(name) : Node.Of((long)number);
        }
        return field.Kind == ProtoKind.Message ? ReadEmbedded(field, ProtoWire.ReadBytes(ref data, wire)) : ProtoWire.ReadScalar(field.Kind, ref data, wire);
    }

    private Node ReadEmbedded(ProtoField field, ReadOnlySpan<byte> bytes) =>
        field.Message is not { } message || WellKnown.IsKnown(field.TypeName) ? ReadWellKnown(field.TypeName, bytes)
        : message.Name == "tulle.Opaque" ? Node.Map(("@bytes", Node.Of(Convert.ToBase64String(bytes))))
        : ReadMessage(message, bytes);
}
