using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Testing;
using Tulle.Wire.Http1;
using Tulle.Wire.Istio;
using Tulle.Wire.ProxyProtocol;
using Tulle.Wire.Tls;

namespace Tulle.Wire.Tests;

/// <summary>Every parser of bytes from strangers: no exception, the same answer however the bytes arrive, and what is accepted can be read in one way only.</summary>
public class FuzzTests
{
    private static byte[] Bytes(string text) => Encoding.Latin1.GetBytes(text);

    private static List<byte[]> All(params string[] texts) => [.. texts.Select(Bytes)];

    private static readonly List<byte[]> s_http = All("\r\n", "\r", "\n", "\0", " ", "\t", ":", ",", "Host: b\r\n", "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip\r\n",
        "chunked", "Connection: close\r\n", "Expect: 100-continue\r\n", "Upgrade: websocket\r\n", "HTTP/1.1", "HTTP/1.0", "http://x/", "CONNECT ", "\x80", "\xff", "0x5", "+5", "18446744073709551616", "\r\n\r\n");

    [Fact]
    public void Request_heads() => Fuzzer.Run("request head",
        All("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x?y=z HTTP/1.1\r\nHost: shop.example:80\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabc", "PUT http://a/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        s_http, (input, random) =>
        {
            var head = new HttpHead();
            var status = Read(input, [input.Length], head, isRequest: true);
            Require(Read(input, Cuts(input, random), new HttpHead(), isRequest: true) == status, $"whole {status}, otherwise in pieces");
            if (status == Outcome.Accepted)
                OneMeaning(head);
            return (int)status << 16 | (int)head.Method << 8 | head.Count;
        });

    [Fact]
    public void Response_heads() => Fuzzer.Run("response head",
        All("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.0 404 Not Found\r\nConnection: close\r\n\r\n", "HTTP/1.1 204 \r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
        s_http, (input, random) =>
        {
            var head = new HttpHead();
            var status = Read(input, [input.Length], head, isRequest: false);
            Require(Read(input, Cuts(input, random), new HttpHead(), isRequest: false) == status, $"whole {status}, otherwise in pieces");
            if (status == Outcome.Accepted)
                OneMeaning(head);
            return (int)status << 16 | head.Status << 6 | head.Count;
        });

    private enum Outcome
    {
        NeedsMore,
        Accepted,
        Refused,
    }

    private static IEnumerable<int> Cuts(byte[] input, SeededRandom random)
    {
        for (var end = 0; end < input.Length; end += 1 + random.Next(40))
            yield return end;
        yield return input.Length;
    }

    /// <summary>What a connection makes of a head that arrives so: bad bytes may be refused before its end is there.</summary>
    private static Outcome Read(byte[] input, IEnumerable<int> ends, HttpHead head, bool isRequest)
    {
        var scanned = 0;
        foreach (var end in ends)
        {
            switch (Http1Parser.FindHeadEnd(input.AsSpan(0, end), ref scanned, 8192, out var length))
            {
                case ParseStatus.NeedMore:
                    continue;
                case ParseStatus.Done:
                    return (isRequest ? Http1Parser.ParseRequest(input, 0, length, head, 50) : Http1Parser.ParseResponse(input, 0, length, head, 50)) == ParseStatus.Done ? Outcome.Accepted : Outcome.Refused;
                default:
                    return Outcome.Refused;
            }
        }
        return Outcome.NeedsMore;
    }

    /// <summary>Nothing in an accepted head may be read otherwise by the next parser on the way (RFC 9112 sections 2.2, 5, 6).</summary>
    private static void OneMeaning(HttpHead head)
    {
        int hosts = 0, lengths = 0, encodings = 0;
        for (var i = 0; i < head.Count; i++)
        {
            Require(head.Name(i).Length > 0 && !head.Name(i).ContainsAny(" \t\r\n\0:,"u8), "a field name that is no token");
            Require(!head.Value(i).ContainsAny("\r\n\0"u8), "a field value with a line break or NUL");
            hosts += head.Known(i) == KnownHeader.Host ? 1 : 0;
            lengths += Ascii.EqualsIgnoreCase(head.Name(i), "content-length"u8) ? 1 : 0;
            encodings += Ascii.EqualsIgnoreCase(head.Name(i), "transfer-encoding"u8) ? 1 : 0;
        }
        Require(hosts <= 1 || head.Status > 0, "a request with two Host fields");
        Require(lengths == 0 || encodings == 0, "both a length and an encoding");
        Require(encodings == 0 || head.IsChunked, "an encoding that is not chunked");
        Require(lengths == 0 || head.ContentLength >= 0, "a length that is no number");
        Require(!head.Target.ContainsAny(" \t\r\n\0"u8), "a target with white space");
    }

    [Fact]
    public void Chunked_bodies() => Fuzzer.Run("chunked body", All("5\r\nhello\r\n0\r\n\r\n", "1;a=b\r\nx\r\n10;c=\"d e\"\r\n0123456789abcdef\r\n0\r\nx: y\r\n\r\n", "0\r\n\r\n"),
        [.. s_http, .. All(";", "=", "\"", "\\", "a", "F", "fffffffffffffff")], (input, random) =>
        {
            var whole = ChunkDecoderTests.Decode([input]);
            var pieces = new List<byte[]>();
            for (var at = 0; at < input.Length;)
            {
                var count = Math.Min(input.Length - at, 1 + random.Next(12));
                pieces.Add(input[at..(at + count)]);
                at += count;
            }
            var cut = ChunkDecoderTests.Decode(pieces);
            Require(cut == whole, $"in pieces {cut}, whole {whole}");
            return HashCode.Combine(whole.Failed, whole.Done, whole.Data.Length, whole.Trailers.Length);
        });

    [Fact]
    public async Task Client_hellos()
    {
        var hello = await ClientHelloTests.RealHelloAsync("cart.shop.svc", "istio", "h2");
        Fuzzer.Run("ClientHello", [hello], [[0, 0], [0xff, 0xff], [0x16, 3, 1], [0, 0x10]], (input, random) => Prefixes(input, random, data => (ClientHello.Parse(data, out var found), found is null ? 0 : found.ApplicationProtocols.Count + found.ServerName.Length)));
    }

    [Fact]
    public void Proxy_protocol_headers() => Fuzzer.Run("PROXY header",
        [Bytes("PROXY TCP4 10.0.0.1 10.0.0.2 1000 80\r\nGET"), Bytes("PROXY UNKNOWN\r\n"), [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A, 0x21, 0x11, 0, 12, 10, 0, 0, 1, 10, 0, 0, 2, 4, 0, 0, 80, 1, 2]],
        All("TCP6", "::1", "65536", " ", "\r\n", "\x20", "\x21", "\x11", "\0\0"), (input, random) => Prefixes(input, random, data => (ProxyProtocolHeader.Parse(data, out var length, out _, out _), length)));

    /// <summary>Once an answer is final, more bytes do not change it; a shorter input asks for more or says the same.</summary>
    private static int Prefixes(byte[] input, SeededRandom random, Func<byte[], (SniffStatus Status, int Detail)> parse)
    {
        var whole = parse(input);
        var part = parse(input[..random.Next(input.Length + 1)]);
        Require(part.Status == SniffStatus.NeedMore || part == whole, $"a part says {part}, the whole {whole}");
        return HashCode.Combine(whole);
    }

    [Fact]
    public void Certificates()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=a, O=b", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddUri(new Uri("spiffe://cluster.local/ns/a/sa/b"));
        names.AddDnsName("a.example");
        names.AddIpAddress(System.Net.IPAddress.IPv6Loopback);
        request.CertificateExtensions.Add(names.Build());
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(50));
        Fuzzer.Run("certificate", [certificate.RawData], [[0x30, 0x82], [0x84, 0xff, 0xff, 0xff, 0xff], [0x80], [0x17, 0x0d]], (input, _) => CertificateNames.TryRead(input) is { } read ? read.Sans.Count + 1 : 0);
    }

