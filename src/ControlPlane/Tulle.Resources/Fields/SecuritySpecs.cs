using static Tulle.Resources.SpecField;

namespace Tulle.Resources;

/// <summary>
/// security.istio.io/v1. What an AuthorizationPolicy or RequestAuthentication allows is not evaluated yet: all that it selects is closed, so none of its
/// conditions is obeyed by half.
/// </summary>
internal static class SecuritySpecs
{
    private static readonly SpecField s_selector = Of(new Spec("WorkloadSelector") { ["matchLabels"] = TextMap });

    private static readonly Spec s_target = new("PolicyTargetReference") { ["group"] = Text, ["kind"] = Text, ["name"] = Text, ["namespace"] = Text };

    private static readonly Spec s_mode = new("PeerAuthentication.MutualTLS") { ["mode"] = OneOf("UNSET", "DISABLE", "PERMISSIVE", "STRICT") };

    public static readonly Spec PeerAuthentication = new("PeerAuthentication")
    {
        ["mtls"] = Of(s_mode),
        ["portLevelMtls"] = MapOf(s_mode),
        ["selector"] = s_selector,
    };

    public static readonly Spec RequestAuthentication = new("RequestAuthentication")
    {
        ["jwtRules"] = ListOf(new Spec("JWTRule")
        {
            ["audiences"] = Texts,
            ["forwardOriginalToken"] = Flag,
            ["fromCookies"] = Texts,
            ["fromHeaders"] = ListOf(new Spec("JWTHeader") { ["name"] = Text, ["prefix"] = Text }),
            ["fromParams"] = Texts,
            ["issuer"] = Text,
            ["jwks"] = Text,
            ["jwksUri"] = Text,
            ["jwks_uri"] = Text,
            ["outputClaimToHeaders"] = ListOf(new Spec("ClaimToHeader") { ["claim"] = Text, ["header"] = Text }),
            ["outputPayloadToHeader"] = Text,
            ["spaceDelimitedClaims"] = Texts,
            ["timeout"] = Time,
        }),
        ["selector"] = s_selector,
        ["targetRef"] = Of(s_target),
        ["targetRefs"] = ListOf(s_target),
    };

    private static Spec Source()
    {
        var source = new Spec("Source");
        foreach (var name in new[] { "ipBlocks", "namespaces", "principals", "remoteIpBlocks", "requestPrincipals", "serviceAccounts", "trustDomains" })
        {
            source[name] = Texts;
            source["not" + char.ToUpperInvariant(name[0]) + name[1..]] = Texts;
        }
        return source;
    }

    private static Spec Operation()
    {
        var operation = new Spec("Operation");
        foreach (var name in new[] { "hosts", "methods", "paths", "ports" })
        {
            operation[name] = Texts;
            operation["not" + char.ToUpperInvariant(name[0]) + name[1..]] = Texts;
        }
        return operation;
    }

    public static readonly Spec AuthorizationPolicy = new("AuthorizationPolicy")
    {
        ["action"] = OneOf("ALLOW", "DENY", "AUDIT", "CUSTOM"),
        ["provider"] = Of(new Spec("ExtensionProvider") { ["name"] = Text }),
        ["rules"] = ListOf(new Spec("Rule")
        {
            ["from"] = ListOf(new Spec("Rule.From") { ["source"] = Of(Source()) }),
            ["to"] = ListOf(new Spec("Rule.To") { ["operation"] = Of(Operation()) }),
            ["when"] = ListOf(new Spec("Condition") { ["key"] = Text, ["notValues"] = Texts, ["values"] = Texts }),
        }),
        ["selector"] = s_selector,
        ["targetRef"] = Of(s_target),
        ["targetRefs"] = ListOf(s_target),
    };
}
