using System.Globalization;

namespace Tulle.Base.Documents;

/// <summary>What a <see cref="Node"/> holds.</summary>
public enum NodeKind : byte
{
    Null,
    Bool,
    Integer,
    Float,
    String,
    List,
    Map,
}

/// <summary>
/// One value of a configuration document, whatever it was written in: YAML, JSON or protobuf. Kubernetes objects, Envoy bootstraps and xDS
/// resources are all read from this tree, so one reader, one error format and one printer serve every source.
/// </summary>
/// <remarks>Protobuf messages follow the proto3 JSON mapping with the original (snake_case) field names.</remarks>
public sealed class Node
{
    private readonly object? _value;
    private readonly long _integer;

    private Node(NodeKind kind, object? value, long integer, SourcePosition position)
    {
        Kind = kind;
        _value = value;
        _integer = integer;
        Position = position;
    }

    public NodeKind Kind { get; }

    /// <summary>Where the value was written; default when it came from the wire.</summary>
    public SourcePosition Position { get; }

    public bool IsMap => Kind == NodeKind.Map;

    public bool IsList => Kind == NodeKind.List;

    public static Node Null(SourcePosition position = default) => new(NodeKind.Null, null, 0, position);

    public static Node Of(bool value, SourcePosition position = default) => new(NodeKind.Bool, null, value ? 1 : 0, position);

    public static Node Of(long value, SourcePosition position = default) => new(NodeKind.Integer, null, value, position);

    public static Node Of(double value, SourcePosition position = default) =>
        new(NodeKind.Float, null, BitConverter.DoubleToInt64Bits(value), position);

    public static Node Of(string value, SourcePosition position = default) => new(NodeKind.String, value, 0, position);

    public static Node List(List<Node> items, SourcePosition position = default) => new(NodeKind.List, items, 0, position);

    public static Node List(params Node[] items) => new(NodeKind.List, new List<Node>(items), 0, default);

    public static Node Map(List<KeyValuePair<string, Node>> fields, SourcePosition position = default) => new(NodeKind.Map, fields, 0, position);

    /// <summary>Builds a map; pairs whose value is null are left out, which keeps builders free of conditions.</summary>
    public static Node Map(params (string Name, Node? Value)[] fields)
    {
        var list = new List<KeyValuePair<string, Node>>(fields.Length);
        foreach (var (name, value) in fields)
        {
            if (value is not null)
                list.Add(new(name, value));
        }
        return new(NodeKind.Map, list, 0, default);
    }

    [return: System.Diagnostics.CodeAnalysis.NotNullIfNotNull(nameof(value))]
    public static implicit operator Node?(string? value) => value is null ? null : Of(value);

    public static implicit operator Node(bool value) => Of(value);

    public static implicit operator Node(long value) => Of(value);

    public static implicit operator Node(int value) => Of((long)value);

    public static Node FromString(string value) => Of(value);

    public static Node FromBoolean(bool value) => Of(value);

    public static Node FromInt64(long value) => Of(value);

    public static Node FromInt32(int value) => Of((long)value);

    public bool AsBool => _integer != 0;

    public long AsInteger => Kind == NodeKind.Float ? (long)BitConverter.Int64BitsToDouble(_integer) : _integer;

    public double AsDouble => Kind == NodeKind.Float ? BitConverter.Int64BitsToDouble(_integer) : _integer;

    public IReadOnlyList<Node> Items => _value as List<Node> ?? [];

    public IReadOnlyList<KeyValuePair<string, Node>> Fields => _value as List<KeyValuePair<string, Node>> ?? [];

    /// <summary>The text of a scalar as a person would write it; empty for null, lists and maps.</summary>
    public string AsText => Kind switch
    {
        NodeKind.String => (string)_value!,
        NodeKind.Bool => _integer != 0 ? "true" : "false",
        NodeKind.Integer => _integer.ToString(CultureInfo.InvariantCulture),
        NodeKind.Float => AsDouble.ToString("R", CultureInfo.InvariantCulture),
        _ => "",
    };

    /// <summary>The field of that name, or null. Maps are small, so a scan beats a hash table.</summary>
    public Node? this[string name]
    {
        get
        {
            if (_value is not List<KeyValuePair<string, Node>> fields)
                return null;
            foreach (var field in fields)
            {
                if (field.Key == name)
                    return field.Value;
            }
            return null;
        }
    }

