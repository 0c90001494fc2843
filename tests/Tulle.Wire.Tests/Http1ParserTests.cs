using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Tulle.Wire.Http1;

namespace Tulle.Wire.Tests;

public class Http1ParserTests
{
    private static ParseStatus Parse(string text, out HttpHead head, int fieldsMax = 100)
    {
        head = new HttpHead();
        var data = Encoding.Latin1.GetBytes(text);
        var scanned = 0;
        var status = Http1Parser.FindHeadEnd(data, ref scanned, 60 * 1024, out var length);
        return status == ParseStatus.Done ? Http1Parser.ParseRequest(data, 0, length, head, fieldsMax) : status;
    }

    [Fact]
    public void A_plain_request_is_read()
    {
        Assert.Equal(ParseStatus.Done, Parse("GET /a?b=c HTTP/1.1\r\nHost: shop\r\nX-Canary: yes\r\n\r\n", out var head));
        Assert.Equal("/a?b=c", Encoding.ASCII.GetString(head.Path));
        Assert.Equal("shop", Encoding.ASCII.GetString(head.Authority));
        Assert.Equal("yes", Encoding.ASCII.GetString(head.Value(head.Find("x-canary"u8))));
        Assert.Equal(-1, head.ContentLength);
    }

    // Each of these is a way to make two parsers disagree (request smuggling) or to hide a header: RFC 9112 sections 2.2, 5.1, 5.2, 6.1, 6.3.
    [Theory]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\n: nameless\r\n\r\n")]
    [InlineData("GET  / HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("GET / HTTP/2.0\r\nHost: a\r\n\r\n")]
    [InlineData("GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\nHost: a\n\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n")]
    public void What_is_ambiguous_is_refused(string text) => Assert.NotEqual(ParseStatus.Done, Parse(text, out _));

    [Fact]
    public void Limits_are_kept()
    {
        Assert.Equal(ParseStatus.TooLarge, Parse("GET / HTTP/1.1\r\nHost: a\r\nX: " + new string('a', 61 * 1024) + "\r\n\r\n", out _));
        var many = string.Concat(Enumerable.Range(0, 101).Select(i => $"x{i}: a\r\n"));
        Assert.Equal(ParseStatus.TooLarge, Parse("GET / HTTP/1.1\r\n" + many + "\r\n", out _));
    }

    [Fact]
    public void Any_bytes_are_answered_without_an_exception()
    {
        Prop.ForAll<byte[]>(data =>
        {
            var scanned = 0;
            var head = new HttpHead();
            if (Http1Parser.FindHeadEnd(data, ref scanned, 1024, out var length) == ParseStatus.Done)
                _ = Http1Parser.ParseRequest(data, 0, length, head, 100);
            var framed = Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\n").Concat(data).Concat("\r\n\r\n"u8.ToArray()).ToArray();
            _ = Http1Parser.ParseRequest(framed, 0, framed.Length, head, 100);
            _ = Http1Parser.ParseResponse(framed, 0, framed.Length, head, 100);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void The_end_of_a_head_is_found_however_it_arrives()
    {
        var text = Encoding.ASCII.GetBytes("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        Prop.ForAll<int[]>(cuts =>
        {
            var scanned = 0;
            var found = 0;
            foreach (var end in cuts.Select(c => (int)((uint)c % text.Length)).Append(text.Length).Order())
            {
                if (Http1Parser.FindHeadEnd(text.AsSpan(0, end), ref scanned, 1024, out var length) == ParseStatus.Done)
                {
                    found = length;
                    break;
                }
            }
            return found == text.Length - 3;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Parsing_allocates_nothing_once_warm()
    {
        var data = Encoding.ASCII.GetBytes("GET /a/b HTTP/1.1\r\nHost: shop\r\nUser-Agent: curl\r\nAccept: */*\r\nX-Request-Id: abc\r\n\r\n");
        var head = new HttpHead();
        for (var i = 0; i < 1000; i++)
            One();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
            One();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void One()
        {
            var scanned = 0;
            Http1Parser.FindHeadEnd(data, ref scanned, 1024, out var length);
            Http1Parser.ParseRequest(data, 0, length, head, 100);
        }
    }
}
