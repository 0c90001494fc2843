using System.Runtime.InteropServices;
using System.Text;

namespace Tulle.Native;

/// <summary>What an SSL_CTX is made from. PEM texts; empty means absent.</summary>
public sealed class SslContextOptions
{
    public required bool IsServer { get; init; }

    /// <summary>Leaf first, then intermediates; each with its key.</summary>
    public IReadOnlyList<(byte[] ChainPem, byte[] KeyPem)> Certificates { get; init; } = [];

    /// <summary>Trusted CAs. Empty: the peer's chain is not verified.</summary>
    public byte[] TrustedCaPem { get; init; } = [];

    /// <summary>A server asks for a certificate when CAs are given; with this it also refuses clients without one.</summary>
    public bool RequirePeerCertificate { get; init; }

    public int MinVersion { get; init; } = OpenSsl.TLS1_2;

    public int MaxVersion { get; init; } = OpenSsl.TLS1_3;

    /// <summary>ALPN, most wanted first.</summary>
    public IReadOnlyList<string> Alpn { get; init; } = [];

    /// <summary>TLS 1.2 suites in OpenSSL's list form; empty for the default.</summary>
    public string Ciphers { get; init; } = "";

    public string Curves { get; init; } = "";

    /// <summary>Tickets a server sends after a full TLS 1.3 handshake; 0 turns resumption off.</summary>
    public int TicketCount { get; init; }

    /// <summary>Sessions resume only between contexts of the same id (nginx CVE-2025-23419): a hash of all that verification depends on.</summary>
    public byte[] SessionContextId { get; init; } = [];
}

/// <summary>An SSL_CTX. Safe to use from every loop; freed by the finalizer when the last connection let go of it.</summary>
public sealed unsafe class SslContext
{
    private readonly GCHandle _self;
    private readonly byte[] _alpnWire;

