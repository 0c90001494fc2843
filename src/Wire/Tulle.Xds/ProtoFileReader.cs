using System.Globalization;

namespace Tulle.Xds;

/// <summary>Reads the part of the proto3 language that our files use: package, message, enum, oneof, map, repeated, optional; full type names only.</summary>
internal sealed class ProtoFileReader(string text, Dictionary<string, ProtoMessage> messages, Dictionary<string, ProtoEnum> enums)
{
    private int _at;

    public void Read()
    {
        var package = "";
        while (Next() is { Length: > 0 } word)
        {
            switch (word)
            {
                case "syntax":
                    SkipStatement();
                    break;
                case "package":
                    package = Next();
                    Expect(";");
                    break;
                case "message":
                    ReadMessage(package);
                    break;
                case "enum":
                    ReadEnum(package);
                    break;
                default:
                    throw new InvalidOperationException($"unexpected \"{word}\" in a .proto file of package {package}");
            }
        }
    }

    private void ReadMessage(string scope)
    {
        var name = $"{scope}.{Next()}";
        var message = new ProtoMessage(name);
        messages[name] = message;
        Expect("{");
        ReadBody(message, name);
    }

    private void ReadBody(ProtoMessage message, string name, string oneof = "")
    {
        while (true)
        {
            var word = Next();
            switch (word)
            {
                case "}":
                    return;
                case "message":
                    ReadMessage(name);
                    break;
                case "enum":
                    ReadEnum(name);
                    break;
                case "oneof":
                    var group = Next();
                    Expect("{");
                    ReadBody(message, name, group);
                    break;
                case "repeated":
                    ReadField(message, Next(), isRepeated: true);
                    break;
                case "optional":
                    ReadField(message, Next(), isRepeated: false, hasPresence: true);
                    break;
                case "map":
                    ReadMap(message);
                    break;
                default:
                    ReadField(message, word, isRepeated: false, oneof.Length > 0, oneof);
                    break;
            }
        }
    }

    private void ReadMap(ProtoMessage message)
    {
        Expect("<");
        var key = Scalar(Next())!.Value;
        Expect(",");
        var type = Next();
        Expect(">");
        var (name, number) = ReadNameAndNumber();
        message.Add(new ProtoField
        {
            Name = name,
            Number = number,
            Kind = Scalar(type) ?? ProtoKind.Message,
            TypeName = Scalar(type) is null ? type.TrimStart('.') : "",
            IsMap = true,
            MapKeyKind = key,
        });
    }

    private void ReadField(ProtoMessage message, string type, bool isRepeated, bool hasPresence = false, string oneof = "")
    {
        var (name, number) = ReadNameAndNumber();
        message.Add(new ProtoField
        {
            Name = name,
            Number = number,
            Kind = Scalar(type) ?? ProtoKind.Message,
            TypeName = Scalar(type) is null ? type.TrimStart('.') : "",
            IsRepeated = isRepeated,
            HasPresence = hasPresence,
            Oneof = oneof,
        });
    }

    private (string Name, int Number) ReadNameAndNumber()
    {
        var name = Next();
        Expect("=");
        var number = int.Parse(Next(), CultureInfo.InvariantCulture);
        Expect(";");
        return (name, number);
    }

    private void ReadEnum(string scope)
    {
        var name = $"{scope}.{Next()}";
        var values = new ProtoEnum(name);
        enums[name] = values;
        Expect("{");
        for (var word = Next(); word != "}"; word = Next())
        {
            Expect("=");
            values.Add(word, int.Parse(Next(), CultureInfo.InvariantCulture));
            Expect(";");
        }
    }

    private static ProtoKind? Scalar(string type) => type switch
    {
        "double" => ProtoKind.Double,
        "float" => ProtoKind.Float,
        "int64" => ProtoKind.Int64,
        "uint64" => ProtoKind.UInt64,
        "int32" => ProtoKind.Int32,
        "fixed64" => ProtoKind.Fixed64,
        "fixed32" => ProtoKind.Fixed32,
        "bool" => ProtoKind.Bool,
        "string" => ProtoKind.String,
        "bytes" => ProtoKind.Bytes,
        "uint32" => ProtoKind.UInt32,
        "sfixed32" => ProtoKind.SFixed32,
        "sfixed64" => ProtoKind.SFixed64,
        "sint32" => ProtoKind.SInt32,
        "sint64" => ProtoKind.SInt64,
        _ => null,
    };

    private void SkipStatement()
    {
        while (Next() != ";")
        {
        }
    }

    private void Expect(string wanted)
    {
        var found = Next();
        if (found != wanted)
            throw new InvalidOperationException($"\"{wanted}\" expected in a .proto file, \"{found}\" found at {_at}");
    }

    /// <summary>The next word or punctuation mark; empty at the end.</summary>
    private string Next()
    {
        while (_at < text.Length)
        {
            if (char.IsWhiteSpace(text[_at]))
            {
                _at++;
            }
            else if (text[_at] == '/' && _at + 1 < text.Length && text[_at + 1] == '/')
            {
                var end = text.IndexOf('\n', _at);
                _at = end < 0 ? text.Length : end;
            }
            else
            {
                break;
            }
        }
        if (_at >= text.Length)
            return "";
        var start = _at;
        while (_at < text.Length && (char.IsLetterOrDigit(text[_at]) || text[_at] is '_' or '.' or '"' or '-'))
            _at++;
        if (_at == start)
            _at++;
        return text[start.._at];
    }
}
