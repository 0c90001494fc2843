using Tulle.Base.Documents;

namespace Tulle.Sidecar;

/// <summary>tls_params. What the TLS library does not know of it is refused when its context is made.</summary>
internal sealed record TlsParameters(int Min, int Max, IReadOnlyList<string> Ciphers, IReadOnlyList<string> Groups, IReadOnlyList<string> SignatureAlgorithms, bool Fips)
{
    public static readonly TlsParameters Default = new(0x0303, 0x0304, [], [], [], false);

    /// <summary>IANA's names, which BoringSSL takes too.</summary>
    private static readonly Dictionary<string, string> s_registered = new(StringComparer.Ordinal)
    {
        ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"] = "ECDHE-ECDSA-AES128-GCM-SHA256",
        ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"] = "ECDHE-ECDSA-AES256-GCM-SHA384",
        ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"] = "ECDHE-ECDSA-CHACHA20-POLY1305",
        ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"] = "ECDHE-RSA-AES128-GCM-SHA256",
        ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"] = "ECDHE-RSA-AES256-GCM-SHA384",
        ["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"] = "ECDHE-RSA-CHACHA20-POLY1305",
    };

    public static TlsParameters Read(FieldReader? parameters)
    {
        if (parameters is null)
            return Default;
        var min = Version(parameters, "tls_minimum_protocol_version", 0x0303);
        var max = Version(parameters, "tls_maximum_protocol_version", 0x0304);
        var ciphers = new List<string>();
        foreach (var text in parameters.Texts("cipher_suites"))
        {
            // Groups in brackets ([a|b]) are BoringSSL's equal preference; OpenSSL takes them in order.
            ciphers.AddRange(text.Replace("[", "", StringComparison.Ordinal).Replace("]", "", StringComparison.Ordinal)
                .Split([':', '|'], StringSplitOptions.RemoveEmptyEntries).Select(c => s_registered.GetValueOrDefault(c, c)));
        }
        var policies = parameters.List("compliance_policies");
        if (policies.Count > 1 || (policies.Count == 1 && policies[0].AsText is not ("FIPS_202205" or "0")))
            parameters.Fail("compliance_policies", "only FIPS_202205, once, is known");
        var result = new TlsParameters(min, max, ciphers, parameters.Texts("ecdh_curves"), parameters.Texts("signature_algorithms"), policies.Count > 0);
        parameters.Done("is not supported by this proxy");
        if (min > max)
            parameters.Fail("tls_maximum_protocol_version", "is below tls_minimum_protocol_version: no handshake could succeed");
        return result;
    }

    /// <summary>TLS 1.0 and 1.1 are not spoken (RFC 8996): as a lower bound they mean 1.2, as an upper bound nothing would be left.</summary>
    private static int Version(FieldReader parameters, string field, int otherwise)
    {
        var text = parameters.Choice(field, "TLS_AUTO", "TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3");
        if (text is "TLSv1_0" or "TLSv1_1" && field == "tls_maximum_protocol_version")
            parameters.Fail(field, $"{text} is not spoken: RFC 8996 ended it");
        return text switch { "TLSv1_3" => 0x0304, "TLSv1_2" or "TLSv1_1" or "TLSv1_0" => 0x0303, _ => otherwise };
    }

    public string Describe() =>
        $"{Min}:{Max}:{string.Join(',', Ciphers)}:{string.Join(',', Groups)}:{string.Join(',', SignatureAlgorithms)}:{Fips}";
}
