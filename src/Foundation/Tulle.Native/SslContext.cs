using System.Runtime.InteropServices;
using System.Text;

namespace Tulle.Native;

/// <summary>An SSL_CTX. Safe to use from every loop; freed by the finalizer when the last connection let go of it.</summary>
public sealed unsafe class SslContext
{
    /// <summary>Source: Envoy's default list; forward secrecy and AEAD only.</summary>
    private static readonly string[] s_ciphers =
    [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
    ];

    private static readonly string[] s_groups = ["P-256", "X25519", "P-384"];

    // AES-128 first, as BoringSSL orders them where the processor has AES: a quarter cheaper per byte than libssl's first choice.
    private const string Suites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";

    private readonly GCHandle _self;
    private readonly byte[] _alpnWire = [];
    private readonly List<LoadedCertificate> _certificates = [];
    private readonly ServerCertificates? _choice;
    private readonly VerifiedChains? _verified;
    private readonly bool _enforcesRsaKeyUsage;

    /// <exception cref="InvalidOperationException">A certificate, key or setting is refused; the message carries the library's reason.</exception>
    public SslContext(SslContextOptions options)
    {
        TlsLibrary.Load();
        GcmKey.Prepare();
        IsServer = options.IsServer;
        VerifiesPeer = options.TrustedCaPem.Length > 0;
        _enforcesRsaKeyUsage = options.EnforcesRsaKeyUsage;
        OpenSsl.ERR_clear_error();
        Handle = OpenSsl.SSL_CTX_new(OpenSsl.TLS_method());
        if (Handle == 0)
            throw new InvalidOperationException($"{TlsLibrary.Version} makes no context: {OpenSsl.TakeError()}");
        SslSettings.Apply(Handle, options, s_ciphers, s_groups, Suites);
        foreach (var certificate in options.Certificates)
            _certificates.Add(new LoadedCertificate(certificate));
        _self = GCHandle.Alloc(this, GCHandleType.Weak);
        if (_certificates.Count > 0)
        {
            // With one certificate nothing is chosen; a client shows its only one.
            _choice = new ServerCertificates(_certificates, options.ScansAllOnMismatch);
            foreach (var certificate in _choice.Unnamed)
                Check(certificate.UseIn(Handle), "the certificate");
            if (options.IsServer && _certificates.Count > 1)
                OpenSsl.SSL_CTX_set_cert_cb(Handle, &OnCertificate, GCHandle.ToIntPtr(_self));
        }
        if (VerifiesPeer)
        {
            _verified = new VerifiedChains(TrustStore.Fill(OpenSsl.SSL_CTX_get_cert_store(Handle), Handle, options));
            OpenSsl.SSL_CTX_set_cert_verify_callback(Handle, &OnVerify, GCHandle.ToIntPtr(_self));
            OpenSsl.SSL_CTX_set_verify(Handle, OpenSsl.SSL_VERIFY_PEER | (options.RequirePeerCertificate ? OpenSsl.SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), 0);
        }
        OpenSsl.SSL_CTX_set_keylog_callback(Handle, &OnKeyLog);
        _alpnWire = AlpnWire(options.Alpn);
        if (options.IsServer && _alpnWire.Length > 0)
            OpenSsl.SSL_CTX_set_alpn_select_cb(Handle, &OnAlpn, GCHandle.ToIntPtr(_self));
        OpenSsl.ERR_clear_error();
    }

    // Runs for a context whose constructor threw as well: nothing of it is lost.
    ~SslContext()
    {
        if (Handle != 0)
            OpenSsl.SSL_CTX_free(Handle);
        foreach (var certificate in _certificates ?? [])
            certificate.Free();
        if (_self.IsAllocated)
            _self.Free();
    }

    internal nint Handle { get; }

    public bool IsServer { get; }

    public bool VerifiesPeer { get; }

    /// <summary>Handshakes whose peer's chain was remembered, and those for which it was verified.</summary>
    public (long Remembered, long Verified) Verifications => (_verified?.Hits ?? 0, _verified?.Misses ?? 0);

    internal int IndexOf(nint leaf) => _certificates.Count > 1 && _choice is not null ? _choice.IndexOf(leaf) : 0;

