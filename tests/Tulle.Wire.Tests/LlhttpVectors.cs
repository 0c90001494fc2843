using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Tulle.Wire.Tests;

/// <summary>One strict vector of llhttp's test suite: bytes in, and whether its parser goes through them.</summary>
public sealed record LlhttpVector(string Name, bool IsRequest, byte[] Input, string? Error)
{
    private static readonly Regex Block = new(@"<!--\s*meta=(?<meta>\{.*?\})\s*-->\s*```http\n(?<input>.*?)\n```\s*(?:_[^`]*(?:`[^`]*`[^`]*)*_\s*)?```log\n(?<log>.*?)\n```", RegexOptions.Singleline);

    public override string ToString() => Name;

    /// <summary>All vectors of the strict types; leniency and pausing are of llhttp's own interface. Empty when the data is not beside the project.</summary>
    public static IReadOnlyList<LlhttpVector> ReadAll()
    {
        var folder = Folder();
        if (folder is null)
            return [];
        var all = new List<LlhttpVector>();
        foreach (var file in Directory.GetFiles(folder, "*.md", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            var text = File.ReadAllText(file).ReplaceLineEndings("\n");
            foreach (Match block in Block.Matches(text))
            {
                var meta = block.Groups["meta"].Value.Replace(" ", "", StringComparison.Ordinal);
                var isRequest = meta.Contains("\"type\":\"request\"", StringComparison.Ordinal);
                if (meta.Contains("pause", StringComparison.Ordinal) || meta.Contains("skipBody", StringComparison.Ordinal) || !(isRequest || meta.Contains("\"type\":\"response\"", StringComparison.Ordinal)))
                    continue;
                var title = Regex.Matches(text[..block.Index], @"^#+ (.*)$", RegexOptions.Multiline) is { Count: > 0 } titles ? titles[^1].Groups[1].Value : "";
                var error = Regex.Match(block.Groups["log"].Value, "error code=(?<code>[0-9]+) reason=\"(?<reason>.*)\"");
                // 21 to 23 are pauses for whoever takes the connection over: no fault of the input.
                var isError = error.Success && int.Parse(error.Groups["code"].Value, CultureInfo.InvariantCulture) is not (21 or 22 or 23);
                var name = $"{Path.GetFileName(Path.GetDirectoryName(file))}/{Path.GetFileNameWithoutExtension(file)}: {title}";
                var count = all.Count(v => v.Name == name || v.Name.StartsWith(name + " #", StringComparison.Ordinal));
                all.Add(new LlhttpVector(count == 0 ? name : $"{name} #{count + 1}", isRequest, Unescape(block.Groups["input"].Value), isError ? error.Groups["reason"].Value : null));
            }
        }
        return all;
    }

    /// <summary>The suite's notation: an escaped line end joins lines, every line end is CRLF, \r \n \t \f \xHH are bytes.</summary>
    private static byte[] Unescape(string text)
    {
        text = text.Replace("\\\n", "", StringComparison.Ordinal).Replace("\n", "\r\n", StringComparison.Ordinal);
        text = text.Replace("\\r", "\r", StringComparison.Ordinal).Replace("\\n", "\n", StringComparison.Ordinal).Replace("\\t", "\t", StringComparison.Ordinal).Replace("\\f", "\f", StringComparison.Ordinal);
        text = Regex.Replace(text, @"\\x([0-9a-fA-F]{2})", m => ((char)int.Parse(m.Groups[1].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture)).ToString());
        return Encoding.Latin1.GetBytes(text);
    }

    private static string? Folder()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            var wanted = Path.Combine(folder, "shared", "data", "llhttp", "test");
            if (Directory.Exists(wanted))
                return wanted;
        }
        return null;
    }
}
