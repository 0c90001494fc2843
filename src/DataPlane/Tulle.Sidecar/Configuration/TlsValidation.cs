using System.Globalization;
using System.Text;
using Tulle.Base.Documents;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>What peers are verified by, written in place, in a secret, or in both (combined_validation_context).</summary>
internal static class TlsValidation
{
    /// <summary>Null when nothing is written, or the secret is not here yet.</summary>
    public static ValidationConfig? Of(FieldReader common, ConversionContext context)
    {
        ValidationConfig? result = null;
        var missing = context.MissingSecrets.Count;
        var secrets = context.Secrets.Count;
        foreach (var name in (ReadOnlySpan<string>)["validation_context", "validation_context_sds_secret_config", "combined_validation_context"])
        {
            if (common.Child(name) is not { } written)
                continue;
            if (result is not null)
                common.Fail(name, "only one kind of validation context may be given");
            result = name switch
            {
                "validation_context" => Read(written, context),
                "validation_context_sds_secret_config" => TlsConverter.SecretOf(written, context)?.Validation,
                _ => Combined(written, context),
            };
        }
        if (result is not null && context.MissingSecrets.Count == missing)
            Judge(result, common);
        if (context.Secrets.Count > secrets && result is not { AcceptsUntrusted: true } and not { HasTrust: true } && context.MissingSecrets.Count == missing)
            common.Fail("", "the secret of the validation context brings no trusted_ca, and none is written in place: peers would not be verified");
        return result;
    }

    /// <summary>The secret is merged into the default as one message into another: lists are joined, what it says itself wins.</summary>
    private static ValidationConfig? Combined(FieldReader combined, ConversionContext context)
    {
        var defaults = combined.Child("default_validation_context") is { } written ? Read(written, context) : null;
        var dynamic = combined.Child("validation_context_sds_secret_config") is { } reference ? TlsConverter.SecretOf(reference, context)?.Validation : null;
        combined.Done("is not supported by this proxy");
        return defaults is null ? dynamic : dynamic is null ? defaults : defaults.MergedWith(dynamic);
    }

    /// <summary>Together they must make sense, whatever was written where.</summary>
    private static void Judge(ValidationConfig validation, FieldReader common)
    {
        if (validation.Sans.Count > 0 && !validation.HasTrust)
        {
            common.Fail("", "match_typed_subject_alt_names asks for names, and "
                + (validation.AcceptsUntrusted ? "ACCEPT_UNTRUSTED lets anybody write them into a certificate" : "without trusted_ca anybody can write them into a certificate"));
        }
        if (validation.RevocationPem is { Length: > 0 } && validation.TrustedCaPem is not { Length: > 0 })
            common.Fail("", "crl is given without a trusted_ca: revocation lists are checked against the CA that signed them");
    }

    public static ValidationConfig Read(FieldReader validation, ConversionContext context)
    {
        var accept = validation.Choice("trust_chain_verification", "VERIFY_TRUST_CHAIN", "VERIFY_TRUST_CHAIN", "ACCEPT_UNTRUSTED") == "ACCEPT_UNTRUSTED";
        var ca = ConversionContext.DataSource(validation.Child("trusted_ca"));
        if (ca is { Length: 0 })
            validation.Fail("trusted_ca", "is empty");
        var crl = ConversionContext.DataSource(validation.Child("crl"));
        var leafOnly = validation.Bool("only_verify_leaf_cert_crl", false);
        var expired = validation.Bool("allow_expired_certificate", false);
        var suppress = validation.Bool("suppress_client_ca_list", false);
        var depth = (int?)validation.Integer("max_verify_depth", 0, 100);
        var texts = new StringBuilder();
        var sans = Names(validation, context, texts);
        validation.Done("is not supported by this proxy");
        return new ValidationConfig
        {
            TrustedCaPem = ca,
            RevocationPem = crl,
            RevocationOfLeafOnly = leafOnly,
            AllowsExpired = expired,
            AcceptsUntrusted = accept,
            NamesNoAuthorities = suppress,
            DepthMax = depth,
            Sans = sans,
            ContentHash = ConversionContext.Hash(ca ?? [], crl ?? [], Encoding.UTF8.GetBytes(
                string.Create(CultureInfo.InvariantCulture, $"{leafOnly}|{expired}|{accept}|{suppress}|{depth}|{texts}"))),
        };
    }

    private static List<SanMatcher> Names(FieldReader validation, ConversionContext context, StringBuilder texts)
    {
        var sans = new List<SanMatcher>();
        foreach (var matcher in validation.Children("match_typed_subject_alt_names"))
        {
            var kind = matcher.Choice("san_type", "", "URI", "DNS", "EMAIL", "IP_ADDRESS", "OTHER_NAME");
            var oid = matcher.Text("oid", "");
            if (kind.Length == 0)
                matcher.Fail("san_type", "is required");
            if ((kind == "OTHER_NAME") != (oid.Length > 0))
                matcher.Fail("oid", kind == "OTHER_NAME" ? "is required for OTHER_NAME" : "is for OTHER_NAME only");
            if (MatcherConverter.Text(matcher.Child("matcher"), context) is { } text)
                sans.Add(new SanMatcher(kind, text, oid));
            else
                matcher.Fail("matcher", "is required");
            matcher.Done();
            texts.Append(matcher.Node);
        }
        foreach (var matcher in validation.Children("match_subject_alt_names"))
        {
            if (MatcherConverter.Text(matcher, context) is { } text)
                sans.Add(new SanMatcher(null, text));
            texts.Append(matcher.Node);
        }
        return sans;
    }
}
