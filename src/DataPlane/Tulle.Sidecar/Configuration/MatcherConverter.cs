using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>envoy.type.matcher.v3 and the header and query matchers of routes.</summary>
internal static class MatcherConverter
{
    public static TextMatcher? Text(FieldReader? matcher, ConversionContext context)
    {
        if (matcher is null)
            return null;
        var regex = matcher.Child("safe_regex");
        var result = new TextMatcher
        {
            Exact = matcher.Text("exact"),
            Prefix = matcher.Text("prefix"),
            Suffix = matcher.Text("suffix"),
            Contains = matcher.Text("contains"),
            Regex = regex is null ? null : context.Regex(regex),
            IgnoreCase = matcher.Bool("ignore_case", false),
        };
        regex?.Done();
        matcher.Done();
        if (result.Exact is null && result.Prefix is null && result.Suffix is null && result.Contains is null && regex is null)
            return new TextMatcher { Exact = "" };
        return result;
    }

    public static List<HeaderMatcher> Headers(FieldReader holder, string field, ConversionContext context)
    {
        var result = new List<HeaderMatcher>();
        foreach (var header in holder.Children(field))
            result.Add(Header(header, context));
        return result;
    }

    public static HeaderMatcher Header(FieldReader header, ConversionContext context)
    {
        var name = header.Required("name").ToLowerInvariant();
        TextMatcher? text = null;
        (long, long)? range = null;
        var present = header.Bool("present_match", true);
        if (header.Child("string_match") is { } match)
            text = Text(match, context);
        else if (header.Text("exact_match") is { } exact)
            text = new TextMatcher { Exact = exact };
        else if (header.Text("prefix_match") is { } prefix)
            text = new TextMatcher { Prefix = prefix };
        else if (header.Text("suffix_match") is { } suffix)
            text = new TextMatcher { Suffix = suffix };
        else if (header.Text("contains_match") is { } contains)
            text = new TextMatcher { Contains = contains };
        else if (header.Child("safe_regex_match") is { } regex)
            text = new TextMatcher { Regex = context.Regex(regex) };
        else if (header.Child("range_match") is { } numbers)
        {
            range = (numbers.IntegerOr("start", 0), numbers.IntegerOr("end", 0));
            numbers.Done();
        }
        var result = new HeaderMatcher
        {
            Name = name,
            NameBytes = System.Text.Encoding.ASCII.GetBytes(name),
            Text = text,
            Present = present,
            Range = range,
            Invert = header.Bool("invert_match", false),
            TreatMissingAsEmpty = header.Bool("treat_missing_header_as_empty", false),
        };
        header.Done();
        return result;
    }

    public static QueryMatcher Query(FieldReader query, ConversionContext context)
    {
        var result = new QueryMatcher(query.Required("name"), Text(query.Child("string_match"), context), query.Bool("present_match", true));
        query.Done();
        return result;
    }

    public static PrefixConfig? Prefix(FieldReader range)
    {
        var text = range.Required("address_prefix");
        var bits = (int)range.IntegerOr("prefix_len", 0, 0, 128);
        range.Done();
        if (Address.TryParseIp(text, 0, out var address))
            return new PrefixConfig(address, bits);
        range.Fail("address_prefix", $"\"{text}\" is not an IP address");
        return null;
    }

    public static List<PrefixConfig> Prefixes(FieldReader holder, string field)
    {
        var result = new List<PrefixConfig>();
        foreach (var range in holder.Children(field))
        {
            if (Prefix(range) is { } prefix)
                result.Add(prefix);
        }
        return result;
    }

    /// <summary>RuntimeFractionalPercent as parts per million.</summary>
    public static int PerMillion(FieldReader? fraction)
    {
        if (fraction is null)
            return 1_000_000;
        var inner = fraction.Child("default_value");
        fraction.Done();
        if (inner is null)
        {
            fraction.Fail("default_value", "is required");
            return 0;
        }
        fraction = inner;
        var numerator = fraction.IntegerOr("numerator", 0, 0, uint.MaxValue);
        var denominator = fraction.Choice("denominator", "HUNDRED", "HUNDRED", "TEN_THOUSAND", "MILLION");
        fraction.Done();
        var scaled = numerator * (denominator switch { "HUNDRED" => 10_000, "TEN_THOUSAND" => 100, _ => 1 });
        return (int)Math.Min(1_000_000, scaled);
    }

    public static Dictionary<string, string> Metadata(FieldReader? metadata, string filter)
    {
        var result = new Dictionary<string, string>(StringComparer.Ordinal);
        if (metadata is null)
            return result;
        var values = metadata.Raw("filter_metadata")?[filter];
        foreach (var field in values?.Fields ?? [])
        {
            if (field.Value.Kind is not (NodeKind.Map or NodeKind.List))
                result[field.Key] = field.Value.AsText;
        }
        metadata.Done();
        return result;
    }
}
