using System.Net.Security;
using FsCheck;
using FsCheck.Fluent;
using Tulle.Wire.Tls;

namespace Tulle.Wire.Tests;

public class ClientHelloTests
{
    /// <summary>What a real TLS stack says first.</summary>
    internal static async Task<byte[]> RealHelloAsync(string name, params string[] protocols)
    {
        var heard = new MemoryStream();
        await using var duplex = new WriteOnlyDuplex(heard);
        await using var tls = new SslStream(duplex);
        try
        {
            await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = name, ApplicationProtocols = [.. protocols.Select(p => new SslApplicationProtocol(p))] });
        }
        catch (Exception error) when (error is IOException or System.Security.Authentication.AuthenticationException)
        {
            // The other side never answers.
        }
        return heard.ToArray();
    }

    [Fact]
    public async Task Name_and_protocols_of_a_real_hello_are_found()
    {
        var hello = await RealHelloAsync("cart.shop.svc", "istio", "h2");
        Assert.Equal(SniffStatus.Done, ClientHello.Parse(hello, out var parsed));
        Assert.Equal("cart.shop.svc", parsed!.ServerName);
        Assert.Equal(["istio", "h2"], parsed.ApplicationProtocols);
    }

    [Fact]
    public async Task Every_prefix_asks_for_more()
    {
        var hello = await RealHelloAsync("a.example", "h2");
        for (var length = 0; length < hello.Length; length++)
            Assert.Equal(SniffStatus.NeedMore, ClientHello.Parse(hello.AsSpan(0, length), out _));
    }

    [Fact]
    public async Task A_bent_hello_is_answered()
    {
        var hello = await RealHelloAsync("a.example", "h2");
        Prop.ForAll<int, byte>((at, value) =>
        {
            var bent = (byte[])hello.Clone();
            bent[(uint)at % bent.Length] = value;
            _ = ClientHello.Parse(bent, out _);
        }).QuickCheckThrowOnFailure();
    }

    private sealed class WriteOnlyDuplex(MemoryStream target) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => 0;

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => target.Write(buffer, offset, count);
    }
}
