using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class MatcherFields
{
    public static readonly MessageFields StringMatcher = new ProtoFields("envoy.type.matcher.v3.StringMatcher")
    {
        ["exact"] = Obeyed,
        ["prefix"] = Obeyed,
        ["suffix"] = Obeyed,
        ["safe_regex"] = Obeyed.Of(() => RegexMatcher),
        ["contains"] = Obeyed,
        ["custom"] = Refused(Later.Never),
        ["ignore_case"] = Obeyed,
    };

    public static readonly MessageFields RegexMatcher = new ProtoFields("envoy.type.matcher.v3.RegexMatcher")
    {
        ["google_re2"] = Harmless("the syntax is that of RE2 in any case"),
        ["regex"] = Obeyed,
    };

    public static readonly MessageFields RegexMatchAndSubstitute = new ProtoFields("envoy.type.matcher.v3.RegexMatchAndSubstitute")
    {
        ["pattern"] = Obeyed.Of(() => RegexMatcher),
        ["substitution"] = Obeyed,
    };
}
