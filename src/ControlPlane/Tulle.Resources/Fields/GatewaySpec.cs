using static Tulle.Resources.SpecField;

namespace Tulle.Resources;

/// <summary>networking.istio.io/v1 Gateway and ServiceEntry.</summary>
internal static class GatewaySpec
{
    private static readonly string[] s_versions = ["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"];

    private static readonly Spec s_tls = new("ServerTLSSettings")
    {
        ["caCertCredentialName"] = Text,
        ["caCertificates"] = Text,
        ["caCrl"] = Text,
        ["cipherSuites"] = Texts,
        ["credentialName"] = Text,
        ["credentialNames"] = Texts,
        ["httpsRedirect"] = Flag,
        ["insecureSkipVerify"] = Flag.Refused("client certificates are always verified"),
        ["maxProtocolVersion"] = OneOf(s_versions),
        ["minProtocolVersion"] = OneOf(s_versions),
        ["mode"] = OneOf("PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"),
        ["privateKey"] = Text,
        ["serverCertificate"] = Text,
        ["subjectAltNames"] = Texts,
        ["tlsCertificates"] = ListOf(new Spec("ServerTLSSettings.TLSCertificate") { ["caCertificates"] = Text, ["privateKey"] = Text, ["serverCertificate"] = Text })
            .Refused("several certificates from files are not supported yet; credentialNames are"),
        ["verifyCertificateHash"] = Texts,
        ["verifyCertificateSpki"] = Texts,
    };

    public static readonly Spec Gateway = new("Gateway")
    {
        ["selector"] = TextMap,
        ["servers"] = ListOf(new Spec("Server")
        {
            ["bind"] = Text.Refused("a server listens on all addresses of its pod; binding to one is not supported yet"),
            ["defaultEndpoint"] = Text.Warned("it has no effect in Istio either"),
            ["hosts"] = Texts,
            ["name"] = Text,
            ["port"] = Of(new Spec("Port")
            {
                ["name"] = Text,
                ["number"] = Port,
                ["protocol"] = Text,
                ["targetPort"] = Port.Warned("it has no effect in Istio either; the gateway's Service says it"),
            }),
            ["tls"] = Of(s_tls),
        }),
    };

    public static readonly Spec ServiceEntry = new("ServiceEntry")
    {
        ["addresses"] = Texts,
        ["endpoints"] = ListOf(new Spec("WorkloadEntry")
        {
            ["address"] = Text,
            ["labels"] = TextMap,
            ["locality"] = Text.Warned("endpoints of every locality are used alike"),
            ["network"] = Text.Warned("every endpoint is called directly"),
            ["ports"] = Port with { Shape = SpecShape.Map },
            ["serviceAccount"] = Text,
            ["weight"] = Whole,
        }),
        ["exportTo"] = Texts,
        ["hosts"] = Texts,
        ["location"] = OneOf("MESH_EXTERNAL", "MESH_INTERNAL"),
        ["ports"] = ListOf(new Spec("ServicePort") { ["name"] = Text, ["number"] = Port, ["protocol"] = Text, ["targetPort"] = Port }),
        ["resolution"] = OneOf("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"),
        ["subjectAltNames"] = Texts,
        ["workloadSelector"] = Of(new Spec("WorkloadSelector") { ["labels"] = TextMap }),
    };
}
