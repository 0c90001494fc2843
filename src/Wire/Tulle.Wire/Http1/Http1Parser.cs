using System.Buffers;
using System.Text;

namespace Tulle.Wire.Http1;

/// <summary>What became of an attempt to parse a head.</summary>
public enum ParseStatus : byte
{
    Done,
    NeedMore,
    TooLarge,
    BadRequest,
    /// <summary>Content-Length together with Transfer-Encoding (RFC 9112 section 6.3): a smuggling vector, refused by name.</summary>
    LengthAndChunked,
    /// <summary>A transfer coding other than chunked: 501 (RFC 9112 section 6.1).</summary>
    UnknownCoding,
    BadVersion,
}

/// <summary>Limits on one head.</summary>
/// <param name="HeadBytesMax">Bytes of start line and fields. Default 61,440. Source: Envoy max_request_headers_kb 60. Excess: 431.</param>
/// <param name="FieldsMax">Number of fields. Default 100. Source: Envoy max_headers_count. Excess: 431.</param>
public readonly record struct HeadLimits(int HeadBytesMax = 60 * 1024, int FieldsMax = 100)
{
    public static HeadLimits Default => new(60 * 1024, 100);
}

/// <summary>
/// HTTP/1.1 heads, strict (RFC 9112): lines end in CRLF and nothing else, no obs-fold, no space before a colon, no NUL or bare CR, one Host, one
/// Content-Length, no Content-Length beside Transfer-Encoding. What is ambiguous is refused, never repaired.
/// </summary>
public static class Http1Parser
{
    private static readonly SearchValues<byte> TokenBytes = SearchValues.Create("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"u8);

    // RFC 9112 section 3.2: VCHAR. Of what else is outside the grammar of a URI the printable bytes are passed, as in Envoy: they occur in the wild (see
    // docs/differences.md). A fragment is flagged, not cut.
    private static readonly SearchValues<byte> TargetBytes = SearchValues.Create(
        "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"u8);

