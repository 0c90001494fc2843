using System.Text;
using Tulle.Base.Documents;

namespace Tulle.Cli;

/// <summary>Columns as istioctl prints them: as wide as their widest value, three spaces between.</summary>
internal static class Table
{
    public static string Format(string[] header, IReadOnlyList<string[]> rows)
    {
        var widths = header.Select((h, i) => Math.Max(h.Length, rows.Count == 0 ? 0 : rows.Max(r => r[i].Length))).ToArray();
        var text = new StringBuilder();
        foreach (var row in rows.Prepend(header))
            text.Append(string.Join("   ", row.Select((c, i) => i == row.Length - 1 ? c : c.PadRight(widths[i])))).Append('\n');
        return text.ToString();
    }

    /// <summary>Prints as a table, or the nodes as JSON or YAML.</summary>
    public static void Print(string format, string[] header, IReadOnlyList<string[]> rows, Node nodes)
    {
        switch (format)
        {
            case "json":
                Console.WriteLine(NodeJson.Write(nodes, indented: true));
                break;
            case "yaml":
                Console.Write(NodeYaml.Write(nodes));
                break;
            case "" or "short":
                Console.Write(Format(header, rows));
                break;
            default:
                throw new UsageException($"-o {format} is not one of short, json, yaml");
        }
    }
}
