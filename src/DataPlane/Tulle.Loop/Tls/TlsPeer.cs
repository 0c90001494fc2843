using Tulle.Wire.Tls;

namespace Tulle.Loop;

/// <summary>What a finished handshake says of the connection and its peer.</summary>
public sealed class TlsPeer
{
    public string ServerName { get; init; } = "";

    public string Alpn { get; init; } = "";

    public string Version { get; init; } = "";

    public string Cipher { get; init; } = "";

    public bool IsResumed { get; init; }

    /// <summary>Names in the peer's certificate; null when it sent none.</summary>
    public CertificateNames? Names { get; init; }

    /// <summary>DER of the peer's certificate; empty when it sent none.</summary>
    public byte[] Certificate { get; init; } = [];

    /// <summary>The SPIFFE id in the certificate that this side has, or null.</summary>
    public string? LocalIdentity { get; init; }

    /// <summary>The peer's SPIFFE id, or null.</summary>
    public string? Identity => Names?.FirstUri;
}
