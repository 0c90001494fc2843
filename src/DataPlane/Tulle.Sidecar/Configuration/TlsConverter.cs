using System.Text;
using Tulle.Base.Documents;
using Tulle.Sidecar.Fields;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>Transport sockets: TLS of both sides and raw_buffer.</summary>
internal static class TlsConverter
{
    private const string Package = "envoy.extensions.transport_sockets.";

    public static TlsClientConfig? Client(FieldReader socket, ConversionContext context)
    {
        var (type, tls) = ConversionContext.Typed(socket);
        var name = socket.Text("name", "");
        socket.Done();
        if (type == Package + "raw_buffer.v3.RawBuffer" || (type.Length == 0 && name == "envoy.transport_sockets.raw_buffer"))
        {
            tls.Done();
            return null;
        }
        if (type != Package + "tls.v3.UpstreamTlsContext")
        {
            socket.Fail("typed_config", $"transport socket {(type.Length > 0 ? type : name)} is not supported");
            return null;
        }
        var resumption = tls.IntegerOr("max_session_keys", 1, 0) > 0;
        var serverName = tls.Text("sni", "");
        var parts = Common(tls.Child("common_tls_context"), context);
        tls.Done("is not supported by this proxy");
        return new TlsClientConfig
        {
            ServerName = serverName,
            Resumption = resumption,
            Certificates = parts.Certificates,
            Trust = parts.Trust,
            Sans = parts.Sans,
            Alpn = parts.Alpn,
            MinVersion = parts.Min,
            MaxVersion = parts.Max,
            Ciphers = parts.Ciphers,
            ContentHash = parts.Hash ^ ConversionContext.Hash(Encoding.UTF8.GetBytes($"{serverName}|{resumption}")),
        };
    }

    public static TlsServerConfig? Server(FieldReader socket, ConversionContext context)
    {
        var (type, tls) = ConversionContext.Typed(socket);
        var name = socket.Text("name", "");
        socket.Done();
        if (type == Package + "raw_buffer.v3.RawBuffer")
        {
            tls.Done();
            return null;
        }
        if (type != Package + "tls.v3.DownstreamTlsContext")
        {
            socket.Fail("typed_config", $"transport socket {(type.Length > 0 ? type : name)} is not supported");
            return null;
        }
        if (tls.Text("ocsp_staple_policy") is not (null or "LENIENT_STAPLING"))
            tls.Fail("ocsp_staple_policy", "only LENIENT_STAPLING is supported");
        var require = tls.Bool("require_client_certificate", false);
        var resumption = !tls.Bool("disable_stateless_session_resumption", false);
        var parts = Common(tls.Child("common_tls_context"), context);
        tls.Done("is not supported by this proxy");
        if (parts.Certificates.Count == 0 && context.MissingSecrets.Count == 0)
            tls.Fail("common_tls_context", "a server needs a certificate: tls_certificates or tls_certificate_sds_secret_configs");
        if (require && parts.Trust is null && context.MissingSecrets.Count == 0)
            tls.Fail("require_client_certificate", "needs a trusted_ca to verify against");
        return new TlsServerConfig
        {
            RequireClientCertificate = require,
            Resumption = resumption,
            Certificates = parts.Certificates,
            Trust = parts.Trust,
            Sans = parts.Sans,
            Alpn = parts.Alpn,
            MinVersion = parts.Min,
            MaxVersion = parts.Max,
            Ciphers = parts.Ciphers,
            ContentHash = parts.Hash,
        };
    }

    private sealed record Parts(List<SecretConfig> Certificates, SecretConfig? Trust, List<SanMatcher> Sans, List<string> Alpn, int Min, int Max, string Ciphers, ulong Hash);

    private static Parts Common(FieldReader? common, ConversionContext context)
    {
        var certificates = new List<SecretConfig>();
        var sans = new List<SanMatcher>();
        if (common is null)
            return new Parts(certificates, null, sans, [], 0x0303, 0x0304, "", 1);
        foreach (var certificate in common.Children("tls_certificates"))
        {
            if (Certificate(certificate, "inline") is { } secret)
                certificates.Add(secret);
        }
        foreach (var reference in common.Children("tls_certificate_sds_secret_configs"))
        {
            if (SecretOf(reference, context) is { } secret)
                certificates.Add(secret);
        }
        SecretConfig? trust = null;
        if (common.Child("validation_context") is { } validation)
            trust = Validation(validation, context, sans);
        if (common.Child("validation_context_sds_secret_config") is { } sds)
            trust = SecretOf(sds, context);
        if (common.Child("combined_validation_context") is { } combined)
        {
            if (combined.Child("default_validation_context") is { } defaults)
                trust = Validation(defaults, context, sans);
            if (combined.Child("validation_context_sds_secret_config") is { } dynamic)
                trust = SecretOf(dynamic, context) ?? trust;
            combined.Done("is not supported by this proxy");
        }
        var (min, max, ciphers) = Parameters(common.Child("tls_params"));
        var alpn = common.Texts("alpn_protocols");
        common.Done("is not supported by this proxy");
        // Same content, same hash: the session context is bound to it.
        var hash = ConversionContext.Hash(Encoding.UTF8.GetBytes($"{min}:{max}:{ciphers}:{string.Join(',', alpn)}:{common.Node["combined_validation_context"]}{common.Node["validation_context"]}"));
        foreach (var certificate in certificates)
            hash = hash * 31 ^ certificate.ContentHash;
        return new Parts(certificates, trust, sans, alpn, min, max, ciphers, hash * 31 ^ (trust?.ContentHash ?? 0));
    }

