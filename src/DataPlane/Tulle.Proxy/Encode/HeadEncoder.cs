using Tulle.Snapshot;
using Tulle.Wire;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>Writes heads to the other side: names in lower case, hop-by-hop fields left out (RFC 9110 section 7.6.1).</summary>
internal static class HeadEncoder
{
    public static void WriteRequest(ref ByteWriter writer, HttpHead head, bool upgrade, RouteActionConfig action, string upstreamName)
    {
        writer.Add(head.MethodText);
        writer.Add((byte)' ');
        if (head.Method == RequestMethod.Connect)
            writer.Add(head.Authority);
        else if (head.Path.IsEmpty)
            writer.Add("/"u8);
        else
            writer.Add(head.Path);
        writer.Add(" HTTP/1.1\r\nhost: "u8);
        if (action.AutoHostRewrite && upstreamName.Length > 0)
            writer.AddText(upstreamName);
        else
            writer.Add(head.Authority);
        writer.Add("\r\n"u8);
        for (var i = 0; i < head.Count; i++)
        {
            if (head.IsRemoved(i))
                continue;
            switch (head.Known(i))
            {
                case KnownHeader.Host:
                case KnownHeader.Connection:
                case KnownHeader.KeepAlive:
                case KnownHeader.ProxyConnection:
                case KnownHeader.TransferEncoding:
                    continue;
                case KnownHeader.Upgrade:
                    if (!upgrade)
                        continue;
                    break;
                case KnownHeader.Te:
                    if (!System.Text.Ascii.EqualsIgnoreCase(head.Value(i), "trailers"u8))
                        continue;
                    break;
            }
            writer.AddField(head.Name(i), head.Value(i));
        }
        if (upgrade)
            writer.Add("connection: Upgrade\r\n"u8);
        if (head.IsChunked)
            writer.Add("transfer-encoding: chunked\r\n"u8);
        else if (head.ContentLength < 0 && !upgrade && ExpectsContent(head.Method))
            writer.Add("content-length: 0\r\n"u8);
        writer.Add("\r\n"u8);
    }

    /// <summary>Methods whose requests have content as a rule: without it they say so (RFC 9110 section 8.6).</summary>
    private static bool ExpectsContent(RequestMethod method) =>
        method is not (RequestMethod.Get or RequestMethod.Head or RequestMethod.Delete or RequestMethod.Trace or RequestMethod.Connect);

    /// <summary>A response head to an HTTP/1.1 client. <paramref name="chunked"/> adds the framing; a length, if any, is among the fields.</summary>
    public static void WriteResponse(ref ByteWriter writer, HttpHead head, bool chunked, bool close, bool upgrade, bool http10)
    {
        writer.Add(http10 ? "HTTP/1.0 "u8 : "HTTP/1.1 "u8);
        writer.AddNumber(head.Status);
        writer.Add((byte)' ');
        writer.Add(ReasonPhrases.Of(head.Status));
        writer.Add("\r\n"u8);
        for (var i = 0; i < head.Count; i++)
        {
            if (head.IsRemoved(i))
                continue;
            switch (head.Known(i))
            {
                case KnownHeader.Connection:
                case KnownHeader.KeepAlive:
                case KnownHeader.ProxyConnection:
                case KnownHeader.TransferEncoding:
                    continue;
                case KnownHeader.Upgrade:
                    if (!upgrade)
                        continue;
                    break;
            }
            writer.AddField(head.Name(i), head.Value(i));
        }
        if (chunked)
            writer.Add("transfer-encoding: chunked\r\n"u8);
        if (upgrade)
            writer.Add("connection: Upgrade\r\n"u8);
        else if (close)
            writer.Add("connection: close\r\n"u8);
        else if (http10)
            // An HTTP/1.0 client takes the connection for closed unless it is told (RFC 9112 section 9.3).
            writer.Add("connection: keep-alive\r\n"u8);
        writer.Add("\r\n"u8);
    }
}
