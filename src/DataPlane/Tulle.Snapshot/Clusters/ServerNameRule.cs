namespace Tulle.Snapshot;

/// <summary>Requests choose the server name of their TLS connection. Source: Envoy upstream_http_protocol_options.</summary>
public sealed class ServerNameRule
{
    /// <summary>The request's host is the SNI. Source: auto_sni, default false.</summary>
    public bool SetsServerName { get; init; }

    /// <summary>The certificate must be for the request's host. Source: auto_san_validation, default false.</summary>
    public bool VerifiesName { get; init; }

    /// <summary>A field, in lower case, that names the host; empty: the authority does. Source: override_auto_sni_header.</summary>
    public byte[] Header { get; init; } = [];
}
