namespace Tulle.Wire.Http1;

/// <summary>Registered methods (RFC 9110 section 9 and the IANA registry). A method outside the list is refused, as Envoy refuses it.</summary>
public enum RequestMethod : byte
{
    Unknown,
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    Other,
}

public static class RequestMethods
{
    public static RequestMethod Find(ReadOnlySpan<byte> text) => text.Length switch
    {
        3 => text.SequenceEqual("GET"u8) ? RequestMethod.Get : text.SequenceEqual("PUT"u8) ? RequestMethod.Put : Listed(text),
        4 => text.SequenceEqual("POST"u8) ? RequestMethod.Post : text.SequenceEqual("HEAD"u8) ? RequestMethod.Head : Listed(text),
        5 => text.SequenceEqual("PATCH"u8) ? RequestMethod.Patch : text.SequenceEqual("TRACE"u8) ? RequestMethod.Trace : Listed(text),
        6 => text.SequenceEqual("DELETE"u8) ? RequestMethod.Delete : Listed(text),
        7 => text.SequenceEqual("OPTIONS"u8) ? RequestMethod.Options : text.SequenceEqual("CONNECT"u8) ? RequestMethod.Connect : Listed(text),
        _ => Listed(text),
    };

    private static RequestMethod Listed(ReadOnlySpan<byte> text) => System.Text.Encoding.ASCII.GetString(text) switch
    {
        "ACL" or "BIND" or "CHECKOUT" or "COPY" or "LINK" or "LOCK" or "M-SEARCH" or "MERGE" or "MKACTIVITY" or "MKCALENDAR" or "MKCOL" or "MOVE" or "NOTIFY"
            or "PROPFIND" or "PROPPATCH" or "PURGE" or "QUERY" or "REBIND" or "REPORT" or "SEARCH" or "SOURCE" or "SUBSCRIBE" or "UNBIND" or "UNLINK" or "UNLOCK"
            or "UNSUBSCRIBE" => RequestMethod.Other,
        _ => RequestMethod.Unknown,
    };
}
