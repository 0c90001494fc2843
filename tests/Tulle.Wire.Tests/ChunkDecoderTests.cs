using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Tulle.Wire.Http1;

namespace Tulle.Wire.Tests;

public class ChunkDecoderTests
{
    internal static (string Data, string Trailers, bool Done, bool Failed) Decode(IEnumerable<byte[]> pieces)
    {
        var decoder = new ChunkDecoder();
        var data = new StringBuilder();
        var trailers = new StringBuilder();
        var waiting = Array.Empty<byte>();
        foreach (var piece in pieces)
        {
            waiting = [.. waiting, .. piece];
            var at = 0;
            while (true)
            {
                var found = decoder.Next(waiting.AsSpan(at), out var consumed, out var offset, out var length);
                if (found == ChunkEvent.Data)
                    data.Append(Encoding.Latin1.GetString(waiting, at + offset, length));
                if (found == ChunkEvent.Trailer)
                    trailers.Append(Encoding.Latin1.GetString(waiting, at + offset, length)).Append(';');
                at += consumed;
                if (found == ChunkEvent.Error)
                    return (data.ToString(), trailers.ToString(), false, true);
                if (found is ChunkEvent.NeedMore or ChunkEvent.Done)
                    break;
            }
            waiting = waiting[at..];
        }
        return (data.ToString(), trailers.ToString(), decoder.IsDone, false);
    }

    private static byte[] Bytes(string text) => Encoding.Latin1.GetBytes(text);

    [Fact]
    public void Chunks_extensions_and_trailers_are_read()
    {
        var result = Decode([Bytes("5;a=b\r\nhello\r\nA\r\n, and more\r\n0\r\nx: y\r\n\r\n")]);
        Assert.Equal(("hello, and more", "x: y;", true, false), result);
    }

    [Theory]
    [InlineData("5\nhello\r\n0\r\n\r\n")]
    [InlineData("5\r\nhelloX\r\n0\r\n\r\n")]
    [InlineData("-1\r\n")]
    [InlineData("0x5\r\nhello\r\n")]
    [InlineData("\r\nhello\r\n")]
    [InlineData("FFFFFFFFFFFFFFFFF\r\n")]
    public void What_is_not_a_chunk_is_refused(string text) => Assert.True(Decode([Bytes(text)]).Failed);

    [Fact]
    public void An_extension_without_end_is_refused() => Assert.True(Decode([Bytes("5;" + new string('a', 100_000))]).Failed);

    [Fact]
    public void Trailers_without_end_are_refused() => Assert.True(Decode([Bytes("0\r\n" + string.Concat(Enumerable.Repeat("a: b\r\n", 10_000)))]).Failed);

    [Fact]
    public void Any_split_gives_the_same()
    {
        var text = Bytes("5;ext\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\ntrailer: 1\r\nother: 2\r\n\r\n");
        var whole = Decode([text]);
        Prop.ForAll<int[]>(cuts =>
        {
            var ends = cuts.Select(c => (int)((uint)c % text.Length)).Append(text.Length).Order().ToList();
            var pieces = ends.Select((end, i) => text[(i == 0 ? 0 : ends[i - 1])..end]);
            return Decode(pieces) == whole;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Any_bytes_are_answered() => Prop.ForAll<byte[]>(data => { _ = Decode([data]); }).QuickCheckThrowOnFailure();
}
