using System.Runtime.InteropServices;

namespace Tulle.Native;

/// <summary>
/// libssl and libcrypto as declared in their headers. <see cref="TlsLibrary"/> says which file they are read from; functions that not every library
/// has are in <see cref="OpenSslShims"/>. No other file names their functions.
/// </summary>
public static unsafe partial class OpenSsl
{
    // A name that no file has: the resolver of TlsLibrary finds the handle. libcrypto is found through libssl, which depends on it.
    private const string Ssl = TlsLibrary.ImportName;
    private const string Crypto = TlsLibrary.ImportName;

    public const int SSL_ERROR_SSL = 1, SSL_ERROR_WANT_READ = 2, SSL_ERROR_WANT_WRITE = 3, SSL_ERROR_SYSCALL = 5, SSL_ERROR_ZERO_RETURN = 6;
    public const int SSL_VERIFY_PEER = 1, SSL_VERIFY_FAIL_IF_NO_PEER_CERT = 2;
    public const int SSL_MODE_ENABLE_PARTIAL_WRITE = 0x1, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER = 0x2, SSL_MODE_NO_AUTO_CHAIN = 0x8, SSL_MODE_RELEASE_BUFFERS = 0x10;
    public const ulong X509_V_FLAG_CRL_CHECK = 0x4, X509_V_FLAG_CRL_CHECK_ALL = 0x8, X509_V_FLAG_PARTIAL_CHAIN = 0x80000;
    public const int X509_V_OK = 0, X509_V_ERR_CERT_NOT_YET_VALID = 9, X509_V_ERR_CERT_HAS_EXPIRED = 10, X509_V_ERR_INVALID_PURPOSE = 26;
    public const int EVP_PKEY_RSA = 6, EVP_PKEY_EC = 408;
    public const uint KU_DIGITAL_SIGNATURE = 0x80;
    public const int TLS1_2 = 0x0303, TLS1_3 = 0x0304;
    public const int SSL_TLSEXT_ERR_OK = 0, SSL_TLSEXT_ERR_ALERT_FATAL = 2, SSL_TLSEXT_ERR_NOACK = 3;
    public const int EVP_CTRL_GCM_SET_IVLEN = 9, EVP_CTRL_GCM_GET_TAG = 0x10, EVP_CTRL_GCM_SET_TAG = 0x11;
    public const ulong SSL_OP_NO_TICKET = 1ul << 14, SSL_OP_NO_RENEGOTIATION = 1ul << 30, SSL_OP_CIPHER_SERVER_PREFERENCE = 1ul << 22,
        SSL_OP_NO_COMPRESSION = 1ul << 17, SSL_OP_IGNORE_UNEXPECTED_EOF = 1ul << 7, SSL_OP_NO_TX_CERTIFICATE_COMPRESSION = 1ul << 32,
        SSL_OP_NO_RX_CERTIFICATE_COMPRESSION = 1ul << 33;

