using Tulle.Loop;
using Tulle.Snapshot;
using Tulle.Wire.Tls;

namespace Tulle.Proxy;

/// <summary>Checks the names in a verified certificate against what the configuration asks for (SPIFFE ids in a mesh).</summary>
internal static class PeerNames
{
    /// <summary>Null when accepted; otherwise why not.</summary>
    public static string? Accepts(TlsConfig config, TlsPeer? peer)
    {
        if (config.Sans.Count == 0)
            return null;
        if (peer?.Names is null)
            return peer is { Certificate.Length: 0 } && config is TlsServerConfig { RequireClientCertificate: false } ? null : "the peer sent no certificate whose names could be checked";
        foreach (var (kind, value) in peer.Names.Sans)
        {
            foreach (var matcher in config.Sans)
            {
                if ((matcher.Kind is null || matcher.Kind == KindName(kind)) && matcher.Matcher.IsMatch(value))
                    return null;
            }
        }
        return $"verify SAN list: {string.Join(", ", peer.Names.Sans.Select(s => s.Value))} matches none of the names that are allowed";
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
