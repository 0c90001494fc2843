using Tulle.Base;

namespace Tulle.Native;

public enum HandshakeStatus : byte
{
    WantRead,
    Done,
    Failed,
}

/// <summary>
/// One TLS connection of libssl over memory BIOs: bytes in, bytes out, then secrets, peer certificate and ALPN. This is the seam behind which another
/// handshake can stand. After a TLS 1.3 handshake only the secrets are taken from it; TLS 1.2 goes on through <see cref="Read"/> and <see cref="Write"/>.
/// </summary>
public sealed class SslSession : IDisposable
{
    [ThreadStatic]
    private static SslSession? s_current;

    private readonly SslContext _context;
    private readonly nint _in;
    private readonly nint _out;
    private nint _ssl;

    public SslSession(SslContext context, string? serverName, byte[]? alpnWire, SslResumption? resumption)
    {
        _context = context;
        _ssl = OpenSsl.SSL_new(context.Handle);
        _in = OpenSsl.BIO_new(OpenSsl.BIO_s_mem());
        _out = OpenSsl.BIO_new(OpenSsl.BIO_s_mem());
        OpenSsl.SSL_set_bio(_ssl, _in, _out);
        if (context.IsServer)
        {
            OpenSsl.SSL_set_accept_state(_ssl);
            return;
        }
        OpenSsl.SSL_set_connect_state(_ssl);
        if (!string.IsNullOrEmpty(serverName))
            OpenSslShims.SetServerName(_ssl, serverName);
        if (alpnWire is { Length: > 0 })
            OpenSsl.SSL_set_alpn_protos(_ssl, alpnWire, (uint)alpnWire.Length);
        resumption?.Offer(_ssl);
    }

    /// <summary>The session whose library call runs on this thread: OpenSSL's callbacks carry no argument of ours.</summary>
    internal static SslSession? Current => s_current;

    public byte[] ClientSecret { get; private set; } = [];

    public byte[] ServerSecret { get; private set; } = [];

    /// <summary>Why the handshake failed, in OpenSSL's words.</summary>
    public string Error { get; private set; } = "";

    public bool IsTls13 => OpenSsl.SSL_version(_ssl) == OpenSsl.TLS1_3;

    public string Version => OpenSsl.SSL_version(_ssl) switch { OpenSsl.TLS1_3 => "TLSv1.3", OpenSsl.TLS1_2 => "TLSv1.2", _ => "TLS" };

    /// <summary>The two-byte suite number, for example 0x1301.</summary>
    public int CipherSuite => OpenSsl.SSL_CIPHER_get_protocol_id(OpenSsl.SSL_get_current_cipher(_ssl));

    public string CipherName => OpenSsl.TextAt(OpenSsl.SSL_CIPHER_get_name(OpenSsl.SSL_get_current_cipher(_ssl)));

    public bool IsResumed => OpenSsl.SSL_session_reused(_ssl) == 1;

    public string Alpn
    {
        get
        {
            OpenSsl.SSL_get0_alpn_selected(_ssl, out var data, out var length);
            return length == 0 ? "" : System.Text.Encoding.ASCII.GetString(OpenSsl.Copy(data, (int)length));
        }
    }

    /// <summary>DER of the peer's leaf; empty when it sent none.</summary>
    public byte[] PeerCertificate()
    {
        var x509 = OpenSslShims.PeerCertificate(_ssl);
        if (x509 == 0)
            return [];
        var der = OpenSsl.CertificateBytes(x509);
        OpenSsl.X509_free(x509);
        return der;
    }

    /// <summary>Certificates that the peer sent; a server does not count its client's own. Those of a resumed session are not sent.</summary>
    public int PeerChainLength => OpenSslShims.Count(OpenSsl.SSL_get_peer_cert_chain(_ssl));

    /// <summary>The name that the client asked for (SNI); empty when it asked for none.</summary>
    public string AskedName => OpenSsl.SSL_get_servername(_ssl, 0) is not 0 and var name ? OpenSsl.TextAt(name) : "";

    /// <summary>Which of its certificates this side showed, as an index into those of the context.</summary>
    public int OwnCertificate => _context.IndexOf(OpenSsl.SSL_get_certificate(_ssl));

    public HandshakeStatus Handshake()
    {
        s_current = this;
        var result = OpenSsl.SSL_do_handshake(_ssl);
        s_current = null;
        if (result == 1)
            return HandshakeStatus.Done;
        var error = OpenSsl.SSL_get_error(_ssl, result);
        if (error is OpenSsl.SSL_ERROR_WANT_READ or OpenSsl.SSL_ERROR_WANT_WRITE)
            return HandshakeStatus.WantRead;
        Error = OpenSsl.TakeError();
        var verify = OpenSsl.SSL_get_verify_result(_ssl);
        if (verify != 0)
            Error = $"{Error}: {OpenSsl.TextAt(OpenSsl.X509_verify_cert_error_string(verify))}";
        return HandshakeStatus.Failed;
    }