    [LibraryImport(Ssl)] public static partial nint TLS_method();
    [LibraryImport(Ssl)] public static partial nint SSL_CTX_new(nint method);
    [LibraryImport(Ssl)] public static partial void SSL_CTX_free(nint context);
    [LibraryImport(Ssl)] public static partial ulong SSL_CTX_set_options(nint context, ulong options);
    [LibraryImport(Ssl)] public static partial int SSL_CTX_use_certificate(nint context, nint x509);
    [LibraryImport(Ssl)] public static partial int SSL_CTX_use_PrivateKey(nint context, nint key);
    [LibraryImport(Ssl)] public static partial void SSL_CTX_set_verify(nint context, int mode, nint callback);
    [LibraryImport(Ssl)] public static partial nint SSL_CTX_get_cert_store(nint context);
    [LibraryImport(Ssl)] public static partial void SSL_CTX_set_client_CA_list(nint context, nint names);
    [LibraryImport(Ssl)] public static partial void SSL_CTX_set_alpn_select_cb(nint context, delegate* unmanaged<nint, byte**, byte*, byte*, uint, nint, int> callback, nint argument);
    [LibraryImport(Ssl)] public static partial void SSL_CTX_set_keylog_callback(nint context, delegate* unmanaged<nint, byte*, void> callback);
    [LibraryImport(Ssl, StringMarshalling = StringMarshalling.Utf8)] public static partial int SSL_CTX_set_cipher_list(nint context, string list);
    [LibraryImport(Ssl)] public static partial int SSL_CTX_set_session_id_context(nint context, ReadOnlySpan<byte> id, uint length);
    [LibraryImport(Ssl)] public static partial int SSL_CTX_set_num_tickets(nint context, nuint count);
    [LibraryImport(Ssl)] public static partial void SSL_CTX_sess_set_new_cb(nint context, delegate* unmanaged<nint, nint, int> callback);
    [LibraryImport(Ssl)] public static partial void SSL_CTX_set_cert_verify_callback(nint context, delegate* unmanaged<nint, nint, int> callback, nint argument);
    [LibraryImport(Ssl)] public static partial void SSL_CTX_set_cert_cb(nint context, delegate* unmanaged<nint, nint, int> callback, nint argument);
    [LibraryImport(Ssl)] public static partial void SSL_CTX_set_verify_depth(nint context, int depth);
    [LibraryImport(Ssl)] public static partial nint SSL_CTX_set_timeout(nint context, nint seconds);
    [LibraryImport(Ssl)] public static partial void SSL_certs_clear(nint ssl);
    [LibraryImport(Ssl)] public static partial int SSL_use_certificate(nint ssl, nint x509);
    [LibraryImport(Ssl)] public static partial int SSL_use_PrivateKey(nint ssl, nint key);
    [LibraryImport(Ssl)] public static partial nint SSL_get_certificate(nint ssl);
    [LibraryImport(Ssl)] public static partial nint SSL_new(nint context);
    [LibraryImport(Ssl)] public static partial void SSL_free(nint ssl);
    [LibraryImport(Ssl)] public static partial void SSL_set_bio(nint ssl, nint read, nint write);
    [LibraryImport(Ssl)] public static partial void SSL_set_accept_state(nint ssl);
    [LibraryImport(Ssl)] public static partial void SSL_set_connect_state(nint ssl);
    [LibraryImport(Ssl)] public static partial int SSL_do_handshake(nint ssl);
    [LibraryImport(Ssl)] public static partial int SSL_get_error(nint ssl, int result);
    [LibraryImport(Ssl)] public static partial int SSL_read(nint ssl, Span<byte> buffer, int count);
    [LibraryImport(Ssl)] public static partial int SSL_write(nint ssl, ReadOnlySpan<byte> buffer, int count);
    [LibraryImport(Ssl)] public static partial int SSL_pending(nint ssl);
    [LibraryImport(Ssl)] public static partial int SSL_shutdown(nint ssl);
    [LibraryImport(Ssl)] public static partial void SSL_set_shutdown(nint ssl, int mode);
    [LibraryImport(Ssl)] public static partial void SSL_get0_alpn_selected(nint ssl, out nint data, out uint length);
    [LibraryImport(Ssl)] public static partial int SSL_set_alpn_protos(nint ssl, ReadOnlySpan<byte> protocols, uint length);
    [LibraryImport(Ssl)] public static partial int SSL_version(nint ssl);
    [LibraryImport(Ssl)] public static partial nint SSL_get_current_cipher(nint ssl);
    [LibraryImport(Ssl)] public static partial ushort SSL_CIPHER_get_protocol_id(nint cipher);
    [LibraryImport(Ssl)] public static partial nint SSL_CIPHER_get_name(nint cipher);
    [LibraryImport(Ssl)] public static partial nint SSL_get_peer_cert_chain(nint ssl);
    [LibraryImport(Ssl)] public static partial nint SSL_get_servername(nint ssl, int type);
    [LibraryImport(Ssl)] public static partial nint SSL_get_verify_result(nint ssl);
    [LibraryImport(Ssl)] public static partial int SSL_session_reused(nint ssl);
    [LibraryImport(Ssl)] public static partial int SSL_set_session(nint ssl, nint session);
    [LibraryImport(Ssl)] public static partial nint SSL_get1_session(nint ssl);
    [LibraryImport(Ssl)] public static partial int SSL_SESSION_is_resumable(nint session);
    [LibraryImport(Ssl)] public static partial void SSL_SESSION_free(nint session);
    [LibraryImport(Ssl)] public static partial nint SSL_get_SSL_CTX(nint ssl);

