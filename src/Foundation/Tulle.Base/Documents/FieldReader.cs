using System.Globalization;

namespace Tulle.Base.Documents;

/// <summary>
/// Reads the fields of one map and remembers which were read. <see cref="Done"/> judges the rest by the table of the message, so that a field nobody
/// obeys can never be lost silently. Both camelCase and snake_case names are found, as in proto3 JSON.
/// </summary>
/// <remarks>
/// With a table a reader can only take fields that the table calls obeyed: anything else is a mistake in the program and throws. Without one
/// (<see cref="Fields"/> is null) every field that was not read is an error.
/// </remarks>
public sealed class FieldReader
{
    private readonly Diagnostics _diagnostics;
    private readonly string _subject;
    private readonly List<string> _read = [];

    public FieldReader(Node? node, Diagnostics diagnostics, string subject, string path = "", MessageFields? fields = null)
    {
        Fields = fields;
        Node = node ?? Node.Map();
        _diagnostics = diagnostics;
        _subject = subject;
        Path = path;
        if (Node.Kind is not (NodeKind.Map or NodeKind.Null))
            Fail("", $"an object is expected, {Describe(Node)} is written");
    }

    public Node Node { get; }

    /// <summary>The table of the message; null where there is none.</summary>
    public MessageFields? Fields { get; }

    public string Path { get; }

    public string Subject => _subject;

    public Diagnostics Diagnostics => _diagnostics;

    public string PathOf(string name) => name.Length == 0 ? Path : Path.Length == 0 ? name : $"{Path}.{name}";

    public bool Has(string name)
    {
        RequireEntry(name);
        return Peek(name) is { Kind: not NodeKind.Null };
    }

    /// <summary>The raw value; the field counts as read.</summary>
    /// <exception cref="InvalidOperationException">The table does not call the field obeyed: a mistake in the program.</exception>
    public Node? Raw(string name)
    {
        RequireEntry(name);
        _read.Add(name);
        if (Peek(name) is not { Kind: not NodeKind.Null } node)
            return null;
#if DEBUG
        FieldProbe.Saw(Fields, name, node);
#endif
        return node;
    }

    private Node? Peek(string name)
    {
#if DEBUG
        if (FieldProbe.Hides(Fields, name))
            return null;
#endif
        return Node[name] ?? (name.Contains('_') ? Node[Camel(name)] : null);
    }

    public string? Text(string name)
    {
        var node = Raw(name);
        if (node is null)
            return null;
        if (node.Kind is NodeKind.Map or NodeKind.List)
        {
            Fail(name, $"text is expected, {Describe(node)} is written", node);
            return null;
        }
        return node.AsText;
    }

    public string Text(string name, string otherwise) => Text(name) ?? otherwise;

    /// <summary>A text that must be there and not be empty.</summary>
    public string Required(string name)
    {
        var text = Text(name);
        if (string.IsNullOrEmpty(text))
            Fail(name, "is required");
        return text ?? "";
    }

    public bool? Bool(string name)
    {
        var node = Raw(name);
        if (node is null)
            return null;
        if (node.Kind == NodeKind.Bool)
            return node.AsBool;
        if (node.Kind == NodeKind.String && bool.TryParse(node.AsText, out var parsed))
            return parsed;
        Fail(name, $"true or false is expected, {Describe(node)} is written", node);
        return null;
    }

    public bool Bool(string name, bool otherwise) => Bool(name) ?? otherwise;

    public long? Integer(string name, long min = long.MinValue, long max = long.MaxValue)
    {
        var node = Raw(name);
        if (node is null)
            return null;
        // A wrapper written in full ({"value": 3}) means the same as the bare number.
        if (node.Kind == NodeKind.Map && node.Fields.Count == 1 && node["value"] is { } inner)
            node = inner;
        long value;
        if (node.Kind == NodeKind.Integer)
            value = node.AsInteger;
        else if (node.Kind == NodeKind.Float && node.AsDouble == Math.Floor(node.AsDouble) && Math.Abs(node.AsDouble) < 9e15)
            value = (long)node.AsDouble;
        else if (node.Kind == NodeKind.String && long.TryParse(node.AsText, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var parsed))
            value = parsed;
        else
        {
            Fail(name, $"a whole number is expected, {Describe(node)} is written", node);
            return null;
        }
        if (value < min || value > max)
        {
            Fail(name, $"{value} is out of range, {min} to {max} is allowed", node);
            return null;
        }
        return value;
    }

