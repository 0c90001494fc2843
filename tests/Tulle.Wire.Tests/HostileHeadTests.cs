using System.Text;
using Tulle.Wire.Http1;

namespace Tulle.Wire.Tests;

/// <summary>Heads that different readers read differently.</summary>
public class HostileHeadTests
{
    private static ParseStatus Request(string text, HttpHead? into = null)
    {
        var bytes = Encoding.Latin1.GetBytes(text);
        var scanned = 0;
        var status = Http1Parser.FindHeadEnd(bytes, ref scanned, 60 * 1024, out var length);
        return status == ParseStatus.Done ? Http1Parser.ParseRequest(bytes, 0, length, into ?? new HttpHead(), 100) : status;
    }

    [Theory]
    [InlineData("a/b")]
    [InlineData("u@a")]
    [InlineData("a:80@b")]
    [InlineData("a?b")]
    [InlineData("a#b")]
    [InlineData("a\\b")]
    [InlineData("http://b/")]
    [InlineData("a:port")]
    [InlineData("a:1:2")]
    [InlineData("a:123456")]
    [InlineData("caf\xc3\xa9")]
    [InlineData("[::1")]
    [InlineData("[]")]
    [InlineData("[::g]")]
    [InlineData("[::1]x")]
    [InlineData("<a>")]
    [InlineData("\"a\"")]
    [InlineData("a,b")]
    [InlineData("a b")]
    [InlineData("%zz")]
    [InlineData("a%4")]
    [InlineData(":80")]
    public void X06_H47_a_host_outside_the_grammar_is_refused(string host)
    {
        Assert.Equal(ParseStatus.BadRequest, Request($"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        if (!host.Contains('/', StringComparison.Ordinal) && !host.Contains('?', StringComparison.Ordinal) && !host.Contains(' ', StringComparison.Ordinal))
            Assert.Equal(ParseStatus.BadRequest, Request($"GET http://{host}/x HTTP/1.1\r\nHost: a\r\n\r\n"));
    }

    [Theory]
    [InlineData("a")]
    [InlineData("A-1.example_x.com.:8080")]
    [InlineData("a:")]
    [InlineData("10.0.0.1:80")]
    [InlineData("[::1]")]
    [InlineData("[2001:db8::1]:8080")]
    [InlineData("[::ffff:10.0.0.1]")]
    [InlineData("%41b:1")]
    [InlineData("outbound_.80_._.cart.shop.svc.cluster.local")]
    public void X06_and_one_within_it_is_not(string host)
    {
        var head = new HttpHead();
        Assert.Equal(ParseStatus.Done, Request($"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n", head));
        Assert.Equal(host, Encoding.Latin1.GetString(head.Authority));
        Assert.Equal(ParseStatus.Done, Request($"GET http://{host}/x HTTP/1.1\r\nHost: other\r\n\r\n", head));
        Assert.Equal(host, Encoding.Latin1.GetString(head.Authority));
    }

    [Theory]
    [InlineData("/caf\xc3\xa9")]
    [InlineData("/\xff")]
    [InlineData("http://a/\x80")]
    public void X15_a_target_with_bytes_that_are_no_characters_is_refused(string target) =>
        Assert.Equal(ParseStatus.BadRequest, Request($"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));

    [Theory]
    [InlineData("GET http://b/x HTTP/1.1\r\n\r\n")]
    [InlineData("CONNECT b:1 HTTP/1.1\r\n\r\n")]
    [InlineData("CONNECT b HTTP/1.1\r\nHost: b\r\n\r\n")]
    [InlineData("CONNECT [::1] HTTP/1.1\r\nHost: b\r\n\r\n")]
    [InlineData("CONNECT b:1 HTTP/1.1\r\nHost: b\r\nContent-Length: 4\r\n\r\n")]
    [InlineData("CONNECT b:1 HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n")]
    public void X16_a_target_that_names_the_host_does_not_stand_for_the_Host_field(string request) => Assert.Equal(ParseStatus.BadRequest, Request(request));

    [Fact]
    public void X16_with_it_they_are_served()
    {
        Assert.Equal(ParseStatus.Done, Request("GET http://b/x HTTP/1.1\r\nHost: b\r\n\r\n"));
        Assert.Equal(ParseStatus.Done, Request("CONNECT [::1]:1 HTTP/1.1\r\nHost: b\r\n\r\n"));
    }

    [Theory]
    [InlineData("host")]
    [InlineData("content-length")]
    [InlineData("Transfer-Encoding")]
    [InlineData("x-forwarded-for")]
    [InlineData("close, X-Forwarded-Proto")]
    [InlineData("x-forwarded-client-cert")]
    public void X05_Connection_may_not_name_what_frames_or_routes_a_request(string option) =>
        Assert.Equal(ParseStatus.BadRequest, Request($"GET / HTTP/1.1\r\nHost: a\r\nConnection: {option}\r\n\r\n"));

    [Fact]
    public void X05_nor_fields_without_end() => Assert.Equal(ParseStatus.BadRequest,
        Request($"GET / HTTP/1.1\r\nHost: a\r\nConnection: {string.Join(',', Enumerable.Range(0, 40).Select(i => $"x{i}"))}\r\n\r\n"));

    [Fact]
    public void H44_zeros_before_a_chunk_size_have_an_end()
    {
        ChunkDecoder chunks = default;
        var happened = ChunkEvent.NeedMore;
        for (var i = 0; i < 100 && happened != ChunkEvent.Error; i++)
            happened = chunks.Next("0"u8, out _, out _, out _);
        Assert.Equal(ChunkEvent.Error, happened);
    }

    [Theory]
    [InlineData(410, "Gone")]
    [InlineData(422, "Unprocessable Entity")]
    [InlineData(511, "Network Authentication Required")]
    [InlineData(299, "Unknown")]
    public void H59_registered_codes_have_their_phrase(int status, string phrase) => Assert.Equal(phrase, Encoding.ASCII.GetString(ReasonPhrases.Of(status)));
}
