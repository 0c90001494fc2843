using Tulle.Base.Documents;

namespace Tulle.Translate;

/// <summary>TLS contexts of the mesh: certificate "default" and trust "ROOTCA" come from the workload's own SDS server.</summary>
internal static class TlsShapes
{
    private static readonly Node SdsSource = Node.Map(
        ("api_config_source", Node.Map(("api_type", "GRPC"), ("transport_api_version", "V3"),
            ("grpc_services", Node.List(Node.Map(("envoy_grpc", Node.Map(("cluster_name", "sds-grpc")))))), ("set_node_on_first_message_only", true))),
        ("initial_fetch_timeout", "0s"),
        ("resource_api_version", "V3"));

    /// <summary>The same for what is not the mesh's own: files of the pod, which may come late.</summary>
    public static readonly Node SdsOfFiles = Node.Map(
        ("api_config_source", Node.Map(("api_type", "GRPC"), ("transport_api_version", "V3"),
            ("grpc_services", Node.List(Node.Map(("envoy_grpc", Node.Map(("cluster_name", "sds-grpc")))))), ("set_node_on_first_message_only", true))),
        ("resource_api_version", "V3"));

    private static readonly Node SdsOfSecrets = Node.Map(("ads", Node.Map()), ("resource_api_version", "V3"));

    private static readonly string[] Ciphers =
    [
        "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-GCM-SHA256",
    ];

    private static Node Trust(Node names) => Node.Map(
        ("default_validation_context", Node.Map(("match_subject_alt_names", names))),
        ("validation_context_sds_secret_config", Node.Map(("name", "ROOTCA"), ("sds_config", SdsSource))));

    /// <summary>ALPN of the metadata exchange: a proxy without that filter must not agree to it, or it would take what the other side tells for the stream.</summary>
    private const string Exchange = "istio-peer-exchange";

    public static Node Inbound(ProxyView proxy, bool isTcp, string trustDomain) => Shapes.Typed("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        ("common_tls_context", Node.Map(
            ("tls_params", Node.Map(("tls_minimum_protocol_version", "TLSv1_2"), ("tls_maximum_protocol_version", "TLSv1_3"), ("cipher_suites", Shapes.Strings(Ciphers)))),
            ("tls_certificate_sds_secret_configs", Node.List(Node.Map(("name", "default"), ("sds_config", SdsSource)))),
            ("combined_validation_context", Trust(Node.List(Node.Map(("prefix", $"spiffe://{trustDomain}/"))))),
            ("alpn_protocols", Shapes.Strings(isTcp && proxy.HasIstioFilters ? [Exchange, "h2", "http/1.1"] : ["h2", "http/1.1"])))),
        ("require_client_certificate", true));

    public static Node Outbound(ProxyView proxy, string sni, IReadOnlyList<string> identities, bool http2) => Shapes.Typed("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        ("common_tls_context", Node.Map(
            ("tls_params", Node.Map(("tls_minimum_protocol_version", "TLSv1_2"), ("tls_maximum_protocol_version", "TLSv1_3"))),
            ("tls_certificate_sds_secret_configs", Node.List(Node.Map(("name", "default"), ("sds_config", SdsSource)))),
            ("combined_validation_context", identities.Count > 0 ? Trust(Node.List(identities.Select(i => Node.Map(("exact", i))).ToList()))
                : Node.Map(("default_validation_context", Node.Map()), ("validation_context_sds_secret_config", Node.Map(("name", "ROOTCA"), ("sds_config", SdsSource))))),
            ("alpn_protocols", Shapes.Strings([.. proxy.HasIstioFilters ? [Exchange] : Array.Empty<string>(), "istio", .. http2 ? ["h2"] : Array.Empty<string>()])))),
        ("sni", sni));

    /// <summary>TLS to a server outside the mesh, as a DestinationRule orders it.</summary>
    public static Node Originated(Node tls, IReadOnlyList<string> names, bool skipVerify, bool http2)
    {
        var credential = tls["credentialName"]?.AsText ?? "";
        var root = tls["caCertificates"]?.AsText ?? "";
        var crl = tls["caCrl"]?.AsText ?? "";
        var isMutual = tls["mode"]!.AsText == "MUTUAL";
        var certificate = credential.Length > 0 ? Secret($"kubernetes://{credential}", SdsOfSecrets)
            : Secret($"file-cert:{tls["clientCertificate"]?.AsText}~{tls["privateKey"]?.AsText}", SdsOfFiles);
        var trust = credential.Length > 0 ? Secret($"kubernetes://{credential}-cacert", SdsOfSecrets) : Secret($"file-root:{(root.Length > 0 ? root : "system")}", SdsOfFiles);
        var sans = names.Count > 0 ? Node.List(names.Select(n => Node.Map(("exact", n))).ToList()) : null;
        return Shapes.Typed("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            ("common_tls_context", Node.Map(
                ("tls_params", Node.Map(("tls_minimum_protocol_version", "TLSv1_2"), ("tls_maximum_protocol_version", "TLSv1_3"))),
                ("tls_certificate_sds_secret_configs", isMutual ? Node.List(certificate) : null),
                ("validation_context", skipVerify ? Node.Map() : null),
                ("combined_validation_context", skipVerify ? null : Node.Map(
                    ("default_validation_context", Node.Map(("match_subject_alt_names", sans), ("crl", crl.Length > 0 ? Node.Map(("filename", crl)) : null))),
                    ("validation_context_sds_secret_config", trust))),
                ("alpn_protocols", http2 ? Shapes.Strings(["h2"]) : null))),
            ("sni", tls["sni"]?.AsText is { Length: > 0 } sni ? sni : null));
    }

    private static Node Secret(string name, Node source) => Node.Map(("name", name), ("sds_config", source));

    /// <summary>The two ways to an endpoint under auto mTLS: by its tlsMode label.</summary>
    public static Node AutoMatches(Node tls) => Node.List(
        Node.Map(("name", "tlsMode-istio"), ("match", Node.Map(("tlsMode", "istio"))), ("transport_socket", tls)),
        Node.Map(("name", "tlsMode-disabled"), ("match", Node.Map()), ("transport_socket", Shapes.Typed("envoy.transport_sockets.raw_buffer", "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"))));
}
