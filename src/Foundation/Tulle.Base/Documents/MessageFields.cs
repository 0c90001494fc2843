namespace Tulle.Base.Documents;

/// <summary>
/// The table of one message or kind: each of its fields is obeyed, harmless, warned of or refused. A reader that was made with a table cannot take a
/// field that the table does not call obeyed, and judges by it what was set and not read: so no field is lost without a word.
/// </summary>
public class MessageFields(string name)
{
    private readonly Dictionary<string, FieldRule> _rules = new(StringComparer.Ordinal);

    /// <summary>The full name of the message, as its .proto file has it, or the kind and path of a Kubernetes object.</summary>
    public string Name { get; } = name;

    public IReadOnlyDictionary<string, FieldRule> Rules => _rules;

    /// <summary>For the table itself: <c>["name"] = Obeyed</c>. A name that is there twice is a mistake.</summary>
    public FieldRule this[string field]
    {
        set => _rules.Add(field, value);
    }

    /// <summary>By the name as declared, or by its camelCase form, which proto3 JSON allows too.</summary>
    public FieldRule? Find(string field)
    {
        if (_rules.TryGetValue(field, out var rule))
            return rule;
        foreach (var (known, candidate) in _rules)
        {
            if (known.Contains('_') && FieldReader.Camel(known) == field)
                return candidate;
        }
        return null;
    }

    /// <summary>
    /// Whether a value that is written means the same as leaving the field out: proto3's default of a field without presence. Messages and wrappers have
    /// presence: <c>{}</c> is something.
    /// </summary>
    public virtual bool IsUnset(string field, Node value) => IsZero(value) || value is { Kind: NodeKind.List, Items.Count: 0 };

    protected static bool IsZero(Node value) => value.Kind switch
    {
        NodeKind.Null => true,
        NodeKind.Bool => !value.AsBool,
        NodeKind.Integer => value.AsInteger == 0,
        NodeKind.Float => value.AsDouble == 0,
        NodeKind.String => value.AsText.Length == 0,
        _ => false,
    };
}
