using System.Globalization;
using System.Text;
using Tulle.Snapshot;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>Evaluates header and query matchers on a request head.</summary>
public static class HeaderMatching
{
    public static bool Matches(HeaderMatcher matcher, HttpHead head)
    {
        var found = TryValue(matcher, head, 0, out var value, out var next);
        if (!found)
        {
            // An absent field fails every value matcher, also an inverted one, unless it counts as empty.
            if (matcher.Text is null && matcher.Range is null)
                return matcher.Present == false != matcher.Invert;
            if (!matcher.TreatMissingAsEmpty)
                return false;
            value = default;
        }
        while (true)
        {
            if (MatchesValue(matcher, value))
                return !matcher.Invert;
            if (!found || next < 0 || !TryValue(matcher, head, next, out value, out next))
                return matcher.Invert;
        }
    }

    /// <summary>For response headers, which have no pseudo headers but :status.</summary>
    public static bool MatchesResponse(HeaderMatcher matcher, HttpHead head) => Matches(matcher, head);

    private static bool TryValue(HeaderMatcher matcher, HttpHead head, int from, out ReadOnlySpan<byte> value, out int next)
    {
        next = -1;
        switch (matcher.Name)
        {
            case ":method":
                value = head.MethodText;
                return true;
            case ":path":
                value = head.Path;
                return true;
            case ":authority" or "host":
                value = head.Authority;
                return true;
            case ":scheme":
                value = head.Scheme;
                return !value.IsEmpty;
        }
        var index = head.Find(matcher.NameBytes, from);
        value = index >= 0 ? head.Value(index) : default;
        next = index >= 0 ? index + 1 : -1;
        return index >= 0;
    }

    private static bool MatchesValue(HeaderMatcher matcher, ReadOnlySpan<byte> value)
    {
        if (matcher.Range is { } range)
            return long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= range.Start && number < range.End;
        if (matcher.Text is null)
            return matcher.Present;
        return MatchesText(matcher.Text, value);
    }

    public static bool MatchesText(TextMatcher matcher, ReadOnlySpan<byte> value) => LatinText.IsMatch(matcher, value);

    /// <summary>The first parameter of that name decides (Envoy).</summary>
    public static bool MatchesQuery(QueryMatcher matcher, ReadOnlySpan<byte> query)
    {
        while (!query.IsEmpty)
        {
            var end = query.IndexOf((byte)'&');
            var pair = end < 0 ? query : query[..end];
            query = end < 0 ? default : query[(end + 1)..];
            var equal = pair.IndexOf((byte)'=');
            var name = equal < 0 ? pair : pair[..equal];
            if (name.Length == matcher.Name.Length && Encoding.Latin1.GetString(name) == matcher.Name)
                return matcher.Text is null ? matcher.Present : MatchesText(matcher.Text, equal < 0 ? default : pair[(equal + 1)..]);
        }
        return matcher.Text is null && !matcher.Present;
    }
}
