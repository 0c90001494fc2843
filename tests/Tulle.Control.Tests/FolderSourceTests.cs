using Tulle.Base.Documents;
using Tulle.Model;

namespace Tulle.Control.Tests;

/// <summary>What folders may go through without the mesh losing anything.</summary>
public sealed class FolderSourceTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-folder-").FullName;
    private readonly ManualTime _time = new();
    private readonly FolderSource _source;

    public FolderSourceTests() => _source = new FolderSource(ControlOptions.Parse(["--files", _folder, "--check"]), _time);

    public void Dispose()
    {
        if (Directory.Exists(_folder))
            Directory.Delete(_folder, recursive: true);
    }

    private string Write(string name, string text)
    {
        var file = Path.Combine(_folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, text);
        return file;
    }

    private static string Rule(string name, string weight) => $"""
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {"{"} name: {name} {"}"}
        spec:
          hosts: [{name}]
          http:
          - route:
            - destination: {"{"} host: {name} {"}"}
              weight: {weight}

        """;

    private static string Rules(MeshModel model) => string.Join(",", model.Resources.VirtualServices.Select(v => $"{v.Meta.Name}={v.Http[0].Routes[0].Weight}").Order(StringComparer.Ordinal));

    private string Errors => string.Join("\n", _source.Findings.All.Where(f => f.Severity == Severity.Error).Select(f => f.ToString()));

    [Fact]
    public void B02_a_mistyped_object_keeps_its_last_valid_form_and_others_are_taken()
    {
        Write("rules.yaml", Rule("a", "10") + Rule("b", "10"));
        Assert.Equal("a=10,b=10", Rules(_source.Read()));
        Write("rules.yaml", Rule("a", "minus") + Rule("b", "20") + Rule("c", "30"));
        Assert.Equal("a=10,b=20,c=30", Rules(_source.Read()));
        Assert.Contains("rules.yaml:10", Errors, StringComparison.Ordinal);
        // Taken away it is gone, whatever it said last.
        Write("rules.yaml", Rule("b", "20"));
        Assert.Equal("b=20", Rules(_source.Read()));
        Write("rules.yaml", Rule("a", "minus") + Rule("b", "20"));
        Assert.Equal("b=20", Rules(_source.Read()));
    }

    [Theory]
    [InlineData("a: [")]
    [InlineData("kind: VirtualService\n")]
    [InlineData("just text\n")]
    public void B02_a_file_that_is_no_yaml_or_hides_an_object_loses_none(string broken)
    {
        Write("rules.yaml", Rule("a", "10") + Rule("b", "10"));
        _source.Read();
        Write("rules.yaml", Rule("b", "20") + "---\n" + broken);
        Assert.Contains("a=10", Rules(_source.Read()), StringComparison.Ordinal);
        Assert.Contains("rules.yaml:", Errors, StringComparison.Ordinal);
        Write("rules.yaml", Rule("b", "30"));
        Assert.Equal("b=30", Rules(_source.Read()));
    }

    [Fact]
    public void B03_a_folder_that_went_away_keeps_what_it_had_and_comes_back()
    {
        Write("rules.yaml", Rule("a", "10"));
        _source.Read();
        Directory.Move(_folder, _folder + ".away");
        Assert.Equal("a=10", Rules(_source.Read()));
        Assert.NotEqual(Timeout.InfiniteTimeSpan, _source.LookAgainAfter);
        Assert.Contains("cannot be listed", Errors, StringComparison.Ordinal);
        Directory.Move(_folder + ".away", _folder);
        Write("rules.yaml", Rule("a", "20"));
        Assert.Equal("a=20", Rules(_source.Read()));
        Assert.Empty(Errors);
    }

    [Fact]
    public void B03_a_folder_inside_that_was_removed_takes_its_objects_along()
    {
        Write("deep/rules.yaml", Rule("a", "10"));
        Assert.Equal("a=10", Rules(_source.Read()));
        Directory.Delete(Path.Combine(_folder, "deep"), recursive: true);
        Assert.Equal("", Rules(_source.Read()));
    }

    [Theory]
    [InlineData("")]
    [InlineData("---\n")]
    [InlineData("# nothing yet\n")]
    public void B04_a_file_that_was_emptied_counts_as_it_was_for_a_while(string emptied)
    {
        Write("rules.yaml", Rule("a", "10"));
        _source.Read();
        Write("rules.yaml", emptied);
        Assert.Equal("a=10", Rules(_source.Read()));
        Assert.InRange(_source.LookAgainAfter.TotalMilliseconds, 1, FolderSource.EmptyMs);
        _time.Advance(TimeSpan.FromMilliseconds(FolderSource.EmptyMs / 2));
        Write("rules.yaml", Rule("a", "20"));
        Assert.Equal("a=20", Rules(_source.Read()));
        Write("rules.yaml", emptied);
        _source.Read();
        _time.Advance(TimeSpan.FromMilliseconds(FolderSource.EmptyMs));
        Assert.Equal("", Rules(_source.Read()));
    }

    [Fact]
    public void B04_a_file_that_is_being_written_counts_as_it_was()
    {
        var file = Write("rules.yaml", Rule("a", "10") + Rule("b", "10"));
        _source.Read();
        _source.IsBeingWritten = f => f == file;
        Write("rules.yaml", Rule("a", "20"));
        Assert.Equal("a=10,b=10", Rules(_source.Read()));
        _source.IsBeingWritten = _ => false;
        Assert.Equal("a=20", Rules(_source.Read()));
    }

    [Fact]
    public async Task B04_the_watch_knows_who_still_writes()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        var file = Write("rules.yaml", Rule("a", "10"));
        using var watch = new FolderWatch([_folder]);
        Assert.Equal("", watch.Problem);
        await using (var open = new FileStream(file, FileMode.Truncate, FileAccess.Write, FileShare.ReadWrite))
        {
            await open.WriteAsync("---\n"u8.ToArray(), limit.Token);
            await open.FlushAsync(limit.Token);
            await UntilAsync(() => watch.IsBeingWritten(file), limit.Token);
        }
        await watch.NextAsync(Timeout.InfiniteTimeSpan, limit.Token);
        Assert.False(watch.IsBeingWritten(file));
        // A folder that is made later is watched too, and a renamed file is taken at once.
        Directory.CreateDirectory(Path.Combine(_folder, "later"));
        await watch.NextAsync(Timeout.InfiniteTimeSpan, limit.Token);
        Write("later/.new", Rule("b", "1"));
        await watch.NextAsync(Timeout.InfiniteTimeSpan, limit.Token);
        File.Move(Path.Combine(_folder, "later", ".new"), Path.Combine(_folder, "later", "b.yaml"));
        await watch.NextAsync(Timeout.InfiniteTimeSpan, limit.Token);
    }

    private static async Task UntilAsync(Func<bool> holds, CancellationToken limit)
    {
        while (!holds())
            await Task.Delay(5, limit);
    }
}
