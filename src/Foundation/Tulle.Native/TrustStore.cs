using System.Runtime.InteropServices;

namespace Tulle.Native;

/// <summary>Fills the certificate store of a context: the whole trust bundle or an error, with its revocation lists (RFC 5280 section 5).</summary>
internal static unsafe class TrustStore
{
    /// <summary>Returns the Unix second at which the first revocation list ends; long.MaxValue without lists.</summary>
    /// <exception cref="InvalidOperationException">Part of the bundle cannot be read, or it holds no certificate.</exception>
    public static long Fill(nint store, nint context, SslContextOptions options)
    {
        var names = options.IsServer && !options.NamesNoAuthorities ? OpenSslShims.NewStack() : 0;
        try
        {
            var until = Read(store, names, options);
            if (options.DepthMax is { } depth)
                OpenSsl.SSL_CTX_set_verify_depth(context, depth);
            // The list is the context's from here on; BoringSSL takes it apart at once.
            if (names != 0)
                OpenSsl.SSL_CTX_set_client_CA_list(context, names);
            return until;
        }
        catch
        {
            for (var i = 0; i < OpenSslShims.Count(names); i++)
                OpenSsl.X509_NAME_free(OpenSslShims.Item(names, i));
            if (names != 0)
                OpenSslShims.FreeStack(names);
            throw;
        }
    }

    private static long Read(nint store, nint names, SslContextOptions options)
    {
        var until = long.MaxValue;
        var hasLists = false;
        var count = 0;
        var blocks = PemBlocks.Read(options.TrustedCaPem, "the trusted CA bundle");
        foreach (var (label, der) in blocks)
        {
            if (label == "X509 CRL")
            {
                hasLists |= AddList(store, der, ref until);
            }
            else if (label is "CERTIFICATE" or "X509 CERTIFICATE" or "TRUSTED CERTIFICATE")
            {
                AddCertificate(store, names, der, ++count);
            }
        }
        if (count == 0)
            throw new InvalidOperationException("the trusted CA bundle holds no PEM certificate");
        if (options.RevocationPem.Length > 0)
        {
            foreach (var (label, der) in PemBlocks.Read(options.RevocationPem, "the revocation lists (crl)"))
                hasLists |= label == "X509 CRL" && AddList(store, der, ref until);
            if (!hasLists && options.RevocationPem.AsSpan().IndexOfAnyExcept(" \t\r\n"u8) >= 0)
                throw new InvalidOperationException("the revocation lists (crl) hold no PEM block X509 CRL");
        }
        // A bundle may end at an intermediate: what it names is trusted, whoever signed it.
        var flags = OpenSsl.X509_V_FLAG_PARTIAL_CHAIN;
        if (hasLists)
            flags |= OpenSsl.X509_V_FLAG_CRL_CHECK | (options.RevocationOfLeafOnly ? 0 : OpenSsl.X509_V_FLAG_CRL_CHECK_ALL);
        SslContext.Check(OpenSsl.X509_STORE_set_flags(store, flags) == 1, "the verification flags");
        if (options.AllowsExpired)
            OpenSsl.X509_STORE_set_verify_cb(store, &OnError);
        return until;
    }

    private static void AddCertificate(nint store, nint names, byte[] der, int number)
    {
        var ca = LoadedCertificate.Certificate(der);
        if (ca == 0)
            throw new InvalidOperationException($"certificate {number} of the trusted CA bundle is none: {OpenSsl.TakeError()}");
        var added = OpenSsl.X509_STORE_add_cert(store, ca) == 1;
        if (names != 0)
            OpenSslShims.Push(names, OpenSsl.X509_NAME_dup(OpenSsl.X509_get_subject_name(ca)));
        OpenSsl.X509_free(ca);
        SslContext.Check(added, $"certificate {number} of the trusted CA bundle");
    }

    private static bool AddList(nint store, byte[] der, ref long until)
    {
        nint list;
        fixed (byte* start = der)
        {
            var cursor = start;
            list = OpenSsl.d2i_X509_CRL(0, ref cursor, der.Length);
        }
        if (list == 0)
            throw new InvalidOperationException($"a revocation list (X509 CRL) cannot be read: {OpenSsl.TakeError()}");
        var added = OpenSsl.X509_STORE_add_crl(store, list) == 1;
        var now = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();
        var ends = OpenSsl.X509_CRL_get0_nextUpdate(list);
        if (ends != 0)
            until = Math.Min(until, VerifiedChains.SecondsOf(ends, now, otherwise: long.MinValue));
        OpenSsl.X509_CRL_free(list);
        SslContext.Check(added, "a revocation list");
        return true;
    }

    /// <summary>As Envoy's allow_expired_certificate: the two errors of time are none.</summary>
    [UnmanagedCallersOnly]
    private static int OnError(int isGood, nint storeContext) => isGood == 1
        || OpenSsl.X509_STORE_CTX_get_error(storeContext) is OpenSsl.X509_V_ERR_CERT_HAS_EXPIRED or OpenSsl.X509_V_ERR_CERT_NOT_YET_VALID ? 1 : 0;
}