    /// <exception cref="InvalidOperationException">A name is empty or longer than 255 bytes.</exception>
    public static byte[] AlpnWire(IReadOnlyList<string> protocols)
    {
        var wire = new List<byte>();
        foreach (var protocol in protocols)
        {
            var name = Encoding.ASCII.GetBytes(protocol);
            if (name.Length is 0 or > 255)
                throw new InvalidOperationException($"the ALPN protocol \"{protocol}\" has {name.Length} bytes; 1 to 255 are possible (RFC 7301)");
            wire.Add((byte)name.Length);
            wire.AddRange(name);
        }
        return wire.ToArray();
    }

    internal static void Check(bool done, string what)
    {
        if (!done)
            throw new InvalidOperationException($"{TlsLibrary.Version} refuses {what}: {OpenSsl.TakeError()}");
    }

    [UnmanagedCallersOnly]
    private static int OnVerify(nint storeContext, nint argument)
    {
        try
        {
            if (GCHandle.FromIntPtr(argument).Target is not SslContext { _verified: { } verified } context)
                return 0;
            var result = verified.Verify(storeContext, TimeProvider.System.GetUtcNow().ToUnixTimeSeconds());
            if (result == 1 && !context.IsServer && !context.MaySign(OpenSsl.X509_STORE_CTX_get0_cert(storeContext)))
            {
                OpenSsl.X509_STORE_CTX_set_error(storeContext, OpenSsl.X509_V_ERR_INVALID_PURPOSE);
                return 0;
            }
            if (result != 1)
                return 0;
            // An error of time that the configuration allows has been overruled, and leaves its number.
            OpenSsl.X509_STORE_CTX_set_error(storeContext, OpenSsl.X509_V_OK);
            return 1;
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            // Nothing may cross into native code; an unknown answer is no.
            return 0;
        }
    }

    /// <summary>Every suite that is left signs: a certificate whose key usage is given must allow it (RFC 5280 section 4.2.1.3).</summary>
    private bool MaySign(nint x509)
    {
        if ((OpenSsl.X509_get_key_usage(x509) & OpenSsl.KU_DIGITAL_SIGNATURE) != 0)
            return true;
        var key = OpenSsl.X509_get_pubkey(x509);
        if (key == 0)
            return false;
        var isRsa = OpenSslShims.KeyKind(key) == OpenSsl.EVP_PKEY_RSA;
        OpenSsl.EVP_PKEY_free(key);
        return isRsa && !_enforcesRsaKeyUsage;
    }

    [UnmanagedCallersOnly]
    private static int OnCertificate(nint ssl, nint argument)
    {
        try
        {
            if (GCHandle.FromIntPtr(argument).Target is not SslContext { _choice: { } choice })
                return 0;
            var asked = OpenSsl.SSL_get_servername(ssl, 0);
            OpenSsl.SSL_certs_clear(ssl);
            foreach (var certificate in choice.For(asked == 0 ? "" : OpenSsl.TextAt(asked)))
            {
                if (!certificate.UseFor(ssl))
                    return 0;
            }
            return 1;
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            return 0;
        }
    }

    [UnmanagedCallersOnly]
    private static int OnAlpn(nint ssl, byte** selected, byte* selectedLength, byte* offered, uint offeredLength, nint argument)
    {
        if (GCHandle.FromIntPtr(argument).Target is not SslContext context)
            return OpenSsl.SSL_TLSEXT_ERR_NOACK;
        var client = new ReadOnlySpan<byte>(offered, (int)offeredLength);
        var server = context._alpnWire.AsSpan();
        for (var i = 0; i < server.Length; i += server[i] + 1)
        {
            var wanted = server.Slice(i + 1, server[i]);
            for (var j = 0; j < client.Length && j + client[j] < client.Length; j += client[j] + 1)
            {
                if (client.Slice(j + 1, client[j]).SequenceEqual(wanted))
                {
                    *selected = offered + j + 1;
                    *selectedLength = client[j];
                    return OpenSsl.SSL_TLSEXT_ERR_OK;
                }
            }
        }
        return OpenSsl.SSL_TLSEXT_ERR_NOACK;
    }

    [UnmanagedCallersOnly]
    private static void OnKeyLog(nint ssl, byte* line) => SslSession.Current?.TakeKeyLog(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(line));
}
