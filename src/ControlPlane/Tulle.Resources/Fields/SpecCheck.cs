using System.Globalization;
using Tulle.Base.Documents;

namespace Tulle.Resources;

/// <summary>Holds an object to the table of its kind: unknown, mistyped, disobeyed fields are told with their place.</summary>
internal sealed class SpecCheck(Diagnostics diagnostics, string subject)
{
    /// <summary>Checks a whole spec.</summary>
    public void Check(Node? node, Spec spec, string path)
    {
        if (node is null || node.Kind == NodeKind.Null)
            return;
        if (node.Kind != NodeKind.Map)
        {
            Error(node, path, $"an object is expected, {Describe(node)} is written");
            return;
        }
        foreach (var (name, value) in node.Fields)
        {
            if (value.Kind == NodeKind.Null)
                continue;
            var at = $"{path}.{name}";
            if (!spec.Fields.TryGetValue(name, out var field))
            {
                Error(value, at, $"is not a field of {spec.Name}{Suggest(name, spec)}");
                continue;
            }
            CheckShape(value, field, at);
            Judge(value, field, at);
        }
    }

    private static string Suggest(string name, Spec spec)
    {
        var other = spec.Fields.Keys.FirstOrDefault(k => string.Equals(k, name, StringComparison.OrdinalIgnoreCase)
            || string.Equals(k.Replace("_", "", StringComparison.Ordinal), name.Replace("_", "", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase));
        return other is null ? "" : $"; {other} is";
    }

    private void Judge(Node value, SpecField field, string at)
    {
        if (field.Word == FieldWord.Warned && !IsUnset(value))
            diagnostics.Warn(value.Position, subject, at, $"is not obeyed: {field.Reason}");
        else if (field.Word == FieldWord.Refused && !IsUnset(value))
            Error(value, at, field.Reason);
    }

    /// <summary>What is written and means the same as nothing, as in proto3.</summary>
    private static bool IsUnset(Node value) => value.Kind switch
    {
        NodeKind.Bool => !value.AsBool,
        NodeKind.Integer => value.AsInteger == 0,
        NodeKind.String => value.AsText.Length == 0,
        NodeKind.List => value.Items.Count == 0,
        _ => false,
    };

    private void CheckShape(Node value, SpecField field, string at)
    {
        switch (field.Shape)
        {
            case SpecShape.List when value.Kind != NodeKind.List:
                Error(value, at, $"a list is expected, {Describe(value)} is written");
                break;
            case SpecShape.List:
                for (var i = 0; i < value.Items.Count; i++)
                    CheckValue(value.Items[i], field, string.Create(CultureInfo.InvariantCulture, $"{at}[{i}]"));
                break;
            case SpecShape.Map when value.Kind != NodeKind.Map:
                Error(value, at, $"an object is expected, {Describe(value)} is written");
                break;
            case SpecShape.Map:
                foreach (var (key, entry) in value.Fields)
                    CheckValue(entry, field, $"{at}[{key}]");
                break;
            default:
                CheckValue(value, field, at);
                break;
        }
    }

    private void CheckValue(Node value, SpecField field, string at)
    {
        if (field.Type == SpecType.Object)
        {
            Check(value, field.Message!, at);
            return;
        }
        if (value.Kind is NodeKind.Map or NodeKind.List)
        {
            Error(value, at, $"{Expected(field)} is expected, {Describe(value)} is written");
            return;
        }
        // An entry without a value is the empty text, in YAML as in JSON.
        if (value.Kind == NodeKind.Null)
            return;
        var text = value.AsText;
        var fits = field.Type switch
        {
            SpecType.Flag => value.Kind == NodeKind.Bool || bool.TryParse(text, out _),
            SpecType.Whole => IsWhole(value, field, at),
            SpecType.Number => value.Kind is NodeKind.Integer or NodeKind.Float || double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out _),
            SpecType.Time => Durations.TryParseMs(text, out var ms) && ms >= 0,
            SpecType.Choice => field.Choices.Contains(text),
            _ => true,
        };
        if (!fits)
            Error(value, at, $"{Expected(field)} is expected, {Describe(value)} is written");
    }

    private bool IsWhole(Node value, SpecField field, string at)
    {
        if (value.Kind == NodeKind.Float ? value.AsDouble != Math.Floor(value.AsDouble)
            : value.Kind != NodeKind.Integer && !long.TryParse(value.AsText, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _))
            return false;
        var number = value.Kind == NodeKind.Integer ? value.AsInteger : value.Kind == NodeKind.Float ? (long)Math.Clamp(value.AsDouble, -9e15, 9e15)
            : long.Parse(value.AsText, CultureInfo.InvariantCulture);
        if (number < field.Min || number > field.Max)
            Error(value, at, $"{number} is out of range, {field.Min} to {field.Max} is allowed");
        return true;
    }

    private static string Expected(SpecField field) => field.Type switch
    {
        SpecType.Flag => "true or false",
        SpecType.Whole => "a whole number",
        SpecType.Number => "a number",
        SpecType.Time => "a duration such as 1.5s",
        SpecType.Choice => $"one of {string.Join(", ", field.Choices)}",
        _ => "text",
    };

    private void Error(Node at, string path, string message) => diagnostics.Error(at.Position, subject, path, message);

    private static string Describe(Node node) => node.Kind switch
    {
        NodeKind.Map => "an object",
        NodeKind.List => "a list",
        NodeKind.Null => "nothing",
        _ => $"\"{(node.AsText.Length <= 60 ? node.AsText : node.AsText[..60] + "…")}\"",
    };
}
