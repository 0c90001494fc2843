using System.Text;
using Tulle.Base.Documents;
using Tulle.Proxy;
using Tulle.Sidecar.Fields;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>Transport sockets: TLS of both sides and raw_buffer.</summary>
internal static class TlsConverter
{
    private const string Package = "envoy.extensions.transport_sockets.";

    /// <summary>Bytes of a ticket key: name 16, HMAC key 32, AES key 32. Source: Envoy.</summary>
    private const int TicketKeyBytes = 80;

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
        var enforce = tls.Bool("enforce_rsa_key_usage", false);
        var resumption = tls.IntegerOr("max_session_keys", 1, 0) > 0;
        var serverName = tls.Text("sni", "");
        if (Encoding.UTF8.GetByteCount(serverName) > 255)
            tls.Fail("sni", "is longer than 255 bytes");
        var ofEndpoint = tls.Bool("auto_host_sni", false);
        var verifiesName = tls.Bool("auto_sni_san_validation", false);
        var parts = Common(tls.Child("common_tls_context"), context);
        tls.Done("is not supported by this proxy");
        if (parts.Certificates.Count > 1)
            tls.Fail("common_tls_context", "a client has one certificate; several are for servers");
        if (verifiesName && parts.Trust is null && context.MissingSecrets.Count == 0)
            tls.Fail("auto_sni_san_validation", "needs a trusted_ca to verify against");
        var config = new TlsClientConfig
        {
            ServerName = serverName,
            ServerNameOfEndpoint = ofEndpoint,
            VerifiesServerName = verifiesName,
            EnforcesRsaKeyUsage = enforce,
            Resumption = resumption,
            Certificates = parts.Certificates,
            Trust = parts.Trust,
            Sans = parts.Sans,
            Alpn = parts.Alpn,
            MinVersion = parts.Parameters.Min,
            MaxVersion = parts.Parameters.Max,
            Ciphers = parts.Parameters.Ciphers,
            Groups = parts.Parameters.Groups,
            SignatureAlgorithms = parts.Parameters.SignatureAlgorithms,
            Fips = parts.Parameters.Fips,
            ContentHash = parts.Hash ^ ConversionContext.Hash(Encoding.UTF8.GetBytes($"{serverName}|{resumption}|{enforce}|{ofEndpoint}|{verifiesName}")),
        };
        Prepare(config, tls, context);
        return config;
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
        var ticketKey = TicketKey(tls.Child("session_ticket_keys"));
        if (ticketKey.Length > 0 && !resumption)
            tls.Fail("session_ticket_keys", "and disable_stateless_session_resumption exclude each other");
        var seconds = tls.DurationMs("session_timeout") is { } milliseconds ? milliseconds / 1000 : 0;
        if (seconds is < 0 or >= 1L << 32)
            tls.Fail("session_timeout", "0 s to 2^32 s are possible");
        var prefersClient = tls.Bool("prefer_client_ciphers", false);
        var scansAll = tls.Bool("full_scan_certs_on_sni_mismatch", false);
        var parts = Common(tls.Child("common_tls_context"), context);
        tls.Done("is not supported by this proxy");
        if (parts.Certificates.Count == 0 && context.MissingSecrets.Count == 0)
            tls.Fail("common_tls_context", "a server needs a certificate: tls_certificates or tls_certificate_sds_secret_configs");
        if (require && parts.Trust is null && context.MissingSecrets.Count == 0)
            tls.Fail("require_client_certificate", "needs a trusted_ca to verify against");
        var config = new TlsServerConfig
        {
            RequireClientCertificate = require,
            Resumption = resumption,
            SessionSeconds = (long)Math.Ceiling(seconds),
            TicketKey = ticketKey,
            PrefersClientCiphers = prefersClient,
            ScansAllOnMismatch = scansAll,
            Certificates = parts.Certificates,
            Trust = parts.Trust,
            Sans = parts.Sans,
            Alpn = parts.Alpn,
            MinVersion = parts.Parameters.Min,
            MaxVersion = parts.Parameters.Max,
            Ciphers = parts.Parameters.Ciphers,
            Groups = parts.Parameters.Groups,
            SignatureAlgorithms = parts.Parameters.SignatureAlgorithms,
            Fips = parts.Parameters.Fips,
            ContentHash = parts.Hash,
        };
        Prepare(config, tls, context);
        return config;
    }

    /// <summary>What the library refuses is refused here, with the configuration, and not at somebody's first connection.</summary>
    private static void Prepare(TlsConfig config, FieldReader tls, ConversionContext context)
    {
        if (context.MissingSecrets.Count > 0 || context.Diagnostics.HasErrors)
            return;
        try
        {
            TlsContexts.Prepare(config);
        }
        catch (InvalidOperationException error)
        {
            tls.Fail("", error.Message);
        }
    }

    private static byte[] TicketKey(FieldReader? keys)
    {
        if (keys is null)
            return [];
        byte[] first = [];
        var count = 0;
        foreach (var source in keys.Children("keys"))
        {
            var key = ConversionContext.DataSource(source) ?? [];
            if (key.Length != TicketKeyBytes)
                keys.Fail("keys", $"a ticket key has {key.Length} bytes; {TicketKeyBytes} are expected");
            // The first encrypts. Tickets of the others are not opened: those clients do a full handshake.
            if (count++ == 0)
                first = key;
        }
        if (count == 0)
            keys.Fail("keys", "at least one is required");
        keys.Done("is not supported by this proxy");
        return first.Length == TicketKeyBytes ? first : [];
    }

    private sealed record Parts(List<SecretConfig> Certificates, ValidationConfig? Trust, IReadOnlyList<SanMatcher> Sans, List<string> Alpn, TlsParameters Parameters, ulong Hash);

    private static Parts Common(FieldReader? common, ConversionContext context)
    {
        var certificates = new List<SecretConfig>();
        if (common is null)
            return new Parts(certificates, null, [], [], TlsParameters.Default, 1);
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
        var validation = TlsValidation.Of(common, context);
        var parameters = TlsParameters.Read(common.Child("tls_params"));
        // As Envoy reads them: joined and split again.
        var alpn = common.Texts("alpn_protocols").SelectMany(p => p.Split(',', StringSplitOptions.RemoveEmptyEntries)).ToList();
        if (alpn.FirstOrDefault(p => Encoding.UTF8.GetByteCount(p) > 255 || !System.Text.Ascii.IsValid(p)) is { } odd)
            common.Fail("alpn_protocols", $"\"{odd}\" is no protocol name: 1 to 255 ASCII bytes are possible (RFC 7301)");
        common.Done("is not supported by this proxy");
        // Same content, same hash: the session context is bound to it.
        var hash = ConversionContext.Hash(Encoding.UTF8.GetBytes($"{parameters.Describe()}:{string.Join(',', alpn)}"));
        foreach (var certificate in certificates)
            hash = hash * 31 ^ certificate.ContentHash;
        return new Parts(certificates, validation is { HasTrust: true } ? validation : null, validation?.Sans ?? [], alpn, parameters,
            hash * 31 ^ (validation?.ContentHash ?? 0));
    }

    public static SecretConfig? SecretOf(FieldReader reference, ConversionContext context)
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
        var password = ConversionContext.DataSource(certificate.Child("password"));
        certificate.Done("is not supported by this proxy");
        if (chain is null || key is null)
        {
            certificate.Fail("", "a certificate needs certificate_chain and private_key");
            return null;
        }
        return new SecretConfig
        {
            Name = name,
            ChainPem = chain,
            KeyPem = key,
            Password = password is null ? "" : Encoding.UTF8.GetString(password),
            ContentHash = ConversionContext.Hash(chain, key, password ?? []),
        };
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
            var read = TlsValidation.Read(validation, context);
            if (read is { TrustedCaPem: null, RevocationPem: null, Sans.Count: 0, AcceptsUntrusted: false })
                validation.Fail("", "says nothing that a peer could be verified by");
            result = new SecretConfig { Name = name, Validation = read, ContentHash = read.ContentHash };
        }
        secret.Done("is not supported by this proxy");
        return result;
    }
}