    /// <exception cref="InvalidOperationException">A certificate, key or setting is refused; the message carries OpenSSL's reason.</exception>
    public SslContext(SslContextOptions options)
    {
        GcmKey.Prepare();
        IsServer = options.IsServer;
        VerifiesPeer = options.TrustedCaPem.Length > 0;
        OpenSsl.ERR_clear_error();
        Handle = OpenSsl.SSL_CTX_new(OpenSsl.TLS_method());
        OpenSsl.SSL_CTX_set_options(Handle, OpenSsl.SSL_OP_NO_RENEGOTIATION | OpenSsl.SSL_OP_NO_COMPRESSION | OpenSsl.SSL_OP_CIPHER_SERVER_PREFERENCE);
        OpenSsl.SSL_CTX_ctrl(Handle, OpenSsl.SSL_CTRL_SET_MIN_PROTO_VERSION, options.MinVersion, 0);
        OpenSsl.SSL_CTX_ctrl(Handle, OpenSsl.SSL_CTRL_SET_MAX_PROTO_VERSION, options.MaxVersion, 0);
        OpenSsl.SSL_CTX_ctrl(Handle, OpenSsl.SSL_CTRL_SET_SESS_CACHE_MODE, 0, 0);
        OpenSsl.SSL_CTX_ctrl(Handle, OpenSsl.SSL_CTRL_MODE, 0x10 | 0x2 | 0x1, 0);
        OpenSsl.SSL_CTX_ctrl_text(Handle, OpenSsl.SSL_CTRL_SET_GROUPS_LIST, 0, options.Curves.Length > 0 ? options.Curves : "P-256:X25519:P-384");
        // AES-128 first, as BoringSSL orders them where the processor has AES: a quarter cheaper per byte than libssl's first choice.
        OpenSsl.SSL_CTX_set_ciphersuites(Handle, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
        if (options.Ciphers.Length > 0)
            OpenSsl.SSL_CTX_set_cipher_list(Handle, options.Ciphers);
        if (options.SessionContextId.Length > 0)
            OpenSsl.SSL_CTX_set_session_id_context(Handle, options.SessionContextId, (uint)Math.Min(32, options.SessionContextId.Length));
        OpenSsl.SSL_CTX_set_num_tickets(Handle, (nuint)options.TicketCount);
        if (options.TicketCount == 0)
            OpenSsl.SSL_CTX_set_options(Handle, OpenSsl.SSL_OP_NO_TICKET);
        foreach (var (chain, key) in options.Certificates)
            UseCertificate(chain, key);
        if (VerifiesPeer)
        {
            AddTrust(options.TrustedCaPem, options.IsServer);
            OpenSsl.SSL_CTX_set_verify(Handle, OpenSsl.SSL_VERIFY_PEER | (options.RequirePeerCertificate ? OpenSsl.SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), 0);
        }
        OpenSsl.SSL_CTX_set_keylog_callback(Handle, &OnKeyLog);
        _alpnWire = AlpnWire(options.Alpn);
        _self = GCHandle.Alloc(this, GCHandleType.Weak);
        if (options.IsServer && _alpnWire.Length > 0)
            OpenSsl.SSL_CTX_set_alpn_select_cb(Handle, &OnAlpn, GCHandle.ToIntPtr(_self));
    }

    ~SslContext()
    {
        OpenSsl.SSL_CTX_free(Handle);
        if (_self.IsAllocated)
            _self.Free();
    }

    internal nint Handle { get; }

    public bool IsServer { get; }

    public bool VerifiesPeer { get; }

    public static byte[] AlpnWire(IReadOnlyList<string> protocols)
    {
        var wire = new List<byte>();
        foreach (var protocol in protocols)
        {
            wire.Add((byte)protocol.Length);
            wire.AddRange(Encoding.ASCII.GetBytes(protocol));
        }
        return wire.ToArray();
    }

    private void UseCertificate(byte[] chainPem, byte[] keyPem)
    {
        var bio = OpenSsl.BIO_new_mem_buf(chainPem, chainPem.Length);
        var keyBio = OpenSsl.BIO_new_mem_buf(keyPem, keyPem.Length);
        try
        {
            var leaf = OpenSsl.PEM_read_bio_X509(bio, 0, 0, 0);
            if (leaf == 0)
                throw new InvalidOperationException($"the certificate chain is not PEM: {OpenSsl.TakeError()}");
            var ok = OpenSsl.SSL_CTX_use_certificate(Handle, leaf) == 1;
            OpenSsl.X509_free(leaf);
            for (var next = OpenSsl.PEM_read_bio_X509(bio, 0, 0, 0); next != 0; next = OpenSsl.PEM_read_bio_X509(bio, 0, 0, 0))
                OpenSsl.SSL_CTX_ctrl(Handle, OpenSsl.SSL_CTRL_EXTRA_CHAIN_CERT, 0, next);
            OpenSsl.ERR_clear_error();
            var key = OpenSsl.PEM_read_bio_PrivateKey(keyBio, 0, 0, 0);
            if (key == 0)
                throw new InvalidOperationException($"the private key is not PEM: {OpenSsl.TakeError()}");
            ok &= OpenSsl.SSL_CTX_use_PrivateKey(Handle, key) == 1;
            OpenSsl.EVP_PKEY_free(key);
            if (!ok || OpenSsl.SSL_CTX_check_private_key(Handle) != 1)
                throw new InvalidOperationException($"the private key does not belong to the certificate: {OpenSsl.TakeError()}");
        }
        finally
        {
            OpenSsl.BIO_free(bio);
            OpenSsl.BIO_free(keyBio);
        }
    }

    private void AddTrust(byte[] pem, bool isServer)
    {
        var bio = OpenSsl.BIO_new_mem_buf(pem, pem.Length);
        var store = OpenSsl.SSL_CTX_get_cert_store(Handle);
        var names = isServer ? OpenSsl.OPENSSL_sk_new_null() : 0;
        var count = 0;
        for (var ca = OpenSsl.PEM_read_bio_X509(bio, 0, 0, 0); ca != 0; ca = OpenSsl.PEM_read_bio_X509(bio, 0, 0, 0))
        {
            OpenSsl.X509_STORE_add_cert(store, ca);
            if (isServer)
                OpenSsl.OPENSSL_sk_push(names, OpenSsl.X509_NAME_dup(OpenSsl.X509_get_subject_name(ca)));
            OpenSsl.X509_free(ca);
            count++;
        }
        OpenSsl.ERR_clear_error();
        OpenSsl.BIO_free(bio);
        if (isServer)
            OpenSsl.SSL_CTX_set_client_CA_list(Handle, names);
        if (count == 0)
            throw new InvalidOperationException("the trusted CA bundle holds no PEM certificate");
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
