using System.Text;

namespace Tulle.Native;

/// <summary>A certificate chain and its key as the library holds them. A final certificate that vouches for itself is left out: a peer that trusts it has it.</summary>
internal sealed unsafe class LoadedCertificate
{
    /// <summary>Source: Envoy; shorter ones are refused by it too.</summary>
    private const int RsaBitsMin = 2048;

    private readonly List<nint> _chain = [];

    /// <exception cref="InvalidOperationException">Chain or key cannot be read, or do not belong together.</exception>
    public LoadedCertificate(SslCertificate source)
    {
        Names = source.ServerNames;
        try
        {
            foreach (var (label, der) in PemBlocks.Read(source.ChainPem, "the certificate chain"))
            {
                if (label is not ("CERTIFICATE" or "X509 CERTIFICATE" or "TRUSTED CERTIFICATE"))
                    continue;
                var x509 = Certificate(der);
                if (x509 == 0)
                    throw new InvalidOperationException($"block {_chain.Count + 1} of the certificate chain is no certificate: {OpenSsl.TakeError()}");
                _chain.Add(x509);
            }
            if (_chain.Count == 0)
                throw new InvalidOperationException("the certificate chain holds no PEM certificate");
            Key = ReadKey(source);
            CheckKey();
            if (_chain.Count > 1 && OpenSsl.X509_NAME_cmp(OpenSsl.X509_get_subject_name(_chain[^1]), OpenSsl.X509_get_issuer_name(_chain[^1])) == 0)
            {
                OpenSsl.X509_free(_chain[^1]);
                _chain.RemoveAt(_chain.Count - 1);
            }
        }
        catch
        {
            Free();
            throw;
        }
    }

    public nint Leaf => _chain[0];

    public nint Key { get; private set; }

    public int Kind { get; private set; }

    public IReadOnlyList<string> Names { get; }

    /// <summary>0 when the bytes are none. OpenSSL's own "trusted" form has a tail that is not looked at.</summary>
    public static nint Certificate(byte[] der)
    {
        fixed (byte* start = der)
        {
            var cursor = start;
            return OpenSsl.d2i_X509(0, ref cursor, der.Length);
        }
    }

    private static nint ReadKey(SslCertificate source)
    {
        if (source.KeyPem.Length == 0)
            throw new InvalidOperationException("the private key is missing");
        OpenSsl.ERR_clear_error();
        nint key;
        // The library reads from the array itself until it is done: the collector must not move it meanwhile. With a text for the user argument it takes
        // that for the password and never asks on the terminal.
        fixed (byte* pem = source.KeyPem, password = Encoding.UTF8.GetBytes(source.Password + '\0'))
        {
            var bio = OpenSsl.BIO_new_mem_buf(new ReadOnlySpan<byte>(pem, source.KeyPem.Length), source.KeyPem.Length);
            key = OpenSsl.PEM_read_bio_PrivateKey(bio, 0, 0, (nint)password);
            OpenSsl.BIO_free(bio);
        }
        if (key != 0)
            return key;
        var encrypted = source.KeyPem.AsSpan().IndexOf("ENCRYPTED"u8) >= 0;
        var why = OpenSsl.TakeError();
        throw new InvalidOperationException(!encrypted ? $"the private key is not PEM: {why}"
            : source.Password.Length == 0 ? $"the private key is encrypted and no password is given: {why}" : $"the password does not open the private key: {why}");
    }

    private void CheckKey()
    {
        Kind = OpenSslShims.KeyKind(Key);
        if (Kind == OpenSsl.EVP_PKEY_RSA && OpenSslShims.KeyBits(Key) is < RsaBitsMin and var bits)
            throw new InvalidOperationException($"the RSA key has {bits} bits; {RsaBitsMin} is the least");
        if (OpenSsl.X509_check_private_key(Leaf, Key) != 1)
            throw new InvalidOperationException($"the private key does not belong to the certificate: {OpenSsl.TakeError()}");
    }

    public bool UseIn(nint context)
    {
        var done = OpenSsl.SSL_CTX_use_certificate(context, Leaf) == 1 && OpenSsl.SSL_CTX_use_PrivateKey(context, Key) == 1;
        for (var i = 1; i < _chain.Count; i++)
            done &= OpenSslShims.AddChain(context, _chain[i]);
        return done;
    }

    public bool UseFor(nint ssl)
    {
        var done = OpenSsl.SSL_use_certificate(ssl, Leaf) == 1 && OpenSsl.SSL_use_PrivateKey(ssl, Key) == 1;
        for (var i = 1; i < _chain.Count; i++)
            done &= OpenSslShims.AddChainToConnection(ssl, _chain[i]);
        return done;
    }

    public void Free()
    {
        foreach (var x509 in _chain)
            OpenSsl.X509_free(x509);
        _chain.Clear();
        if (Key != 0)
            OpenSsl.EVP_PKEY_free(Key);
        Key = 0;
    }
}
