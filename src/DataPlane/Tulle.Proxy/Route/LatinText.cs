using System.Buffers;
using System.Text;
using System.Text.RegularExpressions;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>
/// Bytes of a head as characters, for matchers. No length skips a match: a rule that denies must see the longest value that the head limit lets in.
/// Short ones live on the stack, long ones in a rented array.
/// </summary>
internal static class LatinText
{
    private const int StackCharsMax = 1024;

    public static bool IsMatch(Regex regex, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > StackCharsMax)
            return IsMatchLong(regex, null, bytes);
        Span<char> chars = stackalloc char[bytes.Length];
        Encoding.Latin1.GetChars(bytes, chars);
        return regex.IsMatch(chars);
    }

    public static bool IsMatch(TextMatcher matcher, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > StackCharsMax)
            return IsMatchLong(null, matcher, bytes);
        Span<char> chars = stackalloc char[bytes.Length];
        Encoding.Latin1.GetChars(bytes, chars);
        return matcher.IsMatch(chars);
    }

    private static bool IsMatchLong(Regex? regex, TextMatcher? matcher, ReadOnlySpan<byte> bytes)
    {
        var rented = ArrayPool<char>.Shared.Rent(bytes.Length);
        var chars = rented.AsSpan(0, bytes.Length);
        Encoding.Latin1.GetChars(bytes, chars);
        var result = regex is not null ? regex.IsMatch(chars) : matcher!.IsMatch(chars);
        ArrayPool<char>.Shared.Return(rented);
        return result;
    }
}
