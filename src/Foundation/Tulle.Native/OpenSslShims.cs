using System.Text;

namespace Tulle.Native;

/// <summary>
/// What OpenSSL has as a command number or under another name, and BoringSSL and AWS-LC as a function: looked up once, so that any of the three can
/// stand behind <see cref="TlsLibrary"/>. Results are as OpenSSL gives them: 1 is good.
/// </summary>
internal static unsafe class OpenSslShims
{
    private static readonly delegate* unmanaged<nint, int, nint, nint, nint> s_contextControl = (delegate* unmanaged<nint, int, nint, nint, nint>)Find("SSL_CTX_ctrl");
    private static readonly delegate* unmanaged<nint, int, nint, nint, nint> s_control = (delegate* unmanaged<nint, int, nint, nint, nint>)Find("SSL_ctrl");
    private static readonly delegate* unmanaged<nint> s_newStack = (delegate* unmanaged<nint>)Find("OPENSSL_sk_new_null", "sk_new_null");
    private static readonly delegate* unmanaged<nint, nint, nint> s_push = (delegate* unmanaged<nint, nint, nint>)Find("OPENSSL_sk_push", "sk_push");
    private static readonly delegate* unmanaged<nint, nint> s_count = (delegate* unmanaged<nint, nint>)Find("OPENSSL_sk_num", "sk_num");
    private static readonly delegate* unmanaged<nint, nint, nint> s_item = (delegate* unmanaged<nint, nint, nint>)Find("OPENSSL_sk_value", "sk_value");
    private static readonly delegate* unmanaged<nint, void> s_freeStack = (delegate* unmanaged<nint, void>)Find("OPENSSL_sk_free", "sk_free");
    private static readonly delegate* unmanaged<nint, int> s_keyKind = (delegate* unmanaged<nint, int>)Find("EVP_PKEY_get_base_id", "EVP_PKEY_id");
    private static readonly delegate* unmanaged<nint, int> s_keyBits = (delegate* unmanaged<nint, int>)Find("EVP_PKEY_get_bits", "EVP_PKEY_bits");
    private static readonly delegate* unmanaged<nint, nint> s_peer = (delegate* unmanaged<nint, nint>)Find("SSL_get1_peer_certificate", "SSL_get_peer_certificate");

    private static nint Find(params ReadOnlySpan<string> names)
    {
        TlsLibrary.Load();
        return TlsLibrary.Export(names);
    }

    public static bool SetVersions(nint context, int min, int max) =>
        Number(context, 123, "SSL_CTX_set_min_proto_version", min) && Number(context, 124, "SSL_CTX_set_max_proto_version", max);

    public static void SetModes(nint context, int modes)
    {
        if (s_contextControl is not null)
            s_contextControl(context, 33, modes, 0);
        else
            ((delegate* unmanaged<nint, uint, uint>)Find("SSL_CTX_set_mode"))(context, (uint)modes);
    }

    /// <summary>No cache inside the library: what is kept for resumption is ours.</summary>
    public static void SetNoSessionCache(nint context)
    {
        if (s_contextControl is not null)
            s_contextControl(context, 44, 0, 0);
        else
            ((delegate* unmanaged<nint, int, int>)Find("SSL_CTX_set_session_cache_mode"))(context, 0);
    }

    public static bool SetGroups(nint context, string list) => List(context, 92, list, "SSL_CTX_set1_groups_list", "SSL_CTX_set1_curves_list");

    public static bool SetSignatureAlgorithms(nint context, string list) => List(context, 98, list, "SSL_CTX_set1_sigalgs_list");

    /// <summary>TLS 1.3 suites; BoringSSL has a fixed order and no such function.</summary>
    public static bool SetSuites(nint context, string list)
    {
        var set = (delegate* unmanaged<nint, byte*, int>)TlsLibrary.Export("SSL_CTX_set_ciphersuites");
        fixed (byte* text = Encoding.ASCII.GetBytes(list + '\0'))
            return set is null || set(context, text) == 1;
    }

    /// <summary>80 bytes: name, HMAC key, AES key.</summary>
    public static bool SetTicketKeys(nint context, ReadOnlySpan<byte> keys)
    {
        fixed (byte* start = keys)
            return s_contextControl is not null && s_contextControl(context, 59, keys.Length, (nint)start) == 1;
    }

    public static bool AddChain(nint context, nint x509) => s_contextControl is not null
        ? s_contextControl(context, 89, 1, x509) == 1
        : ((delegate* unmanaged<nint, nint, int>)Find("SSL_CTX_add1_chain_cert"))(context, x509) == 1;

    public static bool AddChainToConnection(nint ssl, nint x509) => s_control is not null
        ? s_control(ssl, 89, 1, x509) == 1
        : ((delegate* unmanaged<nint, nint, int>)Find("SSL_add1_chain_cert"))(ssl, x509) == 1;

    public static bool SetServerName(nint ssl, string name)
    {
        fixed (byte* text = Encoding.ASCII.GetBytes(name + '\0'))
        {
            return s_control is not null
                ? s_control(ssl, 55, 0, (nint)text) == 1
                : ((delegate* unmanaged<nint, byte*, int>)Find("SSL_set_tlsext_host_name"))(ssl, text) == 1;
        }
    }

    public static nint NewStack() => s_newStack();

    public static void Push(nint stack, nint item) => s_push(stack, item);

    /// <summary>0 for no stack. An int in OpenSSL, a size_t in BoringSSL: the low half is the same.</summary>
    public static int Count(nint stack) => stack == 0 ? 0 : Math.Max(0, (int)s_count(stack));

    public static nint Item(nint stack, int index) => s_item(stack, index);

    public static void FreeStack(nint stack) => s_freeStack(stack);

    /// <summary>EVP_PKEY_RSA, EVP_PKEY_EC or another.</summary>
    public static int KeyKind(nint key) => s_keyKind(key);

    public static int KeyBits(nint key) => s_keyBits(key);

    /// <summary>To be freed by the caller.</summary>
    public static nint PeerCertificate(nint ssl) => s_peer(ssl);

    /// <summary>An AES-GCM cipher; 0 when there is none. ChaCha20-Poly1305 is no EVP_CIPHER in BoringSSL.</summary>
    public static nint Cipher(string name, string function)
    {
        TlsLibrary.Load();
        var fetch = (delegate* unmanaged<nint, byte*, byte*, nint>)TlsLibrary.Export("EVP_CIPHER_fetch");
        if (fetch is not null)
        {
            fixed (byte* text = Encoding.ASCII.GetBytes(name + '\0'))
                return fetch(0, text, null);
        }
        var get = (delegate* unmanaged<nint>)TlsLibrary.Export(function);
        return get is null ? 0 : get();
    }

    private static bool Number(nint context, int command, string function, int value) => s_contextControl is not null
        ? s_contextControl(context, command, value, 0) == 1
        : ((delegate* unmanaged<nint, ushort, int>)Find(function))(context, (ushort)value) == 1;

    private static bool List(nint context, int command, string list, params ReadOnlySpan<string> functions)
    {
        fixed (byte* text = Encoding.ASCII.GetBytes(list + '\0'))
        {
            return s_contextControl is not null
                ? s_contextControl(context, command, 0, (nint)text) == 1
                : ((delegate* unmanaged<nint, byte*, int>)Find(functions))(context, text) == 1;
        }
    }
}
