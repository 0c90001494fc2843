using System.Text.RegularExpressions;

namespace Tulle.Repo.Tests;

/// <summary>The rules of the house, kept by a test instead of by memory. Each rule is a pure function with a test that breaks it.</summary>
public partial class HouseRulesTests
{
    private static readonly string Root = FindRoot();

    private static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Tulle.slnx")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("Tulle.slnx was not found above the test");
        return folder;
    }

    private static IEnumerable<string> Files(params string[] endings) => new[] { "src", "tests", "docs", "samples", "bench" }.Select(f => Path.Combine(Root, f)).Where(Directory.Exists)
        .SelectMany(f => Directory.EnumerateFiles(f, "*", SearchOption.AllDirectories))
        .Where(f => !f.Contains("/bin/", StringComparison.Ordinal) && !f.Contains("/node_modules/", StringComparison.Ordinal) && !f.Contains("/obj/", StringComparison.Ordinal) && endings.Any(e => f.EndsWith(e, StringComparison.Ordinal)));

    private static string Short(string file) => Path.GetRelativePath(Root, file);

    private static bool IsTooLong(string text) => text.Count(c => c == '\n') > 800;

    [Fact]
    public void No_file_is_longer_than_800_lines() => Assert.Empty(Files(".cs").Where(f => IsTooLong(File.ReadAllText(f))).Select(Short));

    [Fact]
    public void Most_files_are_small()
    {
        var lengths = Files(".cs").Select(f => File.ReadLines(f).Count()).Order().ToList();
        Assert.InRange(lengths[lengths.Count / 2], 1, 120);
        Assert.InRange(lengths[lengths.Count * 9 / 10], 1, 400);
    }

    [GeneratedRegex(@"\b(TO" + "DO|FIX" + "ME|HA" + "CK|X" + @"XX)\b")]
    private static partial Regex UnfinishedMarks();

    [Fact]
    public void Nothing_is_marked_unfinished() => Assert.Empty(Files(".cs", ".md", ".yaml", ".sh").Where(f => UnfinishedMarks().IsMatch(File.ReadAllText(f))).Select(Short));

    [GeneratedRegex(@"\b(class|struct|record|interface)\s+\w*(Utils?|Helpers?|Common|Misc|Manager)\b")]
    private static partial Regex EmptyNames();

    [Fact]
    public void No_type_has_a_name_that_says_nothing() => Assert.Empty(Files(".cs").Where(f => EmptyNames().IsMatch(File.ReadAllText(f))).Select(Short));

    [GeneratedRegex(@"<(summary|param[^>]*|returns)>\s*</")]
    private static partial Regex EmptyDocs();

    [Fact]
    public void No_doc_tag_is_empty() => Assert.Empty(Files(".cs").Where(f => EmptyDocs().IsMatch(File.ReadAllText(f))).Select(Short));

    [Fact]
    public void The_dependency_table_is_what_the_projects_say()
    {
        var table = Table(File.ReadAllText(Path.Combine(Root, "ARCHITECTURE.md")));
        foreach (var project in Files(".csproj").Where(f => f.Contains("/src/", StringComparison.Ordinal)))
        {
            var name = Path.GetFileNameWithoutExtension(project);
            Assert.True(table.TryGetValue(name, out var told), $"ARCHITECTURE.md has no row for {name}");
            Assert.Equal(References(File.ReadAllText(project)), told);
        }
    }

    private static Dictionary<string, List<string>> Table(string text) => Regex.Matches(text, @"^\| `(Tulle\.\w+)` \|[^|]*\|([^|]*)\|", RegexOptions.Multiline)
        .ToDictionary(m => m.Groups[1].Value, m => Regex.Matches(m.Groups[2].Value, @"[A-Z]\w+").Select(n => n.Value).Order(StringComparer.Ordinal).ToList());

    private static List<string> References(string project) => Regex.Matches(project, @"ProjectReference Include=""[^""]*/Tulle\.(\w+)\.csproj""").Select(m => m.Groups[1].Value).Order(StringComparer.Ordinal).ToList();

    [Fact]
    public void The_steps_of_a_request_are_the_folders_of_the_proxy()
    {
        var folders = Directory.EnumerateDirectories(Path.Combine(Root, "src/DataPlane/Tulle.Proxy")).Select(Path.GetFileName).Where(f => f is not ("bin" or "obj")).Order(StringComparer.Ordinal).ToList();
        Assert.Equal(folders, Steps(File.ReadAllText(Path.Combine(Root, "docs/request-flow.md"))));
    }

    private static List<string?> Steps(string text) => Regex.Matches(text, @"^## \d+\. (\w+)", RegexOptions.Multiline).Select(m => (string?)m.Groups[1].Value).Order(StringComparer.Ordinal).ToList();

    // The rules themselves: each must be able to fail.
    [Fact]
    public void The_rules_find_what_they_look_for()
    {
        Assert.True(IsTooLong(new string('\n', 801)));
        Assert.Matches(UnfinishedMarks(), "// TO" + "DO: later");
        Assert.Matches(EmptyNames(), "class String" + "Utils");
        Assert.Matches(EmptyNames(), "class Pool" + "Manager");
        Assert.DoesNotMatch(EmptyNames(), "class HttpManagers");
        Assert.Matches(EmptyDocs(), "/// <summary>" + "</summary>");
        Assert.Equal(["Base", "Wire"], References("<ProjectReference Include=\"../Tulle.Wire/Tulle.Wire.csproj\" /><ProjectReference Include=\"../Tulle.Base/Tulle.Base.csproj\" />"));
        Assert.Equal(["Base", "Wire"], Table("| `Tulle.Loop` | the loop | Base, Wire |\n")["Tulle.Loop"]);
        Assert.Equal(["Accept", "Sniff"], Steps("## 1. Accept\n\n## 2. Sniff\n"));
    }
}
