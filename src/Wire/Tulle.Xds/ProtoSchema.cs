using System.Collections.Frozen;
using System.Reflection;

namespace Tulle.Xds;

public enum ProtoKind : byte
{
    Double,
    Float,
    Int64,
    UInt64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    Bytes,
    UInt32,
    SFixed32,
    SFixed64,
    SInt32,
    SInt64,
    Message,
    Enum,
}

/// <summary>A field of a message as our .proto files declare it.</summary>
public sealed class ProtoField
{
    public required string Name { get; init; }

    public required int Number { get; init; }

    public required ProtoKind Kind { get; init; }

    /// <summary>Full name of the message or enum.</summary>
    public string TypeName { get; init; } = "";

    public bool IsRepeated { get; init; }

    /// <summary>In a oneof, or optional: a zero value is sent, because being there means something.</summary>
    public bool HasPresence { get; init; }

    /// <summary>Name of the oneof; empty: in none.</summary>
    public string Oneof { get; init; } = "";

    public bool IsMap { get; init; }

    public ProtoKind MapKeyKind { get; init; }

    /// <summary>Set on first use: files may refer to each other in any order.</summary>
    public ProtoMessage? Message { get; internal set; }

    public ProtoEnum? Enum { get; internal set; }
}

public sealed class ProtoMessage(string name)
{
    private readonly Dictionary<int, ProtoField> _byNumber = [];
    private readonly Dictionary<string, ProtoField> _byName = new(StringComparer.Ordinal);

    public string Name { get; } = name;

    public IReadOnlyCollection<ProtoField> Fields => _byNumber.Values;

    internal void Add(ProtoField field)
    {
        _byNumber[field.Number] = field;
        _byName[field.Name] = field;
    }

    public ProtoField? Find(int number) => _byNumber.GetValueOrDefault(number);

    /// <summary>By the original name, or by its camelCase form.</summary>
    public ProtoField? Find(string name)
    {
        if (_byName.TryGetValue(name, out var field))
            return field;
        foreach (var candidate in _byName.Values)
        {
            if (candidate.Name.Contains('_') && Base.Documents.FieldReader.Camel(candidate.Name) == name)
                return candidate;
        }
        return null;
    }
}

public sealed class ProtoEnum(string name)
{
    private readonly Dictionary<int, string> _names = [];
    private readonly Dictionary<string, int> _numbers = new(StringComparer.Ordinal);

    public string Name { get; } = name;

    internal void Add(string value, int number)
    {
        _names.TryAdd(number, value);
        _numbers[value] = number;
    }

    public string? NameOf(int number) => _names.GetValueOrDefault(number);

    public int? NumberOf(string value) => _numbers.TryGetValue(value, out var number) ? number : null;
}

/// <summary>
/// The messages of our .proto files, read from the files themselves (they are embedded). Read once, when the first xDS message is handled: a proxy with
/// a static configuration never pays for it.
/// </summary>
public sealed class ProtoSchema
{
    private static readonly Lazy<ProtoSchema> s_shared = new(Load);

    private readonly Dictionary<string, ProtoMessage> _messages = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ProtoEnum> _enums = new(StringComparer.Ordinal);

    public static ProtoSchema Shared => s_shared.Value;

    public IReadOnlyDictionary<string, ProtoMessage> Messages => _messages;

    /// <exception cref="KeyNotFoundException">No such message: a programming error.</exception>
    public ProtoMessage this[string name] => _messages[name];

    public ProtoMessage? Find(string name) => _messages.GetValueOrDefault(name);

    private static ProtoSchema Load()
    {
        var schema = new ProtoSchema();
        var assembly = Assembly.GetExecutingAssembly();
        foreach (var resource in assembly.GetManifestResourceNames())
        {
            if (!resource.EndsWith(".proto", StringComparison.Ordinal))
                continue;
            using var reader = new StreamReader(assembly.GetManifestResourceStream(resource)!);
            new ProtoFileReader(reader.ReadToEnd(), schema._messages, schema._enums).Read();
        }
        foreach (var message in schema._messages.Values)
        {
            foreach (var field in message.Fields)
                schema.Resolve(message, field);
        }
        return schema;
    }

    private void Resolve(ProtoMessage owner, ProtoField field)
    {
        if (field.TypeName.Length == 0)
            return;
        if (_messages.TryGetValue(field.TypeName, out var message))
            field.Message = message;
        else if (_enums.TryGetValue(field.TypeName, out var values))
            field.Enum = values;
        else if (!WellKnown.IsKnown(field.TypeName))
            throw new InvalidOperationException($"{owner.Name}.{field.Name} has the unknown type {field.TypeName}");
    }
}

/// <summary>The types of google.protobuf that JSON writes in a form of their own.</summary>
internal static class WellKnown
{
    private static readonly FrozenSet<string> Names = new[]
    {
        "google.protobuf.Any", "google.protobuf.Duration", "google.protobuf.Timestamp", "google.protobuf.Empty", "google.protobuf.Struct", "google.protobuf.Value",
        "google.protobuf.ListValue", "google.protobuf.BoolValue", "google.protobuf.UInt32Value", "google.protobuf.UInt64Value", "google.protobuf.Int32Value",
        "google.protobuf.Int64Value", "google.protobuf.DoubleValue", "google.protobuf.FloatValue", "google.protobuf.StringValue", "google.protobuf.BytesValue",
    }.ToFrozenSet(StringComparer.Ordinal);

    public static bool IsKnown(string name) => Names.Contains(name);

    public static ProtoKind? WrapperKind(string name) => name switch
    {
        "google.protobuf.BoolValue" => ProtoKind.Bool,
        "google.protobuf.UInt32Value" => ProtoKind.UInt32,
        "google.protobuf.UInt64Value" => ProtoKind.UInt64,
        "google.protobuf.Int32Value" => ProtoKind.Int32,
        "google.protobuf.Int64Value" => ProtoKind.Int64,
        "google.protobuf.DoubleValue" => ProtoKind.Double,
        "google.protobuf.FloatValue" => ProtoKind.Float,
        "google.protobuf.StringValue" => ProtoKind.String,
        "google.protobuf.BytesValue" => ProtoKind.Bytes,
        _ => null,
    };
}
