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

    private static byte[] InRecordsOf(byte[] hello, int bytes) =>
        [.. hello[5..].Chunk(bytes).SelectMany(part => (byte[])[22, 3, 1, (byte)(part.Length >> 8), (byte)part.Length, .. part])];

    /// <summary>12,000 bytes one at a time allocated 187 MiB: each read joined all records anew.</summary>
    [Fact]
    public async Task N31_a_hello_over_a_few_records_is_read_and_one_over_many_is_refused_cheaply()
    {
        var hello = await RealHelloAsync("cart.shop.svc", "h2");
        Assert.Equal(SniffStatus.Done, ClientHello.Parse(InRecordsOf(hello, hello.Length / 6), out var parsed));
        Assert.Equal("cart.shop.svc", parsed!.ServerName);
        var tiny = InRecordsOf([.. hello[..9], .. new byte[12_000]], 1);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var refused = 0;
        for (var length = 0; length < tiny.Length; length++)
            refused += ClientHello.Parse(tiny.AsSpan(0, length), out _) == SniffStatus.Malformed ? 1 : 0;
        Assert.True(refused > tiny.Length - 100, "many records are read");
        // Each read may join a few records, not 16 KiB.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, tiny.Length * 2048L);
    }

    [Fact]
    public async Task A_stream_that_began_as_TLS_is_not_plain_text_later()
    {
        var hello = await RealHelloAsync("a.example");
        var records = InRecordsOf(hello, hello.Length / 2);
        var second = 5 + hello.Length / 2;
        records[second + 1] = 9;
        Assert.Equal(SniffStatus.Malformed, ClientHello.Parse(records, out _));
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
