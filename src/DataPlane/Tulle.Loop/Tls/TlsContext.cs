using Tulle.Native;
using Tulle.Wire.Tls;

namespace Tulle.Loop;

/// <summary>What a TLS context is made from; see <see cref="SslContextOptions"/>.</summary>
public sealed class TlsContextOptions
{
    public required bool IsServer { get; init; }

    public IReadOnlyList<(byte[] ChainPem, byte[] KeyPem, string Password)> Certificates { get; init; } = [];

    public bool ScansAllOnMismatch { get; init; }

    public byte[] TrustedCaPem { get; init; } = [];

    public byte[] RevocationPem { get; init; } = [];

    public bool RevocationOfLeafOnly { get; init; }

    public bool AllowsExpired { get; init; }

    public bool NamesNoAuthorities { get; init; }

    public int? DepthMax { get; init; }

    public bool EnforcesRsaKeyUsage { get; init; }

    public bool RequirePeerCertificate { get; init; }

    public int MinVersion { get; init; } = 0x0303;

    public int MaxVersion { get; init; } = 0x0304;

    public IReadOnlyList<string> Alpn { get; init; } = [];

    public IReadOnlyList<string> Ciphers { get; init; } = [];

    public IReadOnlyList<string> Groups { get; init; } = [];

    public IReadOnlyList<string> SignatureAlgorithms { get; init; } = [];

    public bool Fips { get; init; }

    public bool PrefersClientCiphers { get; init; }

    public long SessionSeconds { get; init; }

    public byte[] TicketKey { get; init; } = [];

    public int TicketCount { get; init; }

    public byte[] SessionContextId { get; init; } = [];
}

/// <summary>A TLS context that connections on any loop may use.</summary>
public sealed class TlsContext
{
    private readonly string?[] _identities;

    /// <exception cref="InvalidOperationException">The library refuses a certificate, key or setting.</exception>
    public TlsContext(TlsContextOptions options)
    {
        var names = options.Certificates.Select(c => NamesOf(c.ChainPem)).ToList();
        _identities = names.Select(n => n?.FirstUri).ToArray();
        Inner = Make(options, names);
    }

    private static CertificateNames? NamesOf(byte[] chainPem)
    {
        foreach (var (label, der) in PemBlocks.Read(chainPem, "the certificate chain"))
        {
            if (label.EndsWith("CERTIFICATE", StringComparison.Ordinal))
                return CertificateNames.TryRead(der);
        }
        return null;
    }

    private static SslContext Make(TlsContextOptions options, List<CertificateNames?> names) => new(new SslContextOptions
    {
        IsServer = options.IsServer,
        Certificates = options.Certificates.Select((c, i) => new SslCertificate
        {
            ChainPem = c.ChainPem,
            KeyPem = c.KeyPem,
            Password = c.Password,
            ServerNames = names[i]?.ServerNames ?? [],
        }).ToList(),
        ScansAllOnMismatch = options.ScansAllOnMismatch,
        TrustedCaPem = options.TrustedCaPem,
        RevocationPem = options.RevocationPem,
        RevocationOfLeafOnly = options.RevocationOfLeafOnly,
        AllowsExpired = options.AllowsExpired,
        NamesNoAuthorities = options.NamesNoAuthorities,
        DepthMax = options.DepthMax,
        RequirePeerCertificate = options.RequirePeerCertificate,
        EnforcesRsaKeyUsage = options.EnforcesRsaKeyUsage,
        MinVersion = options.MinVersion,
        MaxVersion = options.MaxVersion,
        Alpn = options.Alpn,
        Ciphers = options.Ciphers,
        Groups = options.Groups,
        SignatureAlgorithms = options.SignatureAlgorithms,
        Fips = options.Fips,
        PrefersClientCiphers = options.PrefersClientCiphers,
        TicketCount = options.TicketCount,
        SessionSeconds = options.SessionSeconds,
        TicketKey = options.TicketKey,
        SessionContextId = options.SessionContextId,
    });

    internal SslContext Inner { get; }

    /// <summary>Handshakes whose peer's chain was remembered, and those for which it was verified.</summary>
    public (long Remembered, long Verified) Verifications => Inner.Verifications;

    /// <summary>The SPIFFE id in one of its certificates, or null.</summary>
    internal string? Identity(int certificate) => certificate < _identities.Length ? _identities[certificate] : null;

    public static byte[] AlpnWire(IReadOnlyList<string> protocols) => SslContext.AlpnWire(protocols);
}

/// <summary>The ticket that a client keeps for its next connection. Used by one loop.</summary>
public sealed class TlsResumption
{
    internal SslResumption Inner { get; } = new();
}
