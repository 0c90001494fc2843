using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Tulle.Base.Documents;

/// <summary>JSON text to and from <see cref="Node"/>, with line numbers.</summary>
public static class NodeJson
{
    /// <summary>Deepest nesting that is read; a default of System.Text.Json is 64, Envoy's real bootstraps reach about 20.</summary>
    private const int DepthMax = 100;

    /// <exception cref="DocumentException">The text is not JSON.</exception>
    public static Node Parse(ReadOnlySpan<byte> utf8, string? file = null)
    {
        var reader = new Utf8JsonReader(utf8, new JsonReaderOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, MaxDepth = DepthMax });
        var lines = new LineCounter();
        try
        {
            if (!reader.Read())
                throw new DocumentException("the document is empty", new SourcePosition(file, 1, 1));
            var node = Read(ref reader, utf8, file, ref lines);
            if (reader.Read())
                throw new DocumentException("text follows the end of the document", lines.Position(utf8, reader.TokenStartIndex, file));
            return node;
        }
        catch (JsonException error)
        {
            var line = (int)(error.LineNumber ?? 0) + 1;
            throw new DocumentException($"not valid JSON: {error.Message}", new SourcePosition(file, line, (int)(error.BytePositionInLine ?? 0) + 1));
        }
        catch (Exception error) when (error is InvalidOperationException or FormatException)
        {
            // A text that is not UTF-8, or half of a surrogate pair by \u.
            throw new DocumentException($"not valid JSON: {error.Message}", lines.Position(utf8, reader.TokenStartIndex, file));
        }
    }

    public static Node Parse(string text, string? file = null) => Parse(Encoding.UTF8.GetBytes(text), file);

    private static Node Read(ref Utf8JsonReader reader, ReadOnlySpan<byte> utf8, string? file, ref LineCounter lines)
    {
        var at = lines.Position(utf8, reader.TokenStartIndex, file);
        switch (reader.TokenType)
        {
            case JsonTokenType.StartObject:
                var fields = new List<KeyValuePair<string, Node>>();
                while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
                {
                    var name = reader.GetString()!;
                    var nameAt = lines.Position(utf8, reader.TokenStartIndex, file);
                    foreach (var field in fields)
                    {
                        if (field.Key == name)
                            throw new DocumentException($"field \"{name}\" is given twice", nameAt);
                    }
                    reader.Read();
                    fields.Add(new(name, Read(ref reader, utf8, file, ref lines)));
                }
                return Node.Map(fields, at);
            case JsonTokenType.StartArray:
                var items = new List<Node>();
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
                    items.Add(Read(ref reader, utf8, file, ref lines));
                return Node.List(items, at);
            case JsonTokenType.String:
                return Node.Of(reader.GetString()!, at);
            case JsonTokenType.Number:
                return reader.TryGetInt64(out var integer) ? Node.Of(integer, at)
                    : reader.TryGetUInt64(out var big) ? Node.Of(big.ToString(System.Globalization.CultureInfo.InvariantCulture), at)
                    : Node.Of(reader.GetDouble(), at);
            case JsonTokenType.True:
                return Node.Of(true, at);
            case JsonTokenType.False:
                return Node.Of(false, at);
            default:
                return Node.Null(at);
        }
    }

    public static string Write(Node node, bool indented = false) => Encoding.UTF8.GetString(WriteUtf8(node, indented));

    public static byte[] WriteUtf8(Node node, bool indented = false)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions
        {
            Indented = indented,
            IndentSize = 1,
            MaxDepth = 200,
            Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        }))
        {
            Write(writer, node);
        }
        return buffer.WrittenSpan.ToArray();
    }

    private static void Write(Utf8JsonWriter writer, Node node)
    {
        switch (node.Kind)
        {
            case NodeKind.Map:
                writer.WriteStartObject();
                foreach (var field in node.Fields)
                {
                    writer.WritePropertyName(field.Key);
                    Write(writer, field.Value);
                }
                writer.WriteEndObject();
                break;
            case NodeKind.List:
                writer.WriteStartArray();
                foreach (var item in node.Items)
                    Write(writer, item);
                writer.WriteEndArray();
                break;
            case NodeKind.String:
                writer.WriteStringValue(node.AsText);
                break;
            case NodeKind.Bool:
                writer.WriteBooleanValue(node.AsBool);
                break;
            case NodeKind.Integer:
                writer.WriteNumberValue(node.AsInteger);
                break;
            case NodeKind.Float:
                if (double.IsFinite(node.AsDouble))
                    writer.WriteNumberValue(node.AsDouble);
                else
                    writer.WriteStringValue(node.AsText);
                break;
            default:
                writer.WriteNullValue();
                break;
        }
    }

    /// <summary>Turns byte offsets that only grow into line numbers, in one pass over the text.</summary>
    private struct LineCounter
    {
        private int _offset;
        private int _lineStart;
        private int _line;

        public SourcePosition Position(ReadOnlySpan<byte> text, long offset, string? file)
        {
            var end = (int)offset;
            while (_offset < end)
            {
                var next = text[_offset..end].IndexOf((byte)'\n');
                if (next < 0)
                {
                    _offset = end;
                    break;
                }
                _offset += next + 1;
                _lineStart = _offset;
                _line++;
            }
            return new SourcePosition(file, _line + 1, end - _lineStart + 1);
        }
    }
}

/// <summary>A document that cannot be read at all.</summary>
public sealed class DocumentException(string message, SourcePosition position) : Exception(position.IsKnown ? $"{position}: {message}" : message)
{
    public SourcePosition Position { get; } = position;

    /// <summary>The message without the position.</summary>
    public string Reason { get; } = message;
}
