using System.Text;
using Tulle.Base.Documents;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>upstream_http_protocol_options: server names that requests choose.</summary>
internal static class UpstreamNames
{
    public static ServerNameRule? Read(FieldReader? options)
    {
        if (options is null)
            return null;
        var rule = new ServerNameRule
        {
            SetsServerName = options.Bool("auto_sni", false),
            VerifiesName = options.Bool("auto_san_validation", false),
            Header = Encoding.ASCII.GetBytes(options.Text("override_auto_sni_header", "").ToLowerInvariant()),
        };
        options.Done();
        return rule.SetsServerName || rule.VerifiesName ? rule : null;
    }

    /// <summary>A name that is to be in the certificate says nothing where nobody verifies the certificate.</summary>
    public static void Judge(ClusterConfig config, FieldReader cluster, ConversionContext context)
    {
        if (config.ServerNames is not { VerifiesName: true } || context.MissingSecrets.Count > 0)
            return;
        if (config.Tls is { Trust: null } || config.TransportMatches.Any(m => m.Tls is { Trust: null }))
            cluster.Fail("", "auto_san_validation asks for a name in the upstream's certificate, and without a trusted_ca anybody can write it there");
    }
}
