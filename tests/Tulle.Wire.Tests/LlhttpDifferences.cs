namespace Tulle.Wire.Tests;

/// <summary>Vectors of llhttp where our verdict is another one on purpose.</summary>
internal static class LlhttpDifferences
{
    private const string OtherProtocol = "RTSP and ICE are not HTTP: a mesh carries them as bytes, on ports that are not named http.";
    private const string OnlyChunked = "A transfer coding other than chunked is answered 501 (RFC 9112 section 6.1) and, from an upstream, with 502: nobody may have to guess where the message ends.";

    private const string NoHost = "Every HTTP/1.1 request has a Host field, also where the target says the host (RFC 9112 section 3.2).";

    public static readonly IReadOnlyDictionary<string, string> Reasons = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["request/method: M-SEARCH request"] = "Only OPTIONS may ask for * (RFC 9112 section 3.2.4).",
        ["request/method: SOURCE request with ICE"] = OtherProtocol,
        ["request/method: OPTIONS request with RTSP"] = OtherProtocol,
        ["request/method: ANNOUNCE request with RTSP"] = OtherProtocol,
        ["response/sample: RTSP response"] = OtherProtocol,
        ["response/sample: ICE response"] = OtherProtocol,
        ["request/method: PRI request HTTP2"] = "The preface of HTTP/2 is refused until the data plane speaks it; nothing is taken for an HTTP/1.1 request.",
        ["request/sample: No HTTP version"] = "HTTP/0.9 has no place in a proxy: an answer without a head cannot be told from any other bytes.",
        ["response/sample: HTTP version 0.9"] = "HTTP/0.9 has no place in a proxy: an answer without a head cannot be told from any other bytes.",
        ["request/transfer-encoding: POST with `chunked` as last transfer-encoding"] = OnlyChunked,
        ["request/transfer-encoding: POST with `chunked` as last transfer-encoding (multiple headers)"] = OnlyChunked,
        ["response/transfer-encoding: `chunked` before other transfer-encoding"] = OnlyChunked,
        ["response/transfer-encoding: multiple transfer-encoding where chunked is not the last one"] = OnlyChunked,
        ["response/transfer-encoding: `chunkedchunked` transfer-encoding does not enable chunked enconding"] = OnlyChunked,
        ["request/method: CONNECT with body"] = "Behind the head of a CONNECT a tunnel begins (RFC 9110 section 9.3.6): content before it would be bytes that two readers place differently.",
        ["request/uri: Host terminated by a query string"] = NoHost,
        ["request/uri: `host:port` terminated by a query string"] = NoHost,
        ["request/uri: `host:port` terminated by a space"] = NoHost,
        ["request/uri: `host:port` and basic auth"] = "Credentials in a request target are deprecated (RFC 9110 section 4.2.4) and hide the host from whoever reads it.",
    };
}
