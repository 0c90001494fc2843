using System.Text.RegularExpressions;
using Tulle.Base.Documents;
using Tulle.Wire.Tls;

namespace Tulle.Sidecar;

/// <summary>Which names a control plane's certificate may have: match_typed_subject_alt_names and match_subject_alt_names of its cluster.</summary>
internal sealed class ServerNames
{
    private readonly List<(string Kind, Node Matcher)> _matchers = [];

    public ServerNames(Node? validation)
    {
        foreach (var typed in validation?["match_typed_subject_alt_names"]?.Items ?? [])
            _matchers.Add((typed["san_type"]?.AsText ?? "", typed["matcher"] ?? Node.Map()));
        foreach (var matcher in validation?["match_subject_alt_names"]?.Items ?? [])
            _matchers.Add(("", matcher));
    }

    public bool Any => _matchers.Count > 0;

    public bool Accept(byte[] certificate) => CertificateNames.TryRead(certificate) is { } names
        && names.Sans.Any(san => _matchers.Any(m => (m.Kind.Length == 0 || m.Kind == KindOf(san.Kind)) && Matches(m.Matcher, san.Value)));

    private static string KindOf(SanKind kind) => kind switch
    {
        SanKind.Uri => "URI",
        SanKind.Dns => "DNS",
        _ => "IP_ADDRESS",
    };

    private static bool Matches(Node matcher, string name)
    {
        var comparison = matcher["ignore_case"]?.AsBool == true ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal;
        if (matcher["exact"] is { } exact)
            return name.Equals(exact.AsText, comparison);
        if (matcher["prefix"] is { } prefix)
            return name.StartsWith(prefix.AsText, comparison);
        if (matcher["suffix"] is { } suffix)
            return name.EndsWith(suffix.AsText, comparison);
        if (matcher["contains"] is { } contains)
            return name.Contains(contains.AsText, comparison);
        // A form that is not known here accepts nobody.
        return matcher["safe_regex"]?["regex"] is { } regex && Regex.IsMatch(name, $@"\A(?:{regex.AsText})\z", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
    }
}
