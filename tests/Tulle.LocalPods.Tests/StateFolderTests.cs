namespace Tulle.LocalPods.Tests;

/// <summary>The folder of --state is emptied as root: it must never be somebody's.</summary>
public sealed class StateFolderTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("tulle-state-").FullName;

    private string Folder => Path.Combine(_root, "state");

    /// <summary>Proxies have a user of their own, who must get through.</summary>
    public StateFolderTests() => File.SetUnixFileMode(_root, (UnixFileMode)0b111_101_101);

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void E1_a_folder_with_something_in_it_is_refused_and_stays_as_it_is()
    {
        Directory.CreateDirectory(Path.Combine(Folder, "thesis"));
        File.WriteAllText(Path.Combine(Folder, "thesis", "chapter-1"), "years");
        var error = Assert.Throws<StateFolderException>(() => StateFolder.Claim(Folder));
        Assert.Contains(Folder, error.Message, StringComparison.Ordinal);
        Assert.Contains("--state", error.Message, StringComparison.Ordinal);
        Assert.Equal("years", File.ReadAllText(Path.Combine(Folder, "thesis", "chapter-1")));
        Assert.Single(Directory.EnumerateFileSystemEntries(Folder));
    }

    [Fact]
    public void E1_a_file_is_refused()
    {
        File.WriteAllText(Folder, "x");
        Assert.Throws<StateFolderException>(() => StateFolder.Claim(Folder));
        Assert.Equal("x", File.ReadAllText(Folder));
    }

    [Fact]
    public void A_folder_that_proxies_cannot_reach_is_refused_and_the_obstacle_is_named()
    {
        var closed = Path.Combine(_root, "closed");
        Directory.CreateDirectory(closed, (UnixFileMode)0b111_000_000);
        Assert.Contains($"enter {closed};", Assert.Throws<StateFolderException>(() => StateFolder.Claim(Path.Combine(closed, "state"))).Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(closed));
    }

    [Fact]
    public void A_new_folder_is_gone_afterwards()
    {
        using (StateFolder.Claim(Folder))
            File.WriteAllText(Path.Combine(Folder, "mesh.json"), "{}");
        Assert.False(Directory.Exists(Folder));
    }

    [Fact]
    public void An_empty_folder_of_the_user_is_empty_again_afterwards_and_stays()
    {
        Directory.CreateDirectory(Folder);
        using (StateFolder.Claim(Folder))
            File.WriteAllText(Path.Combine(Folder, "mesh.json"), "{}");
        Assert.Empty(Directory.EnumerateFileSystemEntries(Folder));
    }

    [Fact]
    public void What_a_killed_mesh_left_is_taken_over_and_emptied()
    {
        Directory.CreateDirectory(Path.Combine(Folder, "run"));
        File.WriteAllText(Path.Combine(Folder, "run", "proxy.log"), "x");
        File.WriteAllText(Path.Combine(Folder, StateFolder.Marker), "made by tulle");
        using (StateFolder.Claim(Folder))
            Assert.False(Directory.Exists(Path.Combine(Folder, "run")));
        Assert.False(Directory.Exists(Folder));
    }

    [Fact]
    public void A_link_in_it_goes_but_what_it_leads_to_stays()
    {
        var precious = Path.Combine(_root, "precious");
        Directory.CreateDirectory(precious);
        File.WriteAllText(Path.Combine(precious, "a"), "x");
        using (StateFolder.Claim(Folder))
            Directory.CreateSymbolicLink(Path.Combine(Folder, "link"), precious);
        Assert.True(File.Exists(Path.Combine(precious, "a")));
    }

    [Fact]
    public void E5_a_folder_that_a_mesh_has_is_refused_and_the_mesh_is_named()
    {
        using var first = StateFolder.Claim(Folder);
        File.WriteAllText(Path.Combine(Folder, "mesh.json"), "{}");
        var error = Assert.Throws<StateFolderException>(() => StateFolder.Claim(Folder));
        Assert.Contains($"{Environment.ProcessId}", error.Message, StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(Folder, "mesh.json")));
    }

    [Fact]
    public async Task E5_every_mesh_has_a_number_of_its_own()
    {
        var locks = Path.Combine(_root, "locks");
        using var first = await MeshSlot.ClaimAsync(locks);
        using var second = await MeshSlot.ClaimAsync(locks);
        Assert.NotEqual(first.Number, second.Number);
        Assert.NotEqual(first.NamespacePrefix, second.NamespacePrefix);
        Assert.NotEqual(first.Gateway, second.Gateway);
        var taken = first.Number;
        first.Dispose();
        using var third = await MeshSlot.ClaimAsync(locks);
        Assert.Equal(taken, third.Number);
    }
}