    public long IntegerOr(string name, long otherwise, long min = long.MinValue, long max = long.MaxValue) => Integer(name, min, max) ?? otherwise;

    public double? Number(string name)
    {
        var node = Raw(name);
        if (node is null)
            return null;
        if (node.Kind == NodeKind.Map && node.Fields.Count <= 1)
            node = node["value"] ?? Node.Of(0L);
        if (node.Kind is NodeKind.Integer or NodeKind.Float)
            return node.AsDouble;
        if (node.Kind == NodeKind.String && double.TryParse(node.AsText, NumberStyles.Float, CultureInfo.InvariantCulture, out var parsed))
            return parsed;
        Fail(name, $"a number is expected, {Describe(node)} is written", node);
        return null;
    }

    /// <summary>A duration in milliseconds: proto JSON ("1.5s"), Go ("1m30s", "200ms") or an object of seconds and nanos.</summary>
    public double? DurationMs(string name)
    {
        var node = Raw(name);
        if (node is null)
            return null;
        double milliseconds;
        if (node.Kind == NodeKind.Map)
            milliseconds = (node["seconds"]?.AsDouble ?? 0) * 1000 + (node["nanos"]?.AsDouble ?? 0) / 1e6;
        else if (!Durations.TryParseMs(node.AsText, out milliseconds))
        {
            Fail(name, $"a duration such as 1.5s is expected, {Describe(node)} is written", node);
            return null;
        }
        // What does not fit would be taken for something else by whoever counts with it. The largest: google/protobuf/duration.proto.
        if (milliseconds is < 0 or > DurationMsMax)
        {
            Fail(name, $"{Describe(node)} is no length of time that can be waited for; 0s to {DurationMsMax / 1000:0}s is allowed", node);
            return null;
        }
        return milliseconds;
    }

    /// <summary>The longest duration, milliseconds: about 10,000 years.</summary>
    private const double DurationMsMax = 315_576_000_000_000;

    public FieldReader? Child(string name)
    {
        var node = Raw(name);
        return node is null ? null : new FieldReader(node, _diagnostics, _subject, PathOf(name), MessageOf(name));
    }

    /// <summary>The values of a map of messages; their paths name the key.</summary>
    public IEnumerable<(string Key, FieldReader Value)> ChildMap(string name)
    {
        foreach (var (key, value) in Raw(name)?.Fields ?? [])
            yield return (key, new FieldReader(value, _diagnostics, _subject, $"{PathOf(name)}[{key}]", MessageOf(name)));
    }

    public IEnumerable<FieldReader> Children(string name)
    {
        var node = List(name);
        for (var i = 0; i < node.Count; i++)
            yield return new FieldReader(node[i], _diagnostics, _subject, $"{PathOf(name)}[{i}]", MessageOf(name));
    }

    public IReadOnlyList<Node> List(string name)
    {
        var node = Raw(name);
        if (node is null)
            return [];
        if (node.Kind == NodeKind.List)
            return node.Items;
        Fail(name, $"a list is expected, {Describe(node)} is written", node);
        return [];
    }

    public List<string> Texts(string name)
    {
        var result = new List<string>();
        foreach (var item in List(name))
        {
            if (item.Kind is NodeKind.Map or NodeKind.List)
                Fail(name, $"a list of text is expected, {Describe(item)} is written", item);
            else
                result.Add(item.AsText);
        }
        return result;
    }

