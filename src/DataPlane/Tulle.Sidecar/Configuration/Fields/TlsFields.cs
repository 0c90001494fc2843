using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class TlsFields
{
    public static readonly MessageFields UpstreamTlsContext = new ProtoFields("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext")
    {
        ["common_tls_context"] = Obeyed.Of(() => CommonTlsContext),
        ["sni"] = Obeyed,
        ["auto_host_sni"] = Obeyed,
        ["auto_sni_san_validation"] = Obeyed,
        ["allow_renegotiation"] = Warned("a server that begins a TLS 1.2 connection anew is refused"),
        ["max_session_keys"] = Obeyed,
        ["enforce_rsa_key_usage"] = Obeyed,
    };

    public static readonly MessageFields DownstreamTlsContext = new ProtoFields("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext")
    {
        ["common_tls_context"] = Obeyed.Of(() => CommonTlsContext),
        ["require_client_certificate"] = Obeyed,
        ["require_sni"] = Refused(Later.Transports),
        ["session_ticket_keys"] = Obeyed.Of(() => TlsSessionTicketKeys),
        ["session_ticket_keys_sds_secret_config"] = Refused(Later.Transports),
        ["disable_stateless_session_resumption"] = Obeyed,
        ["disable_stateful_session_resumption"] = Harmless("there is none"),
        ["session_timeout"] = Obeyed,
        ["ocsp_staple_policy"] = Obeyed,
        ["full_scan_certs_on_sni_mismatch"] = Obeyed,
        ["prefer_client_ciphers"] = Obeyed,
    };

    public static readonly MessageFields TlsSessionTicketKeys = new ProtoFields("envoy.extensions.transport_sockets.tls.v3.TlsSessionTicketKeys")
    {
        ["keys"] = Obeyed.Of(() => CoreFields.DataSource),
    };

    public static readonly MessageFields CommonTlsContext = new ProtoFields("envoy.extensions.transport_sockets.tls.v3.CommonTlsContext")
    {
        ["tls_params"] = Obeyed.Of(() => TlsParameters),
        ["tls_certificates"] = Obeyed.Of(() => TlsCertificate),
        ["tls_certificate_sds_secret_configs"] = Obeyed.Of(() => SdsSecretConfig),
        ["tls_certificate_provider_instance"] = Refused(Later.Never),
        ["custom_tls_certificate_selector"] = Refused(Later.Never),
        ["tls_certificate_certificate_provider"] = Refused(Later.Never),
        ["tls_certificate_certificate_provider_instance"] = Refused(Later.Never),
        ["validation_context"] = Obeyed.Of(() => CertificateValidationContext),
        ["validation_context_sds_secret_config"] = Obeyed.Of(() => SdsSecretConfig),
        ["combined_validation_context"] = Obeyed.Of(() => CombinedCertificateValidationContext),
        ["validation_context_certificate_provider"] = Refused(Later.Never),
        ["validation_context_certificate_provider_instance"] = Refused(Later.Never),
        ["alpn_protocols"] = Obeyed,
        ["custom_handshaker"] = Refused(Later.Never),
        ["key_log"] = Refused(Later.Never),
    };

    public static readonly MessageFields CombinedCertificateValidationContext = new ProtoFields("envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext")
    {
        ["default_validation_context"] = Obeyed.Of(() => CertificateValidationContext),
        ["validation_context_sds_secret_config"] = Obeyed.Of(() => SdsSecretConfig),
        ["validation_context_certificate_provider"] = Refused(Later.Never),
        ["validation_context_certificate_provider_instance"] = Refused(Later.Never),
    };

    public static readonly MessageFields TlsParameters = new ProtoFields("envoy.extensions.transport_sockets.tls.v3.TlsParameters")
    {
        ["tls_minimum_protocol_version"] = Obeyed,
        ["tls_maximum_protocol_version"] = Obeyed,
        ["cipher_suites"] = Obeyed,
        ["ecdh_curves"] = Obeyed,
        ["signature_algorithms"] = Obeyed,
        ["compliance_policies"] = Obeyed,
    };

    public static readonly MessageFields TlsCertificate = new ProtoFields("envoy.extensions.transport_sockets.tls.v3.TlsCertificate")
    {
        ["certificate_chain"] = Obeyed.Of(() => CoreFields.DataSource),
        ["private_key"] = Obeyed.Of(() => CoreFields.DataSource),
        ["pkcs12"] = Refused(Later.Transports),
        ["watched_directory"] = Warned("files are read when the configuration is taken"),
        ["private_key_provider"] = Refused(Later.Never),
        ["password"] = Obeyed.Of(() => CoreFields.DataSource),
        ["ocsp_staple"] = Warned("no OCSP answer is sent"),
        ["signed_certificate_timestamp"] = Warned("is not sent"),
        ["tls_params"] = Refused(Later.Never),
    };

    public static readonly MessageFields CertificateValidationContext = new ProtoFields("envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext")
    {
        ["trusted_ca"] = Obeyed.Of(() => CoreFields.DataSource),
        ["ca_certificate_provider_instance"] = Refused(Later.Transports),
        ["system_root_certs"] = Refused(Later.Transports),
        ["watched_directory"] = Warned("files are read when the configuration is taken"),
        ["verify_certificate_spki"] = Refused(Later.Transports),
        ["verify_certificate_hash"] = Refused(Later.Transports),
        ["match_typed_subject_alt_names"] = Obeyed.Of(() => SubjectAltNameMatcher),
        ["match_subject_alt_names"] = Obeyed.Of(() => MatcherFields.StringMatcher),
        ["require_signed_certificate_timestamp"] = Refused(Later.Transports),
        ["crl"] = Obeyed.Of(() => CoreFields.DataSource),
        ["allow_expired_certificate"] = Obeyed,
        ["trust_chain_verification"] = Obeyed,
        ["custom_validator_config"] = Refused(Later.Transports),
        ["only_verify_leaf_cert_crl"] = Obeyed,
        ["max_verify_depth"] = Obeyed,
        ["suppress_client_ca_list"] = Obeyed,
    };

    public static readonly MessageFields SubjectAltNameMatcher = new ProtoFields("envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher")
    {
        ["san_type"] = Obeyed,
        ["matcher"] = Obeyed.Of(() => MatcherFields.StringMatcher),
        ["oid"] = Obeyed,
    };

    public static readonly MessageFields SdsSecretConfig = new ProtoFields("envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig")
    {
        ["name"] = Obeyed,
        ["sds_config"] = Obeyed.Of(() => ConfigSourceFields.ConfigSource),
    };

    public static readonly MessageFields Secret = new ProtoFields("envoy.extensions.transport_sockets.tls.v3.Secret")
    {
        ["name"] = Obeyed,
        ["tls_certificate"] = Obeyed.Of(() => TlsCertificate),
        ["session_ticket_keys"] = Refused(Later.Transports),
        ["validation_context"] = Obeyed.Of(() => CertificateValidationContext),
        ["generic_secret"] = Refused(Later.Never),
    };
}