    public void Feed(ReadOnlySpan<byte> received) => OpenSsl.BIO_write(_in, received, received.Length);

    /// <summary>Takes bytes that libssl wants sent; 0 when there are none.</summary>
    public int Drain(Span<byte> target)
    {
        if (OpenSsl.BIO_ctrl_pending(_out) == 0)
            return 0;
        return Math.Max(0, OpenSsl.BIO_read(_out, target, target.Length));
    }

    public int DrainPending => (int)OpenSsl.BIO_ctrl_pending(_out);

    /// <summary>Decrypted bytes that libssl still holds.</summary>
    public int Pending => _ssl == 0 ? 0 : OpenSsl.SSL_pending(_ssl);

    /// <summary>Decrypts: &gt; 0 bytes, 0 at close_notify, −EAGAIN when more input is needed, another negative number on an error.</summary>
    public int Read(Span<byte> target)
    {
        // SSL_get_error looks into this thread's error queue, and SSL_read does not clear it: what another connection left there would end this one.
        OpenSsl.ERR_clear_error();
        s_current = this;
        var result = OpenSsl.SSL_read(_ssl, target, target.Length);
        s_current = null;
        if (result > 0)
            return result;
        switch (OpenSsl.SSL_get_error(_ssl, result))
        {
            case OpenSsl.SSL_ERROR_WANT_READ:
            case OpenSsl.SSL_ERROR_WANT_WRITE:
                return -Errno.EAGAIN;
            case OpenSsl.SSL_ERROR_ZERO_RETURN:
                return 0;
            default:
                Error = OpenSsl.TakeError();
                return -Errno.ECONNRESET;
        }
    }

    public int Write(ReadOnlySpan<byte> plaintext)
    {
        OpenSsl.ERR_clear_error();
        var result = OpenSsl.SSL_write(_ssl, plaintext, plaintext.Length);
        if (result > 0)
            return result;
        Error = OpenSsl.TakeError();
        return -Errno.ECONNRESET;
    }

    public void SendCloseNotify()
    {
        _ = OpenSsl.SSL_shutdown(_ssl);
        OpenSsl.ERR_clear_error();
    }

    /// <summary>Keeps the newest session for the next connection.</summary>
    public void SaveTo(SslResumption resumption) => resumption.Store(OpenSsl.SSL_get1_session(_ssl));

    internal void TakeKeyLog(ReadOnlySpan<byte> line)
    {
        if (line.StartsWith("CLIENT_TRAFFIC_SECRET_0 "u8))
            ClientSecret = LastHex(line);
        else if (line.StartsWith("SERVER_TRAFFIC_SECRET_0 "u8))
            ServerSecret = LastHex(line);
    }

    private static byte[] LastHex(ReadOnlySpan<byte> line) => Convert.FromHexString(line[(line.LastIndexOf((byte)' ') + 1)..]);

    /// <summary>For a connection that was abandoned in the middle of its handshake: native memory must not wait for an end that never comes.</summary>
    ~SslSession()
    {
        if (_ssl != 0)
            OpenSsl.SSL_free(_ssl);
    }

    public void Dispose()
    {
        GC.SuppressFinalize(this);
        if (_ssl != 0)
        {
            // Otherwise libssl takes the connection for broken and marks its session, which may be kept for the next one, as not resumable.
            OpenSsl.SSL_set_shutdown(_ssl, 3);
            OpenSsl.SSL_free(_ssl);
        }
        _ssl = 0;
        GC.KeepAlive(_context);
    }
}

/// <summary>The session ticket a client keeps for one upstream verification context. One loop uses one.</summary>
public sealed class SslResumption
{
    private nint _session;

    ~SslResumption()
    {
        if (_session != 0)
            OpenSsl.SSL_SESSION_free(_session);
    }

    public bool IsKept => _session != 0;

    internal void Offer(nint ssl)
    {
        if (_session != 0)
            _ = OpenSsl.SSL_set_session(ssl, _session);
    }

    internal void Store(nint session)
    {
        if (session == 0)
            return;
        if (OpenSsl.SSL_SESSION_is_resumable(session) != 1)
        {
            OpenSsl.SSL_SESSION_free(session);
            return;
        }
        if (_session != 0)
            OpenSsl.SSL_SESSION_free(_session);
        _session = session;
    }
}