    [LibraryImport(Crypto)] public static partial nint BIO_s_mem();
    [LibraryImport(Crypto)] public static partial nint BIO_new(nint method);
    [LibraryImport(Crypto)] public static partial nint BIO_new_mem_buf(ReadOnlySpan<byte> data, int length);
    [LibraryImport(Crypto)] public static partial int BIO_free(nint bio);
    [LibraryImport(Crypto)] public static partial int BIO_write(nint bio, ReadOnlySpan<byte> data, int length);
    [LibraryImport(Crypto)] public static partial int BIO_read(nint bio, Span<byte> data, int length);
    [LibraryImport(Crypto)] public static partial nuint BIO_ctrl_pending(nint bio);
    [LibraryImport(Crypto)] public static partial nint PEM_read_bio_X509(nint bio, nint x, nint callback, nint user);
    [LibraryImport(Crypto)] public static partial nint PEM_read_bio_PrivateKey(nint bio, nint x, nint callback, nint user);
    [LibraryImport(Crypto)] public static partial nint d2i_X509(nint reuse, ref byte* der, nint length);
    [LibraryImport(Crypto)] public static partial nint d2i_X509_CRL(nint reuse, ref byte* der, nint length);
    [LibraryImport(Crypto)] public static partial void X509_CRL_free(nint crl);
    [LibraryImport(Crypto)] public static partial nint X509_CRL_get0_nextUpdate(nint crl);
    [LibraryImport(Crypto)] public static partial nint X509_get0_notBefore(nint x509);
    [LibraryImport(Crypto)] public static partial nint X509_get0_notAfter(nint x509);
    [LibraryImport(Crypto)] public static partial int ASN1_TIME_diff(int* days, int* seconds, nint from, nint to);
    [LibraryImport(Crypto)] public static partial nint X509_get_pubkey(nint x509);
    [LibraryImport(Crypto)] public static partial uint X509_get_key_usage(nint x509);
    [LibraryImport(Crypto)] public static partial nint X509_get_issuer_name(nint x509);
    [LibraryImport(Crypto)] public static partial int X509_NAME_cmp(nint a, nint b);
    [LibraryImport(Crypto)] public static partial void X509_NAME_free(nint name);
    [LibraryImport(Crypto)] public static partial int X509_check_private_key(nint x509, nint key);
    [LibraryImport(Crypto)] public static partial int X509_STORE_add_cert(nint store, nint x509);
    [LibraryImport(Crypto)] public static partial int X509_STORE_add_crl(nint store, nint crl);
    [LibraryImport(Crypto)] public static partial int X509_STORE_set_flags(nint store, ulong flags);
    [LibraryImport(Crypto)] public static partial void X509_STORE_set_verify_cb(nint store, delegate* unmanaged<int, nint, int> callback);
    [LibraryImport(Crypto)] public static partial int X509_verify_cert(nint storeContext);
    [LibraryImport(Crypto)] public static partial nint X509_STORE_CTX_get0_cert(nint storeContext);
    [LibraryImport(Crypto)] public static partial nint X509_STORE_CTX_get0_untrusted(nint storeContext);
    [LibraryImport(Crypto)] public static partial nint X509_STORE_CTX_get0_chain(nint storeContext);
    [LibraryImport(Crypto)] public static partial int X509_STORE_CTX_get_error(nint storeContext);
    [LibraryImport(Crypto)] public static partial void X509_STORE_CTX_set_error(nint storeContext, int error);
    [LibraryImport(Crypto)] public static partial nint OpenSSL_version(int what);
    [LibraryImport(Crypto)] public static partial nuint OpenSSL_version_num();
    [LibraryImport(Crypto)] public static partial nint X509_get_subject_name(nint x509);
    [LibraryImport(Crypto)] public static partial int i2d_X509(nint x509, ref byte* output);
    [LibraryImport(Crypto, EntryPoint = "i2d_X509")] public static partial int i2d_X509_length(nint x509, nint output);
    [LibraryImport(Crypto)] public static partial void X509_free(nint x509);
    [LibraryImport(Crypto)] public static partial void EVP_PKEY_free(nint key);
    [LibraryImport(Crypto)] public static partial nint X509_NAME_dup(nint name);
    [LibraryImport(Crypto)] public static partial nint X509_verify_cert_error_string(nint code);
    [LibraryImport(Crypto)] public static partial ulong ERR_get_error();
    [LibraryImport(Crypto)] public static partial void ERR_clear_error();
    [LibraryImport(Crypto)] public static partial void ERR_error_string_n(ulong error, Span<byte> buffer, nuint length);

    [LibraryImport(Crypto)] public static partial nint EVP_CIPHER_CTX_new();
    [LibraryImport(Crypto)] public static partial void EVP_CIPHER_CTX_free(nint context);
    [LibraryImport(Crypto)] public static partial int EVP_CipherInit_ex(nint context, nint cipher, nint engine, ReadOnlySpan<byte> key, ReadOnlySpan<byte> iv, int encrypt);
    [LibraryImport(Crypto)] public static partial int EVP_CipherUpdate(nint context, byte* output, int* written, byte* input, int length);
    [LibraryImport(Crypto)] public static partial int EVP_CipherFinal_ex(nint context, byte* output, int* written);
    [LibraryImport(Crypto)] public static partial int EVP_CIPHER_CTX_ctrl(nint context, int type, int argument, byte* pointer);

    /// <summary>The DER bytes of a certificate.</summary>
    public static byte[] CertificateBytes(nint x509)
    {
        var length = i2d_X509_length(x509, 0);
        if (length <= 0)
            return [];
        var der = new byte[length];
        fixed (byte* start = der)
        {
            var cursor = start;
            _ = i2d_X509(x509, ref cursor);
        }
        return der;
    }

    /// <summary>Copies native bytes.</summary>
    public static byte[] Copy(nint data, int length) => new ReadOnlySpan<byte>((void*)data, length).ToArray();

    public static string TextAt(nint utf8) => Marshal.PtrToStringUTF8(utf8) ?? "";

    /// <summary>Takes the oldest error off this thread's queue and clears the rest.</summary>
    public static string TakeError()
    {
        var code = ERR_get_error();
        if (code == 0)
            return "";
        ERR_clear_error();
        Span<byte> text = stackalloc byte[256];
        ERR_error_string_n(code, text, (nuint)text.Length);
        var end = text.IndexOf((byte)0);
        return System.Text.Encoding.ASCII.GetString(end < 0 ? text : text[..end]);
    }
}
