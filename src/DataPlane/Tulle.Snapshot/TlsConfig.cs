using System.Text.RegularExpressions;

namespace Tulle.Snapshot;

/// <summary>A key pair or what peers are verified by, by value. Several contexts share one.</summary>
public sealed class SecretConfig
{
    public required string Name { get; init; }

    public byte[] ChainPem { get; init; } = [];

    public byte[] KeyPem { get; init; } = [];

    /// <summary>Opens an encrypted key; empty for none.</summary>
    public string Password { get; init; } = "";

    /// <summary>Null for a key pair.</summary>
    public ValidationConfig? Validation { get; init; }

    public byte[] TrustedCaPem => Validation?.TrustedCaPem ?? [];

    /// <summary>Hash of the content: a context is rebuilt only when it changed.</summary>
    public ulong ContentHash { get; init; }
}

/// <summary>A matcher for text, compiled.</summary>
public sealed class TextMatcher
{
    public string? Exact { get; init; }

    public string? Prefix { get; init; }

    public string? Suffix { get; init; }

    public string? Contains { get; init; }

    public Regex? Regex { get; init; }

    public bool IgnoreCase { get; init; }

    public bool IsMatch(ReadOnlySpan<char> value)
    {
        var comparison = IgnoreCase ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal;
        if (Exact is not null)
            return value.Equals(Exact, comparison);
        if (Prefix is not null)
            return value.StartsWith(Prefix, comparison);
        if (Suffix is not null)
            return value.EndsWith(Suffix, comparison);
        if (Contains is not null)
            return value.Contains(Contains, comparison);
        return Regex is not null && FullMatch(Regex, value);
    }

    /// <summary>Envoy's regex matchers must cover the whole value. The pattern is compiled as \A(?:…)\z.</summary>
    private static bool FullMatch(Regex regex, ReadOnlySpan<char> value) => regex.IsMatch(value);
}

/// <summary>A matcher for one kind of subject alternative name; null kind means any. The object identifier is that of an OTHER_NAME.</summary>
public sealed record SanMatcher(string? Kind, TextMatcher Matcher, string Oid = "");

/// <summary>What peers are verified by. Null means that nothing was written, so that two of them can be merged as messages are.</summary>
public sealed class ValidationConfig
{
    /// <summary>PEM, the whole bundle.</summary>
    public byte[]? TrustedCaPem { get; init; }

    /// <summary>Revocation lists, PEM. Empty: nothing is revoked. Source: Envoy crl.</summary>
    public byte[]? RevocationPem { get; init; }

    /// <summary>Only the peer's own certificate is looked up, not those of its issuers. Source: Envoy only_verify_leaf_cert_crl, default false.</summary>
    public bool RevocationOfLeafOnly { get; init; }

    /// <summary>Certificates out of their time are taken. Source: Envoy allow_expired_certificate, default false.</summary>
    public bool AllowsExpired { get; init; }

    /// <summary>Peers are not verified although there is a bundle. Source: Envoy trust_chain_verification ACCEPT_UNTRUSTED.</summary>
    public bool AcceptsUntrusted { get; init; }

    /// <summary>A server does not tell clients which authorities it trusts. Source: Envoy suppress_client_ca_list, default false.</summary>
    public bool NamesNoAuthorities { get; init; }

    /// <summary>Intermediate certificates in a chain, at most. Source: Envoy max_verify_depth, no default of its own.</summary>
    public int? DepthMax { get; init; }

    /// <summary>The peer's names must match one of these; empty accepts any name of a verified chain.</summary>
    public IReadOnlyList<SanMatcher> Sans { get; init; } = [];

    public ulong ContentHash { get; init; }

    public bool HasTrust => TrustedCaPem is { Length: > 0 } && !AcceptsUntrusted;

