using System.Buffers;
using Tulle.Snapshot;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>What the path rules say of a request.</summary>
internal enum PathVerdict : byte
{
    Ok,
    Refused,

    /// <summary>The client shall ask for the path as it is now.</summary>
    Redirect,
}

/// <summary>normalize_path, merge_slashes and path_with_escaped_slashes_action, done before routing so that route and upstream see the same path.</summary>
internal static class PathRules
{
    private static readonly SearchValues<byte> Suspicious = SearchValues.Create("%.\\"u8);

    public static PathVerdict Apply(HttpManagerConfig manager, HttpHead head)
    {
        var path = head.Path;
        if (path.IsEmpty || path[0] != '/')
            return PathVerdict.Ok;
        var query = path.IndexOf((byte)'?');
        var only = query < 0 ? path : path[..query];
        if (manager.EscapedSlashes == EscapedSlashes.Reject && HasEscapedSlash(only))
            return PathVerdict.Refused;
        // A NUL ends the path for some applications and not for others (Envoy refuses it where it normalizes).
        if (manager.NormalizePath && only.IndexOf("%00"u8) >= 0)
            return PathVerdict.Refused;
        var unescape = manager.EscapedSlashes is EscapedSlashes.UnescapeAndForward or EscapedSlashes.UnescapeAndRedirect && HasEscapedSlash(only);
        var normalize = manager.NormalizePath && only.IndexOfAny(Suspicious) >= 0;
        var merge = manager.MergeSlashes && only.IndexOf("//"u8) >= 0;
        if (!normalize && !merge && !unescape)
            return PathVerdict.Ok;
        Span<byte> buffer = path.Length <= 2048 ? stackalloc byte[path.Length] : new byte[path.Length];
        only.CopyTo(buffer);
        var length = only.Length;
        if (unescape)
            length = UnescapeSlashes(buffer[..length]);
        if (normalize)
        {
            length = CutDotParameters(buffer[..length]);
            length = Decode(buffer[..length]);
            length = RemoveDots(buffer[..length]);
        }
        if (merge)
            length = MergeSlashes(buffer[..length]);
        if (query >= 0)
        {
            path[query..].CopyTo(buffer[length..]);
            length += path.Length - query;
        }
        head.SetPath(buffer[..length], isRewrite: false);
        return unescape && manager.EscapedSlashes == EscapedSlashes.UnescapeAndRedirect ? PathVerdict.Redirect : PathVerdict.Ok;
    }

    /// <summary>"..;x" is "..", and ".;x" is ".": some applications cut path parameters before they resolve dots. Only where the dots are written as such, as in Envoy.</summary>
    private static int CutDotParameters(Span<byte> path)
    {
        if (path.IndexOf(".;"u8) < 0)
            return path.Length;
        var target = 0;
        for (var at = 0; at < path.Length;)
        {
            var next = path[(at + 1)..].IndexOfAny((byte)'/', (byte)'\\');
            var end = next < 0 ? path.Length : at + 1 + next;
            var segment = path[(at + 1)..end];
            var kept = segment.StartsWith("..;"u8) ? 3 : segment.StartsWith(".;"u8) ? 2 : end - at;
            path.Slice(at, kept).CopyTo(path[target..]);
            target += kept;
            at = end;
        }
        return target;
    }

    private static bool HasEscapedSlash(ReadOnlySpan<byte> path) =>
        path.IndexOf("%2f"u8) >= 0 || path.IndexOf("%2F"u8) >= 0 || path.IndexOf("%5c"u8) >= 0 || path.IndexOf("%5C"u8) >= 0;

    private static int UnescapeSlashes(Span<byte> path)
    {
        var target = 0;
        for (var i = 0; i < path.Length; i++)
        {
            if (path[i] == '%' && i + 2 < path.Length && path[i + 1] is (byte)'2' or (byte)'5' && (path[i + 2] | 0x20) is 'f' or 'c')
            {
                path[target++] = (byte)(path[i + 1] == '2' ? '/' : '\\');
                i += 2;
            }
            else
            {
                path[target++] = path[i];
            }
        }
        return target;
    }

    /// <summary>Decodes percent-encoded unreserved characters (RFC 3986 section 6.2.2.2) and turns backslashes into slashes.</summary>
    private static int Decode(Span<byte> path)
    {
        var target = 0;
        for (var i = 0; i < path.Length; i++)
        {
            if (path[i] == '%' && i + 2 < path.Length && Hex(path[i + 1]) is var high and >= 0 && Hex(path[i + 2]) is var low and >= 0)
            {
                var value = (byte)(high * 16 + low);
                if (char.IsAsciiLetterOrDigit((char)value) || value is (byte)'-' or (byte)'.' or (byte)'_' or (byte)'~')
                {
                    path[target++] = value;
                    i += 2;
                    continue;
                }
            }
            path[target++] = path[i] == '\\' ? (byte)'/' : path[i];
        }
        return target;
    }

    private static int Hex(byte value) => char.IsAsciiHexDigit((char)value) ? Convert.ToInt32(((char)value).ToString(), 16) : -1;

    /// <summary>remove_dot_segments (RFC 3986 section 5.2.4).</summary>
    private static int RemoveDots(Span<byte> path)
    {
        var target = 0;
        var at = 0;
        while (at < path.Length)
        {
            var next = path[(at + 1)..].IndexOf((byte)'/');
            var end = next < 0 ? path.Length : at + 1 + next;
            var segment = path[(at + 1)..end];
            if (segment.SequenceEqual("."u8))
            {
                if (end == path.Length)
                    path[target++] = (byte)'/';
            }
            else if (segment.SequenceEqual(".."u8))
            {
                while (target > 0 && path[--target] != '/')
                {
                }
                if (end == path.Length)
                    path[target++] = (byte)'/';
            }
            else
            {
                path[at..end].CopyTo(path[target..]);
                target += end - at;
            }
            at = end;
        }
        if (target == 0)
            path[target++] = (byte)'/';
        return target;
    }

    private static int MergeSlashes(Span<byte> path)
    {
        var target = 0;
        for (var i = 0; i < path.Length; i++)
        {
            if (path[i] != '/' || target == 0 || path[target - 1] != '/')
                path[target++] = path[i];
        }
        return target;
    }
}
