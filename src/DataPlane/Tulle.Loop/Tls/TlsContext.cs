using System.Security.Cryptography;
using Tulle.Native;
using Tulle.Wire.Tls;

namespace Tulle.Loop;

/// <summary>What a TLS context is made from; see <see cref="SslContextOptions"/>.</summary>
public sealed class TlsContextOptions
{
    public required bool IsServer { get; init; }

    public IReadOnlyList<(byte[] ChainPem, byte[] KeyPem)> Certificates { get; init; } = [];

    public byte[] TrustedCaPem { get; init; } = [];

    public bool RequirePeerCertificate { get; init; }

    public int MinVersion { get; init; } = 0x0303;

    public int MaxVersion { get; init; } = 0x0304;

    public IReadOnlyList<string> Alpn { get; init; } = [];

    public string Ciphers { get; init; } = "";

    public int TicketCount { get; init; }

    public byte[] SessionContextId { get; init; } = [];
}

/// <summary>A TLS context that connections on any loop may use.</summary>
public sealed class TlsContext
{
    /// <exception cref="InvalidOperationException">OpenSSL refuses a certificate, key or setting.</exception>
    public TlsContext(TlsContextOptions options)
    {
        Inner = Make(options);
        // OpenSSL has taken the certificate, so it can be read.
        if (options.Certificates.Count > 0 && PemEncoding.TryFindUtf8(options.Certificates[0].ChainPem, out var fields))
        {
            var leaf = new byte[fields.DecodedDataLength];
            System.Buffers.Text.Base64.DecodeFromUtf8(options.Certificates[0].ChainPem.AsSpan(fields.Base64Data), leaf, out _, out _);
            Identity = CertificateNames.TryRead(leaf)?.FirstUri;
        }
    }

    private static SslContext Make(TlsContextOptions options) => new(new SslContextOptions
    {
        IsServer = options.IsServer,
        Certificates = options.Certificates,
        TrustedCaPem = options.TrustedCaPem,
        RequirePeerCertificate = options.RequirePeerCertificate,
        MinVersion = options.MinVersion,
        MaxVersion = options.MaxVersion,
        Alpn = options.Alpn,
        Ciphers = options.Ciphers,
        TicketCount = options.TicketCount,
        SessionContextId = options.SessionContextId,
    });

    internal SslContext Inner { get; }

    /// <summary>The SPIFFE id in the first certificate, or null.</summary>
    public string? Identity { get; }

    public static byte[] AlpnWire(IReadOnlyList<string> protocols) => SslContext.AlpnWire(protocols);
}

/// <summary>The ticket that a client keeps for its next connection. Used by one loop.</summary>
public sealed class TlsResumption
{
    internal SslResumption Inner { get; } = new();
}
