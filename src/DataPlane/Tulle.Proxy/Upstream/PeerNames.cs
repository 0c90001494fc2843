using Tulle.Loop;
using Tulle.Snapshot;
using Tulle.Wire.Tls;

namespace Tulle.Proxy;

/// <summary>Checks the certificate of a verified peer on every connection, resumed or not: its time, and its names against what the configuration asks for.</summary>
internal static class PeerNames
{
    /// <summary>Null when accepted; otherwise why not.</summary>
    /// <param name="requiredName">A name that the certificate must be for besides; empty for none.</param>
    /// <param name="nowMicros">The wall clock: a ticket outlives the certificate that it was given for.</param>
    public static string? Accepts(TlsConfig config, TlsPeer? peer, string requiredName, long nowMicros)
    {
        var needsName = config.Sans.Count > 0 || requiredName.Length > 0;
        // Names of a certificate that nobody vouches for say nothing. The configuration is refused before; this is the second lock.
        if (config.Trust is null)
            return needsName ? "names are asked for and there is no trusted CA to verify them" : null;
        if (peer is { Certificate.Length: 0 } && config is TlsServerConfig { RequireClientCertificate: false })
            return null;
        if (peer?.Names is not { } names)
            return "the peer sent no certificate whose names could be checked";
        if (!config.Trust.AllowsExpired && nowMicros / 1_000_000 > names.NotAfter.ToUnixTimeSeconds())
            return $"certificate has expired: it ended at {names.NotAfter:yyyy-MM-dd'T'HH:mm:ss'Z'}";
        if (requiredName.Length > 0 && !IsFor(names, requiredName))
            return $"verify SAN list: {Describe(names)} is not for {requiredName}";
        if (config.Sans.Count == 0 || Matches(config.Sans, names))
            return null;
        return $"verify SAN list: {Describe(names)} matches none of the names that are allowed";
    }

    private static string Describe(CertificateNames names) => string.Join(", ", names.Sans.Take(8).Select(s => s.Value));

    private static bool Matches(IReadOnlyList<SanMatcher> matchers, CertificateNames names)
    {
        foreach (var matcher in matchers)
        {
            foreach (var (kind, value) in names.Sans)
            {
                if (matcher.Kind is not null && matcher.Kind != KindName(kind))
                    continue;
                // As Envoy: an exact name is matched by a certificate for *.its.domain.
                if (kind == SanKind.Dns && matcher.Matcher.Exact is { } exact ? IsDnsName(value, exact) : matcher.Matcher.IsMatch(value))
                    return true;
            }
            if (matcher.Kind != "OTHER_NAME")
                continue;
            foreach (var (oid, value) in names.OtherNames)
            {
                if (oid == matcher.Oid && matcher.Matcher.IsMatch(value))
                    return true;
            }
        }
        return false;
    }

    /// <summary>DNS names by their rules, addresses and URIs as they are.</summary>
    private static bool IsFor(CertificateNames names, string required)
    {
        foreach (var (kind, value) in names.Sans)
        {
            if (kind == SanKind.Dns ? IsDnsName(value, required) : value.Equals(required, StringComparison.Ordinal))
                return true;
        }
        return false;
    }

    /// <summary>RFC 6125 section 6.4: letters of any case, and a wildcard for the whole first label.</summary>
    internal static bool IsDnsName(string certified, string name)
    {
        if (certified.Equals(name, StringComparison.OrdinalIgnoreCase))
            return certified.Length > 0;
        if (certified.Length < 3 || !certified.StartsWith("*.", StringComparison.Ordinal))
            return false;
        var dot = name.IndexOf('.');
        return dot > 0 && name.AsSpan(dot).Equals(certified.AsSpan(1), StringComparison.OrdinalIgnoreCase);
    }

    private static string KindName(SanKind kind) => kind switch
    {
        SanKind.Dns => "DNS",
        SanKind.Uri => "URI",
        SanKind.Email => "EMAIL",
        SanKind.Ip => "IP_ADDRESS",
        _ => "OTHER",
    };
}