    public Dictionary<string, string> TextMap(string name)
    {
        var result = new Dictionary<string, string>(StringComparer.Ordinal);
        var node = Raw(name);
        if (node is null)
            return result;
        if (node.Kind != NodeKind.Map)
        {
            Fail(name, $"an object is expected, {Describe(node)} is written", node);
            return result;
        }
        foreach (var field in node.Fields)
            result[field.Key] = field.Value.AsText;
        return result;
    }

    /// <summary>An enum by its name; the value must be one of those listed.</summary>
    public string Choice(string name, string otherwise, params ReadOnlySpan<string> allowed)
    {
        var text = Text(name);
        if (text is null)
            return otherwise;
        foreach (var value in allowed)
        {
            if (value == text)
                return text;
        }
        Fail(name, $"\"{text}\" is not one of {string.Join(", ", allowed.ToArray())}");
        return otherwise;
    }

    /// <summary>Fields that only tune or only describe: accepted without effect.</summary>
    public void Accept(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
            _read.Add(name);
    }

    public void Fail(string name, string message, Node? node = null) =>
        _diagnostics.Error((node ?? (name.Length == 0 ? Node : Peek(name)) ?? Node).Position, _subject, PathOf(name), message);

    /// <summary>Judges every field that is set and was not read.</summary>
    public void Done(string because = "is not a field that is known here")
    {
        foreach (var (name, value) in Node.Fields)
        {
            if (value.Kind == NodeKind.Null || name == "@type" || WasRead(name))
                continue;
            if (Fields is null)
                _diagnostics.Error(value.Position, _subject, PathOf(name), because);
            else if (Fields.Find(name) is not { } rule)
                _diagnostics.Error(value.Position, _subject, PathOf(name), $"is not a field of {Fields.Name} that this program knows");
            else if (rule.Word != FieldWord.Harmless && !Fields.IsUnset(name, value))
                Judge(rule, name, value);
        }
    }

    private void Judge(FieldRule rule, string name, Node value)
    {
        if (rule.Word == FieldWord.Warned)
            _diagnostics.Warn(value.Position, _subject, PathOf(name), $"is not obeyed: {rule.Reason}");
        else if (rule.Word == FieldWord.Refused)
            _diagnostics.Error(value.Position, _subject, PathOf(name), rule.Reason);
        else
            _diagnostics.Error(value.Position, _subject, PathOf(name), "has no effect beside the other fields that are set here; remove it or them");
    }

    private void RequireEntry(string name)
    {
        if (Fields is not null && Fields.Find(name) is not { Word: FieldWord.Obeyed })
            throw new InvalidOperationException($"the table of {Fields.Name} does not call {name} obeyed, and a reader reads it");
    }

    private MessageFields? MessageOf(string name)
    {
        if (Fields is null)
            return null;
        return Fields.Find(name)?.Messages is [var message] ? message : throw new InvalidOperationException($"the table of {Fields.Name} does not say which message {name} holds");
    }

    /// <summary>A reader of a value that was taken apart before it is read: what an Any holds, an entry of a map.</summary>
    public FieldReader Over(Node value, string path, MessageFields? fields) => new(value, _diagnostics, _subject, path, fields);

    private bool WasRead(string key)
    {
        foreach (var name in _read)
        {
            if (name == key || (name.Contains('_') && Camel(name) == key))
                return true;
        }
        return false;
    }

    public static string Camel(string snake)
    {
        Span<char> buffer = stackalloc char[snake.Length];
        var length = 0;
        for (var i = 0; i < snake.Length; i++)
        {
            if (snake[i] == '_' && i + 1 < snake.Length)
                buffer[length++] = char.ToUpperInvariant(snake[++i]);
            else
                buffer[length++] = snake[i];
        }
        return new string(buffer[..length]);
    }

    private static string Describe(Node node) => node.Kind switch
    {
        NodeKind.Map => "an object",
        NodeKind.List => "a list",
        NodeKind.Null => "nothing",
        _ => $"\"{node.AsText}\"",
    };
}
