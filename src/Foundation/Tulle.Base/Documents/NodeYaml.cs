using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Tulle.Base.Documents;

/// <summary>YAML text to <see cref="Node"/> (several documents in one file), and back. Only the event parser of the library is used: no reflection.</summary>
public static class NodeYaml
{
    /// <exception cref="DocumentException">The text is not YAML, or an alias nests without end.</exception>
    public static List<Node> ParseAll(string text, string? file = null)
    {
        var documents = new List<Node>();
        var parser = new Parser(new StringReader(text));
        try
        {
            parser.Consume<StreamStart>();
            while (!parser.TryConsume<StreamEnd>(out _))
            {
                parser.Consume<DocumentStart>();
                var anchors = new Dictionary<string, Node>();
                var node = Read(parser, file, anchors, 0);
                if (node.Kind != NodeKind.Null)
                    documents.Add(node);
                parser.Consume<DocumentEnd>();
            }
        }
        catch (YamlException error)
        {
            throw new DocumentException($"not valid YAML: {error.Message}", new SourcePosition(file, (int)error.Start.Line, (int)error.Start.Column));
        }
        catch (Exception error) when (error is InvalidOperationException or ArgumentException or FormatException)
        {
            // The library's scanner breaks off so at some texts that are no YAML; found by the fuzzer.
            throw new DocumentException("not valid YAML: it cannot be read from about here on", parser.Current is { } last ? Position(last, file) : new SourcePosition(file, 1, 1));
        }
        return documents;
    }

    public static Node Parse(string text, string? file = null)
    {
        var all = ParseAll(text, file);
        return all.Count switch
        {
            0 => throw new DocumentException("the document is empty", new SourcePosition(file, 1, 1)),
            1 => all[0],
            _ => throw new DocumentException("one document is expected, several are there", all[1].Position),
        };
    }

    private static Node Read(Parser parser, string? file, Dictionary<string, Node> anchors, int depth)
    {
        if (depth > 100)
            throw new DocumentException("nested deeper than 100 levels", Position(parser.Current!, file));
        if (parser.TryConsume<AnchorAlias>(out var alias))
        {
            return anchors.TryGetValue(alias.Value.Value, out var known) ? known
                : throw new DocumentException($"alias *{alias.Value} has no anchor", Position(alias, file));
        }
        if (parser.TryConsume<Scalar>(out var scalar))
            return Remember(scalar, ReadScalar(scalar, file), anchors);
        if (parser.TryConsume<SequenceStart>(out var sequence))
        {
            var items = new List<Node>();
            while (!parser.TryConsume<SequenceEnd>(out _))
                items.Add(Read(parser, file, anchors, depth + 1));
            return Remember(sequence, Node.List(items, Position(sequence, file)), anchors);
        }
        var mapping = parser.Consume<MappingStart>();
        var fields = new List<KeyValuePair<string, Node>>();
        while (!parser.TryConsume<MappingEnd>(out _))
        {
            var key = parser.Consume<Scalar>();
            var value = Read(parser, file, anchors, depth + 1);
            if (key.Value == "<<" && key.Style == ScalarStyle.Plain)
            {
                foreach (var merged in value.Fields)
                {
                    if (!fields.Exists(f => f.Key == merged.Key))
                        fields.Add(merged);
                }
                continue;
            }
            if (fields.Exists(f => f.Key == key.Value))
                throw new DocumentException($"field \"{key.Value}\" is given twice", Position(key, file));
            fields.Add(new(key.Value, value));
        }
        return Remember(mapping, Node.Map(fields, Position(mapping, file)), anchors);
    }

    private static Node Remember(NodeEvent source, Node node, Dictionary<string, Node> anchors)
    {
        if (!source.Anchor.IsEmpty)
            anchors[source.Anchor.Value] = node;
        return node;
    }

    private static Node ReadScalar(Scalar scalar, string? file)
    {
        var at = Position(scalar, file);
        var text = scalar.Value;
        if (scalar.Style is not (ScalarStyle.Plain or ScalarStyle.Any) || (!scalar.Tag.IsEmpty && scalar.Tag.Value.EndsWith(":str", StringComparison.Ordinal)))
            return Node.Of(text, at);
        switch (text)
        {
            case "" or "~" or "null" or "Null" or "NULL":
                return Node.Null(at);
            case "true" or "True" or "TRUE":
                return Node.Of(true, at);
            case "false" or "False" or "FALSE":
                return Node.Of(false, at);
        }
        var first = text[0];
        if (first is not ((>= '0' and <= '9') or '-' or '+' or '.'))
            return Node.Of(text, at);
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var integer))
            return Node.Of(integer, at);
        if (text.StartsWith("0x", StringComparison.Ordinal) && long.TryParse(text.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out integer))
            return Node.Of(integer, at);
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && text.AsSpan().IndexOfAny("nN") < 0)
            return Node.Of(number, at);
        return Node.Of(text, at);
    }

    private static SourcePosition Position(ParsingEvent source, string? file) => new(file, (int)source.Start.Line, (int)source.Start.Column);

    /// <summary>Block-style YAML, two spaces a level.</summary>
    public static string Write(Node node)
    {
        var text = new System.Text.StringBuilder();
        Write(text, node, 0, false);
        return text.ToString();
    }

    private static void Write(System.Text.StringBuilder text, Node node, int indent, bool inline)
    {
        switch (node.Kind)
        {
            case NodeKind.Map when node.Fields.Count > 0:
                foreach (var field in node.Fields)
                {
                    if (!inline)
                        text.Append(' ', indent);
                    inline = false;
                    text.Append(Quote(field.Key)).Append(':');
                    WriteChild(text, field.Value, indent, field.Value.Kind == NodeKind.List ? 0 : 2);
                }
                break;
            case NodeKind.List when node.Items.Count > 0:
                foreach (var item in node.Items)
                {
                    if (!inline)
                        text.Append(' ', indent);
                    inline = false;
                    text.Append('-');
                    if (item.Kind == NodeKind.Map && item.Fields.Count > 0)
                    {
                        text.Append(' ');
                        Write(text, item, indent + 2, true);
                    }
                    else
                    {
                        WriteChild(text, item, indent, 2);
                    }
                }
                break;
            default:
                text.Append(' ', inline ? 0 : indent).Append(Scalar(node)).Append('\n');
                break;
        }
    }

    private static void WriteChild(System.Text.StringBuilder text, Node value, int indent, int step)
    {
        if ((value.Kind == NodeKind.Map && value.Fields.Count > 0) || (value.Kind == NodeKind.List && value.Items.Count > 0))
        {
            text.Append('\n');
            Write(text, value, indent + step, false);
        }
        else
        {
            text.Append(' ').Append(Scalar(value)).Append('\n');
        }
    }

    private static string Scalar(Node node) => node.Kind switch
    {
        NodeKind.Map => "{}",
        NodeKind.List => "[]",
        NodeKind.Null => "null",
        NodeKind.String => Quote(node.AsText),
        _ => node.AsText,
    };

    private static string Quote(string value)
    {
        if (value.Length > 0 && value.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '/' or '-' or '|') && char.IsAsciiLetter(value[0])
            && value is not ("true" or "false" or "null" or "yes" or "no" or "on" or "off"))
        {
            return value;
        }
        return NodeJson.Write(Node.Of(value));
    }
}