    [Fact]
    public void Peer_metadata() => Fuzzer.Run("peer metadata",
        [WorkloadStruct.ToExchange(WorkloadStruct.Write([new("NAME", "a"), new("WORKLOAD_NAME", "b")], [new("app", "c")]), "node")], [[0x2A], [0x0A, 0x7f], [0xff, 0xff, 0xff, 0xff, 0x0f]], (input, random) =>
        {
            var length = WorkloadStruct.ExchangeLength(input);
            Require(length <= input.Length, "longer than what came");
            if (input.Length >= 8)
                _ = WorkloadStruct.ReadExchange(input);
            _ = WorkloadStruct.ReadField(WorkloadStruct.ToField(input));
            return HashCode.Combine(length, WorkloadStruct.Read(input)?.Count ?? -1);
        });

    [Fact]
    public void Documents() => Fuzzer.Run("YAML and JSON", All("a: 1\nb: [x, {y: \"z\"}]\n---\nc: |\n  text\n", "{\"a\": [1, 2.5, null, true], \"b\": {\"c\": \"d\"}}", "&a [*b]\n", "kind: Service\nspec: { ports: [ { port: 80 } ] }\n"),
        All("&a ", "*a", "? ", "!!str ", "<<: ", "- ", "[", "]", "{", "}", "\"", "\\u0000", "%YAML 1.2", "\t", "...\n", "---\n", "9e999"), (input, unused) =>
        {
            try
            {
                var count = NodeYaml.ParseAll(Encoding.UTF8.GetString(input), "fuzz.yaml").Count;
                _ = NodeJson.Parse(input, "fuzz.json");
                return count;
            }
            catch (DocumentException error)
            {
                return error.Message.Split(' ').Length;
            }
        });

    private static void Require(bool holds, string what)
    {
        if (!holds)
            throw new InvalidOperationException(what);
    }
}