    private static readonly SearchValues<byte> ValueStop = SearchValues.Create(
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127]);

    /// <summary>tchar of RFC 9110 section 5.6.2.</summary>
    internal static bool IsToken(byte value) => TokenBytes.Contains(value);

    /// <summary>Finds the end of a head that begins at 0. <paramref name="scanned"/> remembers how far earlier calls looked, so a slow sender costs linear time.</summary>
    public static ParseStatus FindHeadEnd(ReadOnlySpan<byte> data, ref int scanned, int bytesMax, out int length)
    {
        // What lies beyond the limit is not judged, so that the verdict does not depend on how much of it is here.
        var isOver = data.Length >= bytesMax;
        if (data.Length > bytesMax)
            data = data[..bytesMax];
        scanned = Math.Min(scanned, data.Length);
        var from = Math.Max(0, scanned - 3);
        var end = data[from..].IndexOf("\r\n\r\n"u8);
        if (end >= 0)
        {
            length = from + end + 4;
            return ParseStatus.Done;
        }
        length = 0;
        // A bare LF would never become the end of a head: say so now instead of waiting for the deadline.
        for (var at = scanned; at < data.Length;)
        {
            var lf = data[at..].IndexOf((byte)'\n');
            if (lf < 0)
                break;
            lf += at;
            if (lf == 0 || data[lf - 1] != '\r')
                return ParseStatus.BadRequest;
            at = lf + 1;
        }
        scanned = data.Length;
        return isOver ? ParseStatus.TooLarge : ParseStatus.NeedMore;
    }

    /// <summary>Parses a request head that begins at <paramref name="start"/> of the array and is complete (see <see cref="FindHeadEnd"/>).</summary>
    public static ParseStatus ParseRequest(byte[] array, int start, int length, HttpHead head, int fieldsMax, bool anyMethod = false)
    {
        head.Reset(array);
        head.Length = length;
        var data = array.AsSpan(0, start + length);
        var lineEnd = data[start..].IndexOf("\r\n"u8) + start;
        var line = data[start..lineEnd];
        var space = line.IndexOf((byte)' ');
        if (space <= 0)
            return ParseStatus.BadRequest;
        var method = RequestMethods.Find(line[..space]);
        if (method == RequestMethod.Unknown)
        {
            // A method is any token (RFC 9110 section 9.1); by default only registered ones are taken.
            if (!anyMethod || line[..space].IndexOfAnyExcept(TokenBytes) >= 0)
                return ParseStatus.BadRequest;
            method = RequestMethod.Other;
        }
        head.Method = method;
        var targetStart = space + 1;
        var targetLength = line[targetStart..].IndexOfAnyExcept(TargetBytes);
        // A target and nothing behind it is HTTP/0.9 (Envoy answers that 426, as any other version).
        var isOtherVersion = targetLength < 0 && line.Length > targetStart;
        if (isOtherVersion)
            targetLength = line.Length - targetStart;
        else if (targetLength <= 0 || line[targetStart + targetLength] != ' ')
            return ParseStatus.BadRequest;
        else
        {
            var version = line[(targetStart + targetLength + 1)..];
            isOtherVersion = version.Length != 8 || !version.StartsWith("HTTP/1."u8) || version[7] is not ((byte)'0' or (byte)'1');
            // A bare LF in it is malformed, and told so wherever it is looked for first.
            if (isOtherVersion && (!version.StartsWith("HTTP/"u8) || version.IndexOfAnyExceptInRange((byte)'!', (byte)'~') >= 0))
                return ParseStatus.BadRequest;
            head.MinorVersion = isOtherVersion ? 1 : version[7] - '0';
        }
        head.SetStart(start, space, start + targetStart, targetLength);
        head.HasFragment = line.Slice(targetStart, targetLength).IndexOf((byte)'#') >= 0;
        head.IsClose = head.MinorVersion == 0;
        var status = ParseFields(data, lineEnd + 2, head, fieldsMax, isRequest: true);
        // Told last: what is malformed besides is 400 however it arrives, and the version is only judged of a whole head.
        if (isOtherVersion && status == ParseStatus.Done)
            return ParseStatus.BadVersion;
        return status == ParseStatus.Done ? SplitTarget(data, head, start + targetStart, targetLength) : status;
    }

    /// <summary>Parses a complete response head.</summary>
    public static ParseStatus ParseResponse(byte[] array, int start, int length, HttpHead head, int fieldsMax)
    {
        head.Reset(array);
        head.Length = length;
        var data = array.AsSpan(0, start + length);
        var lineEnd = data[start..].IndexOf("\r\n"u8) + start;
        var line = data[start..lineEnd];
        // status-line = HTTP-version SP status-code SP [ reason-phrase ] (RFC 9112 section 4). A missing second space is common and harmless.
        if (line.Length < 12 || !line.StartsWith("HTTP/1."u8) || line[7] is not ((byte)'0' or (byte)'1') || line[8] != ' ')
            return ParseStatus.BadRequest;
        var code = 0;
        for (var i = 9; i < 12; i++)
        {
            if (line[i] is < (byte)'0' or > (byte)'9')
                return ParseStatus.BadRequest;
            code = code * 10 + line[i] - '0';
        }
        if (code < 100 || (line.Length > 12 && line[12] != ' ') || line[12..].IndexOfAny(ValueStop) >= 0)
            return ParseStatus.BadRequest;
        head.Status = code;
        head.MinorVersion = line[7] - '0';
        head.IsClose = head.MinorVersion == 0;
        return ParseFields(data, lineEnd + 2, head, fieldsMax, isRequest: false);
    }

    private static ParseStatus ParseFields(ReadOnlySpan<byte> data, int at, HttpHead head, int fieldsMax, bool isRequest)
    {
        while (true)
        {
            var rest = data[at..];
            if (rest[0] == '\r')
                return rest[1] == '\n' && rest.Length == 2 ? Finish(head, isRequest) : ParseStatus.BadRequest;
            if (head.Count >= fieldsMax)
                return ParseStatus.TooLarge;
            var nameLength = rest.IndexOfAnyExcept(TokenBytes);
            if (nameLength <= 0 || rest[nameLength] != ':')
                return ParseStatus.BadRequest;
            var valueStart = nameLength + 1;
            var valueLength = rest[valueStart..].IndexOfAny(ValueStop);
            if (valueLength < 0 || rest[valueStart + valueLength] != '\r' || rest[valueStart + valueLength + 1] != '\n')
                return ParseStatus.BadRequest;
            var next = valueStart + valueLength + 2;
            while (valueLength > 0 && rest[valueStart] is (byte)' ' or (byte)'\t')
            {
                valueStart++;
                valueLength--;
            }
            while (valueLength > 0 && rest[valueStart + valueLength - 1] is (byte)' ' or (byte)'\t')
                valueLength--;
            var known = KnownHeaders.Find(rest[..nameLength]);
            if (known is > KnownHeader.Unknown and <= KnownHeader.Expect)
            {
                var status = Interpret(head, known, rest.Slice(valueStart, valueLength), at + valueStart, isRequest);
                if (status != ParseStatus.Done)
                    return status;
                // Zeros before a length are legal and read differently by some: they do not go on.
                while (known == KnownHeader.ContentLength && valueLength > 1 && rest[valueStart] == '0')
                {
                    valueStart++;
                    valueLength--;
                }
            }
            head.AddSlice(at, nameLength, at + valueStart, valueLength, known);
            at += next;
        }
    }

    /// <summary>The fields that decide where a message ends and whom it is for (RFC 9112 sections 3.2, 6 and 9).</summary>
    private static ParseStatus Interpret(HttpHead head, KnownHeader known, ReadOnlySpan<byte> value, int valueAt, bool isRequest)
    {
        switch (known)
        {
            case KnownHeader.Host:
                if (isRequest)
                {
                    if (head.HasAuthority || (!value.IsEmpty && !HostGrammar.IsHost(value)))
                        return ParseStatus.BadRequest;
                    head.SetAuthoritySlice(valueAt, value.Length);
                }
                break;
            case KnownHeader.ContentLength:
                if (head.ContentLength >= 0 || value.IsEmpty || value.Length > 18 || value.IndexOfAnyExceptInRange((byte)'0', (byte)'9') >= 0)
                    return ParseStatus.BadRequest;
                long length = 0;
                foreach (var digit in value)
                    length = length * 10 + digit - '0';
                head.ContentLength = length;
                break;
            case KnownHeader.TransferEncoding:
                if (head.IsChunked)
                    return ParseStatus.BadRequest;
                if (!Ascii.EqualsIgnoreCase(value, "chunked"u8))
                    return ParseStatus.UnknownCoding;
                head.IsChunked = true;
                break;
            case KnownHeader.Connection:
                ReadConnection(head, value);
                break;
            case KnownHeader.Expect:
                head.ExpectsContinue = Ascii.EqualsIgnoreCase(value, "100-continue"u8);
                break;
        }
        return ParseStatus.Done;
    }

    private static void ReadConnection(HttpHead head, ReadOnlySpan<byte> value)
    {
        while (!value.IsEmpty)
        {
            var token = HopByHopFields.TakeToken(ref value);
            if (Ascii.EqualsIgnoreCase(token, "close"u8))
                head.IsClose = true;
            else if (Ascii.EqualsIgnoreCase(token, "keep-alive"u8) && head.MinorVersion == 0)
                head.IsClose = false;
            else if (Ascii.EqualsIgnoreCase(token, "upgrade"u8))
                head.IsUpgrade = true;
            else if (!token.IsEmpty && !HopByHopFields.IsOption(token))
                head.NamesFields = true;
        }
    }

    private static ParseStatus Finish(HttpHead head, bool isRequest) =>
        // HTTP/1.0 knows no chunked coding; a peer that sends it is refused rather than guessed at (RFC 9112 section 6.1).
        head.IsChunked && head.ContentLength >= 0 ? ParseStatus.LengthAndChunked
        : head.IsChunked && head.MinorVersion == 0 ? ParseStatus.BadRequest
        : head.NamesFields && !HopByHopFields.Remove(head, isRequest) ? ParseStatus.BadRequest
        : ParseStatus.Done;

    /// <summary>origin-form, absolute-form, authority-form and asterisk-form (RFC 9112 section 3.2).</summary>
    private static ParseStatus SplitTarget(ReadOnlySpan<byte> data, HttpHead head, int start, int length)
    {
        var target = data.Slice(start, length);
        // Every HTTP/1.1 request has a Host field, also where the target says the host (RFC 9112 section 3.2).
        var lacksHost = !head.HasAuthority && head.MinorVersion == 1;
        if (head.Method == RequestMethod.Connect)
        {
            // Host and port, and no content: behind the head a tunnel begins (RFC 9110 section 9.3.6).
            if (lacksHost || !HostGrammar.IsHost(target) || target.LastIndexOf((byte)':') <= target.IndexOf((byte)']') || head.IsChunked || head.ContentLength > 0)
                return ParseStatus.BadRequest;
            head.SetAuthoritySlice(start, length);
            head.SetPathSlice(start, 0);
            return ParseStatus.Done;
        }
        if (target[0] == '/')
            return ParseStatus.Done;
        if (target.SequenceEqual("*"u8))
            return head.Method == RequestMethod.Options ? ParseStatus.Done : ParseStatus.BadRequest;
        var scheme = target.Length > 7 && Ascii.EqualsIgnoreCase(target[..7], "http://"u8) ? 7
            : target.Length > 8 && Ascii.EqualsIgnoreCase(target[..8], "https://"u8) ? 8 : 0;
        if (scheme == 0 || lacksHost)
            return ParseStatus.BadRequest;
        var authority = target[scheme..];
        var slash = authority.IndexOfAny((byte)'/', (byte)'?');
        var authorityLength = slash < 0 ? authority.Length : slash;
        if (!HostGrammar.IsHost(authority[..authorityLength]))
            return ParseStatus.BadRequest;
        head.SetAuthoritySlice(start + scheme, authorityLength);
        if (slash < 0)
            head.SetPath("/"u8, isRewrite: false);
        else if (authority[slash] == '?')
            head.SetPath([(byte)'/', .. authority[slash..]], isRewrite: false);
        else
            head.SetPathSlice(start + scheme + slash, length - scheme - slash);
        return ParseStatus.Done;
    }
}