    /// <summary>Walks nested maps; null as soon as a step is missing.</summary>
    public Node? At(params ReadOnlySpan<string> path)
    {
        Node? node = this;
        foreach (var step in path)
        {
            node = node[step];
            if (node is null)
                return null;
        }
        return node;
    }

    /// <summary>A copy of this map with a field replaced or appended.</summary>
    public Node With(string name, Node value)
    {
        var fields = new List<KeyValuePair<string, Node>>(Fields.Count + 1);
        var found = false;
        foreach (var field in Fields)
        {
            found |= field.Key == name;
            fields.Add(field.Key == name ? new(name, value) : field);
        }
        if (!found)
            fields.Add(new(name, value));
        return Map(fields, Position);
    }

    /// <summary>A copy of this map without a field.</summary>
    public Node Without(string name)
    {
        var fields = new List<KeyValuePair<string, Node>>(Fields.Count);
        foreach (var field in Fields)
        {
            if (field.Key != name)
                fields.Add(field);
        }
        return Map(fields, Position);
    }

    /// <summary>A hash (FNV-1a, 64 bits) of the content as written: kinds, names, values and their order; positions do not count. The same in every process.</summary>
    public ulong ContentHash() => Hash(14695981039346656037, this);

    private static ulong Hash(ulong hash, Node node)
    {
        hash = Mix(hash, (byte)node.Kind);
        switch (node._value)
        {
            case string text:
                return Mix(hash, text);
            case List<Node> items:
                foreach (var item in items)
                    hash = Hash(hash, item);
                return Mix(hash, (ulong)items.Count);
            case List<KeyValuePair<string, Node>> fields:
                foreach (var field in fields)
                    hash = Hash(Mix(hash, field.Key), field.Value);
                return Mix(hash, (ulong)fields.Count);
            default:
                return Mix(hash, (ulong)node._integer);
        }
    }

    private static ulong Mix(ulong hash, string text)
    {
        foreach (var letter in text)
            hash = (hash ^ letter) * FnvPrime;
        return Mix(hash, (ulong)text.Length);
    }

    private static ulong Mix(ulong hash, ulong value)
    {
        for (var shift = 0; shift < 64; shift += 8)
            hash = (hash ^ (byte)(value >> shift)) * FnvPrime;
        return hash;
    }

    private const ulong FnvPrime = 1099511628211;

    /// <summary>Same content; the order of map fields and the positions do not count.</summary>
    public bool DeepEquals(Node? other)
    {
        if (ReferenceEquals(this, other))
            return true;
        if (other is null)
            return false;
        if (Kind is NodeKind.Integer or NodeKind.Float && other.Kind is NodeKind.Integer or NodeKind.Float)
            return AsDouble.Equals(other.AsDouble) && AsInteger == other.AsInteger;
        if (Kind != other.Kind)
            return false;
        switch (Kind)
        {
            case NodeKind.List:
                if (Items.Count != other.Items.Count)
                    return false;
                for (var i = 0; i < Items.Count; i++)
                {
                    if (!Items[i].DeepEquals(other.Items[i]))
                        return false;
                }
                return true;
            case NodeKind.Map:
                if (Fields.Count != other.Fields.Count)
                    return false;
                for (var i = 0; i < Fields.Count; i++)
                {
                    // Two versions of one document have their fields in the same order: found without a search, however large the map.
                    var field = Fields[i];
                    var twin = other.Fields[i].Key == field.Key ? other.Fields[i].Value : other[field.Key];
                    if (!field.Value.DeepEquals(twin))
                        return false;
                }
                return true;
            default:
                return AsText == other.AsText;
        }
    }

    public override string ToString() => NodeJson.Write(this);
}

/// <summary>File, line and column (from 1) of a value; a default one is unknown.</summary>
public readonly record struct SourcePosition(string? File, int Line, int Column)
{
    public bool IsKnown => Line > 0;

    public override string ToString() => File is null ? (IsKnown ? $"{Line}:{Column}" : "") : IsKnown ? $"{File}:{Line}" : File;
}
