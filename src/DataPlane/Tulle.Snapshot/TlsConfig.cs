using System.Text.RegularExpressions;

namespace Tulle.Snapshot;

/// <summary>A key pair or a CA bundle by value. Several contexts share one.</summary>
public sealed class SecretConfig
{
    public required string Name { get; init; }

    public byte[] ChainPem { get; init; } = [];

    public byte[] KeyPem { get; init; } = [];

    public byte[] TrustedCaPem { get; init; } = [];

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

/// <summary>A matcher for one kind of subject alternative name; null kind means any.</summary>
public sealed record SanMatcher(string? Kind, TextMatcher Matcher);

/// <summary>What TLS contexts of both sides share.</summary>
public abstract class TlsConfig
{
    public IReadOnlyList<SecretConfig> Certificates { get; init; } = [];

    /// <summary>Null: the peer is not verified.</summary>
    public SecretConfig? Trust { get; init; }

    /// <summary>The peer's names must match one of these; empty accepts any name of a verified chain.</summary>
    public IReadOnlyList<SanMatcher> Sans { get; init; } = [];

    public IReadOnlyList<string> Alpn { get; init; } = [];

    /// <summary>0x0303 or 0x0304.</summary>
    public int MinVersion { get; init; } = 0x0303;

    public int MaxVersion { get; init; } = 0x0304;

    public string Ciphers { get; init; } = "";

    public ulong ContentHash { get; init; }
}

public sealed class TlsServerConfig : TlsConfig
{
    public bool RequireClientCertificate { get; init; }

    /// <summary>Clients get tickets and may resume. Default true. Source: Envoy disable_stateless_session_resumption.</summary>
    public bool Resumption { get; init; } = true;
}

public sealed class TlsClientConfig : TlsConfig
{
    public string ServerName { get; init; } = "";

    /// <summary>A session is kept for the next connection. Default true. Source: Envoy max_session_keys, 1; 0 turns it off.</summary>
    public bool Resumption { get; init; } = true;
}