    /// <summary>As one message is merged into another: what is written there wins, lists are joined.</summary>
    public ValidationConfig MergedWith(ValidationConfig other) => new()
    {
        TrustedCaPem = other.TrustedCaPem ?? TrustedCaPem,
        RevocationPem = other.RevocationPem ?? RevocationPem,
        RevocationOfLeafOnly = RevocationOfLeafOnly || other.RevocationOfLeafOnly,
        AllowsExpired = AllowsExpired || other.AllowsExpired,
        AcceptsUntrusted = AcceptsUntrusted || other.AcceptsUntrusted,
        NamesNoAuthorities = NamesNoAuthorities || other.NamesNoAuthorities,
        DepthMax = other.DepthMax ?? DepthMax,
        Sans = [.. Sans, .. other.Sans],
        ContentHash = ContentHash * 31 ^ other.ContentHash,
    };
}

/// <summary>What TLS contexts of both sides share.</summary>
public abstract class TlsConfig
{
    public IReadOnlyList<SecretConfig> Certificates { get; init; } = [];

    /// <summary>Null: the peer is not verified.</summary>
    public ValidationConfig? Trust { get; init; }

    /// <summary>The peer's names must match one of these; empty accepts any name of a verified chain.</summary>
    public IReadOnlyList<SanMatcher> Sans { get; init; } = [];

    public IReadOnlyList<string> Alpn { get; init; } = [];

    /// <summary>0x0303 or 0x0304.</summary>
    public int MinVersion { get; init; } = 0x0303;

    public int MaxVersion { get; init; } = 0x0304;

    /// <summary>TLS 1.2 suites by OpenSSL's names; empty for Envoy's default, the ECDHE suites with AES-GCM and ChaCha20.</summary>
    public IReadOnlyList<string> Ciphers { get; init; } = [];

    /// <summary>Key exchange groups; empty for P-256, X25519, P-384. Source: Envoy ecdh_curves.</summary>
    public IReadOnlyList<string> Groups { get; init; } = [];

    /// <summary>Empty for the library's own. Source: Envoy signature_algorithms.</summary>
    public IReadOnlyList<string> SignatureAlgorithms { get; init; } = [];

    /// <summary>Only what NIST SP 800-52r2 allows. Source: Envoy compliance_policies FIPS_202205.</summary>
    public bool Fips { get; init; }

    public ulong ContentHash { get; init; }

    /// <summary>What the TLS library made of it on the control thread, shared by all configurations of the same content; null until then.</summary>
    public object? Context { get; set; }
}

public sealed class TlsServerConfig : TlsConfig
{
    public bool RequireClientCertificate { get; init; }

    /// <summary>Clients get tickets and may resume. Default true. Source: Envoy disable_stateless_session_resumption.</summary>
    public bool Resumption { get; init; } = true;

    /// <summary>Seconds for which a session may be resumed; 0 for the library's own, 7,200. Source: Envoy session_timeout.</summary>
    public long SessionSeconds { get; init; }

    /// <summary>The first of Envoy's session_ticket_keys, 80 bytes; empty: made by this process.</summary>
    public byte[] TicketKey { get; init; } = [];

    /// <summary>Source: Envoy prefer_client_ciphers, default false.</summary>
    public bool PrefersClientCiphers { get; init; }

    /// <summary>Source: Envoy full_scan_certs_on_sni_mismatch, default false: the first certificate serves.</summary>
    public bool ScansAllOnMismatch { get; init; }
}

public sealed class TlsClientConfig : TlsConfig
{
    public string ServerName { get; init; } = "";

    /// <summary>A session is kept for the next connection. Default true. Source: Envoy max_session_keys, 1; 0 turns it off.</summary>
    public bool Resumption { get; init; } = true;

    /// <summary>The server name is the endpoint's own host name, if it has one. Source: Envoy auto_host_sni, default false.</summary>
    public bool ServerNameOfEndpoint { get; init; }

    /// <summary>The certificate must be for the server name that was sent. Source: Envoy auto_sni_san_validation, default false.</summary>
    public bool VerifiesServerName { get; init; }

    /// <summary>The key usage of RSA certificates is looked at too. Source: Envoy enforce_rsa_key_usage.</summary>
    public bool EnforcesRsaKeyUsage { get; init; }
}
