using System.Net.Sockets;

namespace Tulle.Control.Tests;

/// <summary>The command line, and what is at a socket's path.</summary>
public sealed class OptionsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-options-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("15010")]
    [InlineData("host:15010")]
    [InlineData("127.0.0.1:0")]
    [InlineData("127.0.0.1:99999")]
    [InlineData("127.0.0.1:")]
    [InlineData("unix:")]
    [InlineData("")]
    public void B06_an_address_that_is_none_is_told_in_a_sentence(string address) =>
        Assert.Contains("--xds", ControlOptions.Parse(["--files", _folder, "--xds", address]).Error ?? "", StringComparison.Ordinal);

    [Theory]
    [InlineData("127.0.0.1:15010")]
    [InlineData("localhost:15010")]
    [InlineData("[::1]:15010")]
    [InlineData(":15010")]
    [InlineData("unix:/tmp/x.sock")]
    public void B06_addresses_are_taken(string address) => Assert.Null(ControlOptions.Parse(["--files", _folder, "--xds", address]).Error);

    [Fact]
    public void B12_only_a_socket_that_nobody_serves_is_taken_away()
    {
        var path = Path.Combine(_folder, "x");
        var address = ListenAddress.Parse($"unix:{path}", mayBeSocket: true).Address!;
        address.ClearSocket();
        File.WriteAllText(path, "mine");
        Assert.Throws<IOException>(address.ClearSocket);
        Assert.Equal("mine", File.ReadAllText(path));
        File.Delete(path);
        using (var server = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            server.Bind(new UnixDomainSocketEndPoint(path));
            server.Listen();
            Assert.Throws<IOException>(address.ClearSocket);
        }
        // .NET takes the file along; one that was killed leaves it.
        using (var killed = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            killed.Bind(new UnixDomainSocketEndPoint(path + "2"));
            File.Move(path + "2", path);
        }
        Assert.True(Native.Files.IsSocket(path));
        address.ClearSocket();
        Assert.False(Path.Exists(path));
    }
}
