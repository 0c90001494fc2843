using System.Text;

namespace Tulle.Native;

/// <summary>The settings of a context that are neither certificates nor trust. Each is checked: what the library does not take is an error with its name.</summary>
internal static class SslSettings
{
    private const string ChaChaSuite = "TLS_CHACHA20_POLY1305_SHA256";
    private const ulong NoCertificateCompression = OpenSsl.SSL_OP_NO_TX_CERTIFICATE_COMPRESSION | OpenSsl.SSL_OP_NO_RX_CERTIFICATE_COMPRESSION;

    // NIST SP 800-52r2 as of May 2022.
    private static readonly string[] s_fipsCiphers =
        ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"];

    private static readonly string[] s_fipsGroups = ["P-256", "P-384"];

    private static readonly string[] s_fipsSignatures =
    [
        "rsa_pss_rsae_sha256", "rsa_pkcs1_sha256", "ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha384", "rsa_pkcs1_sha384", "ecdsa_secp384r1_sha384",
        "rsa_pss_rsae_sha512", "rsa_pkcs1_sha512",
    ];

    /// <exception cref="InvalidOperationException">The library refuses one.</exception>
    public static void Apply(nint context, SslContextOptions options, string[] ciphers, string[] groups, string suites)
    {
        var flags = OpenSsl.SSL_OP_NO_RENEGOTIATION | OpenSsl.SSL_OP_NO_COMPRESSION;
        if (!options.PrefersClientCiphers)
            flags |= OpenSsl.SSL_OP_CIPHER_SERVER_PREFERENCE;
        if (options.TicketCount == 0)
            flags |= OpenSsl.SSL_OP_NO_TICKET;
        // A client of OpenSSL 3.2 and later deflates its certificate for every handshake: 90 µs to save some hundred bytes.
        if (!TlsLibrary.IsBoring && TlsLibrary.Number >= 0x30200000)
            flags |= NoCertificateCompression;
        OpenSsl.SSL_CTX_set_options(context, flags);
        SslContext.Check(OpenSslShims.SetVersions(context, options.MinVersion, options.MaxVersion), "the protocol versions");
        OpenSslShims.SetNoSessionCache(context);
        // Without the chain bit the library builds a chain of its own from the trusted certificates for every handshake, and sends the root with it.
        OpenSslShims.SetModes(context, OpenSsl.SSL_MODE_RELEASE_BUFFERS | OpenSsl.SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | OpenSsl.SSL_MODE_ENABLE_PARTIAL_WRITE
            | OpenSsl.SSL_MODE_NO_AUTO_CHAIN);
        SetGroups(context, options.Fips ? s_fipsGroups : options.Groups.Count > 0 ? options.Groups : groups);
        SslContext.Check(OpenSslShims.SetSuites(context, options.Fips ? suites : $"{suites}:{ChaChaSuite}"), "the TLS 1.3 suites");
        SetCiphers(context, options.Fips ? s_fipsCiphers : options.Ciphers.Count > 0 ? options.Ciphers : ciphers);
        SetSignatures(context, options.Fips ? s_fipsSignatures : options.SignatureAlgorithms);
        SetSessions(context, options);
    }

    private static void SetGroups(nint context, IReadOnlyList<string> groups)
    {
        var list = Joined(groups, "the key exchange groups");
        if (!OpenSslShims.SetGroups(context, list))
            throw new InvalidOperationException($"{TlsLibrary.Version} does not know one of the key exchange groups (ecdh_curves) {list}: {OpenSsl.TakeError()}");
    }

    /// <summary>A list with one unknown name is taken by the library, which drops it: each is tried by itself.</summary>
    private static void SetCiphers(nint context, IReadOnlyList<string> ciphers)
    {
        foreach (var cipher in ciphers)
        {
            if (cipher.StartsWith("TLS_", StringComparison.Ordinal) || OpenSsl.SSL_CTX_set_cipher_list(context, Joined([cipher], "a cipher suite")) != 1)
            {
                OpenSsl.ERR_clear_error();
                throw new InvalidOperationException($"{TlsLibrary.Version} has no cipher suite \"{cipher}\" for TLS 1.2; those of TLS 1.3 cannot be chosen");
            }
        }
        SslContext.Check(OpenSsl.SSL_CTX_set_cipher_list(context, string.Join(':', ciphers)) == 1, $"the cipher suites {string.Join(':', ciphers)}");
    }

    private static void SetSignatures(nint context, IReadOnlyList<string> algorithms)
    {
        if (algorithms.Count == 0)
            return;
        var list = Joined(algorithms, "the signature algorithms");
        if (!OpenSslShims.SetSignatureAlgorithms(context, list))
            throw new InvalidOperationException($"{TlsLibrary.Version} does not know one of the signature algorithms {list}: {OpenSsl.TakeError()}");
    }

    private static void SetSessions(nint context, SslContextOptions options)
    {
        if (options.SessionContextId.Length > 0)
        {
            SslContext.Check(OpenSsl.SSL_CTX_set_session_id_context(context, options.SessionContextId, (uint)Math.Min(32, options.SessionContextId.Length)) == 1,
                "the session context");
        }
        SslContext.Check(OpenSsl.SSL_CTX_set_num_tickets(context, (nuint)options.TicketCount) == 1, "the number of tickets");
        if (options.SessionSeconds > 0)
            OpenSsl.SSL_CTX_set_timeout(context, (nint)options.SessionSeconds);
        if (options.TicketKey.Length > 0)
            SslContext.Check(OpenSslShims.SetTicketKeys(context, options.TicketKey), $"a ticket key of {options.TicketKey.Length} bytes");
    }

    private static string Joined(IReadOnlyList<string> names, string what)
    {
        foreach (var name in names)
        {
            if (name.Length == 0 || name.Length != Encoding.UTF8.GetByteCount(name) || name.Contains('\0'))
                throw new InvalidOperationException($"{what}: \"{name}\" is no name");
        }
        return string.Join(':', names);
    }
}