    private static SecretConfig? SecretOf(FieldReader reference, ConversionContext context)
    {
        var name = reference.Required("name");
        var source = reference.Child("sds_config");
        var from = source is null ? ConfigSource.Static : ConversionContext.Source(source) ?? ConfigSource.Static;
        reference.Done();
        return context.Secret(new SecretReference(name, from));
    }

    public static SecretConfig? Certificate(FieldReader certificate, string name)
    {
        var chain = ConversionContext.DataSource(certificate.Child("certificate_chain"));
        var key = ConversionContext.DataSource(certificate.Child("private_key"));
        certificate.Done("is not supported by this proxy");
        if (chain is null || key is null)
            return null;
        return new SecretConfig { Name = name, ChainPem = chain, KeyPem = key, ContentHash = ConversionContext.Hash(chain, key) };
    }

    private static SecretConfig? Validation(FieldReader validation, ConversionContext context, List<SanMatcher> sans)
    {
        var accept = validation.Choice("trust_chain_verification", "VERIFY_TRUST_CHAIN", "VERIFY_TRUST_CHAIN", "ACCEPT_UNTRUSTED") == "ACCEPT_UNTRUSTED";
        var ca = ConversionContext.DataSource(validation.Child("trusted_ca"));
        foreach (var matcher in validation.Children("match_typed_subject_alt_names"))
        {
            var kind = matcher.Choice("san_type", "URI", "URI", "DNS", "EMAIL", "IP_ADDRESS", "OTHER_NAME");
            if (MatcherConverter.Text(matcher.Child("matcher"), context) is { } text)
                sans.Add(new SanMatcher(kind, text));
            matcher.Done();
        }
        foreach (var matcher in validation.Children("match_subject_alt_names"))
        {
            if (MatcherConverter.Text(matcher, context) is { } text)
                sans.Add(new SanMatcher(null, text));
        }
        validation.Done("is not supported by this proxy");
        return ca is not { Length: > 0 } || accept ? null : new SecretConfig { Name = "inline", TrustedCaPem = ca, ContentHash = ConversionContext.Hash(ca) };
    }

    private static (int Min, int Max, string Ciphers) Parameters(FieldReader? parameters)
    {
        if (parameters is null)
            return (0x0303, 0x0304, "");
        static int Version(string text, int otherwise) => text switch { "TLSv1_3" => 0x0304, "TLSv1_2" => 0x0303, "TLSv1_1" or "TLSv1_0" => 0x0303, _ => otherwise };
        var min = Version(parameters.Choice("tls_minimum_protocol_version", "TLS_AUTO", "TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"), 0x0303);
        var max = Version(parameters.Choice("tls_maximum_protocol_version", "TLS_AUTO", "TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"), 0x0304);
        // Groups in brackets ([a|b]) are BoringSSL's equal preference; OpenSSL takes them in order.
        var ciphers = string.Join(':', parameters.Texts("cipher_suites")).Replace("[", "").Replace("]", "").Replace('|', ':');
        parameters.Done("is not supported by this proxy");
        return (min, max, ciphers);
    }

    /// <summary>An SDS resource.</summary>
    public static SecretConfig? Secret(Node resource, ConversionContext context)
    {
        var secret = context.Reader(resource, TlsFields.Secret);
        var name = secret.Required("name");
        SecretConfig? result = null;
        if (secret.Child("tls_certificate") is { } certificate)
        {
            result = Certificate(certificate, name);
        }
        else if (secret.Child("validation_context") is { } validation)
        {
            var ca = Validation(validation, context, []);
            result = ca is null ? null : new SecretConfig { Name = name, TrustedCaPem = ca.TrustedCaPem, ContentHash = ca.ContentHash };
        }
        secret.Done("is not supported by this proxy");
        return result;
    }
}
