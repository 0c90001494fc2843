using System.Text;
using Tulle.Base.Documents;
using Tulle.Sidecar.Fields;

namespace Tulle.Sidecar.Tests.Fields;

/// <summary>docs/fields.md and the list in docs/differences.md are made from the tables: UPDATE_DOCS=1 writes them, otherwise they are compared.</summary>
public class FieldDocsTests
{
    private const string Begin = "<!-- fields that wait, made from the tables: begin -->";
    private const string End = "<!-- fields that wait: end -->";

    private static readonly (string Issue, string Reason)[] Issues =
    [
        ("safe", Later.Safe), ("requests", Later.Requests), ("transports", Later.Transports), ("policies", Later.Policies),
    ];

    [Fact]
    public void Docs_fields_is_what_the_tables_say() => Compare("fields.md", _ => Fields());

    [Fact]
    public void The_list_in_differences_is_what_the_tables_say() => Compare("differences.md", text =>
    {
        var begin = text.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length;
        var end = text.IndexOf(End, StringComparison.Ordinal);
        return $"{text[..begin]}\n{Waiting()}{text[end..]}";
    });

    private static void Compare(string name, Func<string, string> make)
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Tulle.slnx")))
            folder = Path.GetDirectoryName(folder)!;
        var path = Path.Combine(folder, "docs", name);
        var written = File.Exists(path) ? File.ReadAllText(path) : "";
        var wanted = make(written);
        if (Environment.GetEnvironmentVariable("UPDATE_DOCS") == "1")
            File.WriteAllText(path, wanted);
        else
            Assert.True(written == wanted, $"docs/{name} is not what the tables of fields say: run UPDATE_DOCS=1 dotnet test tests/Tulle.Sidecar.Tests --filter FieldDocs");
    }

    private static string Fields()
    {
        var text = new StringBuilder("""
            # Which fields of Envoy are obeyed

            Made from the tables in src/DataPlane/Tulle.Sidecar/Configuration/Fields by `UPDATE_DOCS=1 dotnet test tests/Tulle.Sidecar.Tests --filter FieldDocs`; do not edit.
            A field is **obeyed**, **harmless** (whatever it says, what a user sees is the same), **warned of** (traffic goes on without it, the log and the counter `config.fields_warned` say so)
            or **refused** (the whole resource is, by the path of the field). A field that is not listed is refused as unknown. Values that a field may not have are refused too.

            """);
        foreach (var (place, table) in FieldTables.All)
        {
            var side = FieldTables.All.Count(t => t.Table.Name == table.Name) > 1 ? $" ({(place.Contains(".Upstream", StringComparison.Ordinal) ? "upstream" : "downstream")})" : "";
            text.Append($"\n## {table.Name}{side}\n");
            var obeyed = table.Rules.Where(r => r.Value.Word == FieldWord.Obeyed).Select(r => r.Key).Order(StringComparer.Ordinal).ToList();
            if (obeyed.Count > 0)
                text.Append($"* obeyed: {string.Join(", ", obeyed)}\n");
            foreach (var group in table.Rules.Where(r => r.Value.Word != FieldWord.Obeyed).GroupBy(r => (r.Value.Word, r.Value.Reason)).OrderBy(g => g.Key.Word).ThenBy(g => g.Key.Reason, StringComparer.Ordinal))
                text.Append($"* {Word(group.Key.Word)}: {string.Join(", ", group.Select(r => r.Key).Order(StringComparer.Ordinal))}: {group.Key.Reason}\n");
            if (table.Rules.Count == 0)
                text.Append("* has no fields\n");
        }
        return text.ToString();
    }

    private static string Word(FieldWord word) => word == FieldWord.Warned ? "warned of" : word.ToString().ToLowerInvariant();

    /// <summary>Refused and waiting for an issue, and warned of; a message that waits as a whole is one entry.</summary>
    private static string Waiting()
    {
        var text = new StringBuilder();
        foreach (var (issue, reason) in Issues)
        {
            var fields = FieldTables.All.SelectMany(t => t.Table.Rules.Where(r => r.Value.Word == FieldWord.Refused && r.Value.Reason == reason).Select(r => $"{Short(t.Table.Name)}.{r.Key}"))
                .Distinct().Order(StringComparer.Ordinal).ToList();
            if (fields.Count > 0)
                text.Append($"* Refused until the issue *{issue}*: {string.Join(", ", fields)}.\n");
        }
        var warned = FieldTables.All.SelectMany(t => t.Table.Rules.Where(r => r.Value.Word == FieldWord.Warned).Select(r => $"{Short(t.Table.Name)}.{r.Key}")).Distinct().Order(StringComparer.Ordinal);
        text.Append($"* Taken with a warning (docs/fields.md says what happens instead): {string.Join(", ", warned)}.\n");
        return text.ToString();
    }

    private static string Short(string message) => message[(message.LastIndexOf('.') + 1)..];
}
