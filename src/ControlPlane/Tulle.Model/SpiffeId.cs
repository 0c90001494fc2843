namespace Tulle.Model;

/// <summary>spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT, Istio's form of an identity.</summary>
public readonly record struct SpiffeId(string TrustDomain, string Namespace, string ServiceAccount)
{
    private const string Scheme = "spiffe://";

    public static bool TryParse(string text, out SpiffeId id)
    {
        id = default;
        if (!text.StartsWith(Scheme, StringComparison.Ordinal))
            return false;
        var parts = text[Scheme.Length..].Split('/');
        if (parts.Length != 5 || parts[1] != "ns" || parts[3] != "sa" || !Array.TrueForAll(parts, IsWord))
            return false;
        id = new SpiffeId(parts[0], parts[2], parts[4]);
        return true;
    }

    private static bool IsWord(string part) => part.Length > 0 && part.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_');

    public override string ToString() => $"{Scheme}{TrustDomain}/ns/{Namespace}/sa/{ServiceAccount}";
}
