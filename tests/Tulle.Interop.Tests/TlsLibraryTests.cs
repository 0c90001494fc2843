using System.Runtime.InteropServices;

namespace Tulle.Interop.Tests;

/// <summary>The library that does the handshakes is chosen at start: by an option, by a file beside the program, else the system's.</summary>
public sealed class TlsLibraryTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-tls-library-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static string SystemLibrary => new[] { $"/usr/lib/{(RuntimeInformation.OSArchitecture == Architecture.Arm64 ? "aarch64" : "x86_64")}-linux-gnu", "/usr/lib64", "/usr/lib" }
        .Select(f => Path.Combine(f, "libssl.so.3")).First(File.Exists);

    [Fact]
    public async Task An_option_names_the_library_and_the_version_tells_which_one_runs()
    {
        var copy = Path.Combine(_folder, "libtulle-tls.so");
        File.Copy(SystemLibrary, copy);
        var (code, output, errors) = await Program.RunAsync(Surroundings.Proxy, ["--version", "--tls-library", copy]);
        Assert.True(code == 0, errors);
        Assert.Contains($"({copy})", output, StringComparison.Ordinal);
        Assert.Contains("(libssl.so.3)", (await Program.RunAsync(Surroundings.Proxy, ["--version"])).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_beside_the_program_wins_over_the_systems()
    {
        var folder = Path.GetDirectoryName(Surroundings.Proxy)!;
        foreach (var file in Directory.GetFiles(folder))
            File.CreateSymbolicLink(Path.Combine(_folder, Path.GetFileName(file)), file);
        // The program itself is copied: it looks beside the file that it is.
        var program = Path.Combine(_folder, "tulle-proxy");
        File.Delete(program);
        File.Copy(Surroundings.Proxy, program);
        File.Copy(SystemLibrary, Path.Combine(_folder, "libtulle-tls.so"));
        var (code, output, errors) = await Program.RunAsync(program, ["--version"]);
        Assert.True(code == 0, errors);
        Assert.Contains(Path.Combine(_folder, "libtulle-tls.so"), output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("libno-such.so", "cannot be loaded")]
    [InlineData("libc.so.6", "has no function")]
    public async Task A_library_that_cannot_be_used_ends_the_start_with_the_reason(string library, string reason)
    {
        var (code, _, errors) = await Program.RunAsync(Surroundings.Proxy, ["--version", "--tls-library", library]);
        Assert.Equal(64, code);
        Assert.Contains(reason, errors, StringComparison.Ordinal);
    }
}
