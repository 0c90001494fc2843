using Tulle.Base.Documents;
using Tulle.Resources;

namespace Tulle.Translate;

/// <summary>How a gateway's server ends TLS.</summary>
internal static class ServerTls
{
    private static readonly Node s_secrets = Node.Map(("ads", Node.Map()), ("resource_api_version", "V3"));

    private static readonly string[] s_alpn = ["h2", "http/1.1"];

    /// <summary>Certificates from Secrets or files; client certificates as the mode says.</summary>
    public static Node Make(ServerTlsResource tls)
    {
        var isMutual = tls.AsksForCertificate;
        var validation = Validation(tls);
        return Context(tls,
            [.. tls.Credentials.Select(c => Secret($"kubernetes://{c}")), .. tls.Credentials.Count == 0 ? [Secret($"file-cert:{tls.CertificateFile}~{tls.KeyFile}", isFile: true)] : Array.Empty<Node>()],
            isMutual ? Node.Map(("default_validation_context", validation), ("validation_context_sds_secret_config", TrustOf(tls))) : null,
            mustShow: tls.Mode == "MUTUAL");
    }

    /// <summary>Mutual TLS of the mesh at a gateway's server.</summary>
    public static Node Mutual(ProxyView proxy, ServerTlsResource tls, string trustDomain)
    {
        var shape = TlsShapes.Inbound(proxy, isTcp: false, trustDomain);
        return tls.SubjectAltNames.Count == 0 && tls.Spki.Count == 0 && tls.Hashes.Count == 0 ? shape
            : shape.With("typed_config", shape["typed_config"]!.With("common_tls_context", shape.At("typed_config", "common_tls_context")!
                .With("combined_validation_context", shape.At("typed_config", "common_tls_context", "combined_validation_context")!.With("default_validation_context", Validation(tls)))));
    }

    private static Node TrustOf(ServerTlsResource tls) => tls.CaCredentialName.Length > 0 ? Secret($"kubernetes://{tls.CaCredentialName}-cacert")
        : tls.Credentials.Count > 0 ? Secret($"kubernetes://{tls.Credentials[0]}-cacert") : Secret($"file-root:{tls.CaFile}", isFile: true);

    private static Node Secret(string name, bool isFile = false) => Node.Map(("name", name), ("sds_config", isFile ? TlsShapes.SdsOfFiles : s_secrets));

    private static Node Validation(ServerTlsResource tls) => Node.Map(
        ("match_subject_alt_names", tls.SubjectAltNames.Count > 0 ? Node.List(tls.SubjectAltNames.Select(n => Node.Map(("exact", n))).ToList()) : null),
        ("verify_certificate_spki", Shapes.StringsOrNull(tls.Spki)),
        ("verify_certificate_hash", Shapes.StringsOrNull(tls.Hashes)),
        ("crl", tls.CrlFile.Length > 0 ? Node.Map(("filename", tls.CrlFile)) : null));

    private static string? Version(string written) => written switch
    {
        "TLSV1_0" => "TLSv1_0",
        "TLSV1_1" => "TLSv1_1",
        "TLSV1_2" => "TLSv1_2",
        "TLSV1_3" => "TLSv1_3",
        _ => null,
    };

    private static Node Context(ServerTlsResource tls, List<Node> certificates, Node? validation, bool mustShow)
    {
        var (min, max) = (Version(tls.MinVersion), Version(tls.MaxVersion));
        var parameters = min is null && max is null && tls.CipherSuites.Count == 0 ? null : Node.Map(
            ("tls_minimum_protocol_version", min), ("tls_maximum_protocol_version", max), ("cipher_suites", Shapes.StringsOrNull(tls.CipherSuites)));
        return Shapes.Typed("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            ("common_tls_context", Node.Map(
                ("tls_params", parameters),
                ("tls_certificate_sds_secret_configs", Node.List(certificates)),
                ("combined_validation_context", validation),
                ("alpn_protocols", Shapes.Strings(s_alpn)))),
            ("require_client_certificate", mustShow));
    }
}
