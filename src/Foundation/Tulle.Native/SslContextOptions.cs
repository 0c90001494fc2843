namespace Tulle.Native;

/// <summary>One certificate of a context, with its key.</summary>
public sealed class SslCertificate
{
    /// <summary>PEM, leaf first, then intermediates.</summary>
    public required byte[] ChainPem { get; init; }

    /// <summary>PEM.</summary>
    public required byte[] KeyPem { get; init; }

    /// <summary>Opens an encrypted key; empty for none. Nobody is ever asked for one.</summary>
    public string Password { get; init; } = "";

    /// <summary>Names for which a server shows this one when it has several: as they are in the certificate, <c>*.</c> in front for a wildcard.</summary>
    public IReadOnlyList<string> ServerNames { get; init; } = [];
}

/// <summary>What an SSL_CTX is made from. Empty means absent.</summary>
public sealed class SslContextOptions
{
    public required bool IsServer { get; init; }

    /// <summary>Of several a server shows the one whose name the client asks for: exact before wildcard, else the first. A client has one at most.</summary>
    public IReadOnlyList<SslCertificate> Certificates { get; init; } = [];

    /// <summary>A client that asks for a name that no certificate has gets, of all, the first whose key it can use.</summary>
    public bool ScansAllOnMismatch { get; init; }

    /// <summary>Trusted CAs, PEM. Empty: the peer's chain is not verified.</summary>
    public byte[] TrustedCaPem { get; init; } = [];

    /// <summary>Revocation lists, PEM. Empty: nothing is revoked. With some, every CA of a chain needs one.</summary>
    public byte[] RevocationPem { get; init; } = [];

    /// <summary>Only the peer's own certificate is looked up in the revocation lists.</summary>
    public bool RevocationOfLeafOnly { get; init; }

    /// <summary>Certificates that have ended, or not begun, are taken.</summary>
    public bool AllowsExpired { get; init; }

    /// <summary>A server does not tell clients which CAs it trusts.</summary>
    public bool NamesNoAuthorities { get; init; }

    /// <summary>Intermediate certificates between the peer's and a trusted one. Null: the library's own bound, 100.</summary>
    public int? DepthMax { get; init; }

    /// <summary>A server asks for a certificate when CAs are given; with this it also refuses clients without one.</summary>
    public bool RequirePeerCertificate { get; init; }

    /// <summary>An RSA certificate of a server whose key usage forbids signatures is refused. With EC keys always.</summary>
    public bool EnforcesRsaKeyUsage { get; init; }

    /// <summary>0x0303 or 0x0304.</summary>
    public int MinVersion { get; init; } = OpenSsl.TLS1_2;

    public int MaxVersion { get; init; } = OpenSsl.TLS1_3;

    /// <summary>ALPN, most wanted first.</summary>
    public IReadOnlyList<string> Alpn { get; init; } = [];

    /// <summary>TLS 1.2 suites by OpenSSL's names. Empty: the ECDHE AEAD suites that Envoy offers.</summary>
    public IReadOnlyList<string> Ciphers { get; init; } = [];

    /// <summary>Key exchange groups. Empty: P-256, X25519, P-384.</summary>
    public IReadOnlyList<string> Groups { get; init; } = [];

    /// <summary>Empty: the library's own list.</summary>
    public IReadOnlyList<string> SignatureAlgorithms { get; init; } = [];

    /// <summary>Only what NIST SP 800-52r2 allows: AES-GCM suites, P-256 and P-384, no SHA-1.</summary>
    public bool Fips { get; init; }

    /// <summary>The order of a client's suites decides, not the server's.</summary>
    public bool PrefersClientCiphers { get; init; }

    /// <summary>Tickets a server sends after a full TLS 1.3 handshake; 0 turns resumption off.</summary>
    public int TicketCount { get; init; }

    /// <summary>Seconds for which a session may be resumed; 0: the library's own, 7,200 in OpenSSL.</summary>
    public long SessionSeconds { get; init; }

    /// <summary>80 bytes that all servers of a fleet share (name, HMAC key, AES key); empty: made by this process.</summary>
    public byte[] TicketKey { get; init; } = [];

    /// <summary>Sessions resume only between contexts of the same id (nginx CVE-2025-23419): a hash of all that verification depends on.</summary>
    public byte[] SessionContextId { get; init; } = [];
}
