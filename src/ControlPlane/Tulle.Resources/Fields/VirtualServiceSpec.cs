using static Tulle.Resources.SpecField;

namespace Tulle.Resources;

/// <summary>networking.istio.io/v1 VirtualService.</summary>
internal static class VirtualServiceSpec
{
    private static readonly Spec s_string = new("StringMatch") { ["exact"] = Text, ["prefix"] = Text, ["regex"] = Text };

    private static readonly Spec s_port = new("PortSelector") { ["number"] = Port };

    private static readonly Spec s_destination = new("Destination") { ["host"] = Text, ["port"] = Of(s_port), ["subset"] = Text };

    private static readonly Spec s_percent = new("Percent") { ["value"] = Number };

    private static readonly Spec s_headerEdits = new("HeaderOperations") { ["add"] = TextMap, ["remove"] = Texts, ["set"] = TextMap };

    private static readonly Spec s_headers = new("Headers") { ["request"] = Of(s_headerEdits), ["response"] = Of(s_headerEdits) };

    private static readonly Spec s_httpMatch = new("HTTPMatchRequest")
    {
        ["authority"] = Of(s_string),
        ["gateways"] = Texts,
        ["headers"] = MapOf(s_string),
        ["ignoreUriCase"] = Flag,
        ["method"] = Of(s_string),
        ["name"] = Text,
        ["port"] = Port,
        ["queryParams"] = MapOf(s_string),
        ["scheme"] = Of(s_string),
        ["sourceLabels"] = TextMap,
        ["sourceNamespace"] = Text,
        ["statPrefix"] = Text.Warned("no statistics are kept under it"),
        ["uri"] = Of(s_string),
        ["withoutHeaders"] = MapOf(s_string),
    };

    private static readonly Spec s_cors = new("CorsPolicy")
    {
        ["allowCredentials"] = Flag,
        ["allowHeaders"] = Texts,
        ["allowMethods"] = Texts,
        ["allowOrigin"] = Texts,
        ["allowOrigins"] = ListOf(s_string),
        ["exposeHeaders"] = Texts,
        ["maxAge"] = Time,
        ["unmatchedPreflights"] = OneOf("UNSPECIFIED", "FORWARD", "IGNORE"),
    };

    private static readonly Spec s_fault = new("HTTPFaultInjection")
    {
        ["abort"] = Of(new Spec("HTTPFaultInjection.Abort")
        {
            ["grpcStatus"] = Text.Refused("aborting with a gRPC status is not supported yet; httpStatus is"),
            ["http2Error"] = Text.Refused("is not implemented, in Istio neither; httpStatus is"),
            ["httpStatus"] = Signed with { Min = 200, Max = 599 },
            ["percentage"] = Of(s_percent),
        }),
        ["delay"] = Of(new Spec("HTTPFaultInjection.Delay")
        {
            ["exponentialDelay"] = Time.Refused("is not implemented, in Istio neither; fixedDelay is"),
            ["fixedDelay"] = Time,
            ["percent"] = Signed with { Min = 0, Max = 100 },
            ["percentage"] = Of(s_percent),
        }),
    };

    private static readonly Spec s_http = new("HTTPRoute")
    {
        ["corsPolicy"] = Of(s_cors).Warned("preflight requests reach the application, and answers get no CORS fields"),
        ["delegate"] = Of(new Spec("Delegate") { ["name"] = Text, ["namespace"] = Text }).Refused("delegation is not supported yet"),
        ["directResponse"] = Of(new Spec("HTTPDirectResponse")
        {
            ["body"] = Of(new Spec("HTTPBody") { ["bytes"] = Text, ["string"] = Text }),
            ["status"] = Whole with { Min = 200, Max = 599 },
        }),
        ["fault"] = Of(s_fault),
        ["headers"] = Of(s_headers),
        ["match"] = ListOf(s_httpMatch),
        ["mirror"] = Of(s_destination),
        ["mirrorPercent"] = Whole with { Max = 100 },
        ["mirrorPercentage"] = Of(s_percent),
        ["mirror_percent"] = Whole.Refused("is written mirrorPercentage today"),
        ["mirrors"] = ListOf(new Spec("HTTPMirrorPolicy") { ["destination"] = Of(s_destination), ["percentage"] = Of(s_percent) }),
        ["name"] = Text,
        ["redirect"] = Of(new Spec("HTTPRedirect")
        {
            ["authority"] = Text,
            ["derivePort"] = OneOf("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT").Refused("the port of a redirect is not derived yet; write it"),
            ["port"] = Port,
            ["prefixRewrite"] = Text,
            ["redirectCode"] = Whole,
            ["scheme"] = Text,
            ["uri"] = Text,
        }),
        ["retries"] = Of(new Spec("HTTPRetry")
        {
            ["attempts"] = Signed with { Min = 0 },
            ["backoff"] = Time,
            ["perTryTimeout"] = Time,
            ["retryIgnorePreviousHosts"] = Flag,
            ["retryOn"] = Text,
            ["retryRemoteLocalities"] = Flag.Warned("retries stay in the priority that was chosen first"),
        }),
        ["rewrite"] = Of(new Spec("HTTPRewrite")
        {
            ["authority"] = Text,
            ["uri"] = Text,
            ["uriRegexRewrite"] = Of(new Spec("RegexRewrite") { ["match"] = Text, ["rewrite"] = Text }),
        }),
        ["route"] = ListOf(new Spec("HTTPRouteDestination") { ["destination"] = Of(s_destination), ["headers"] = Of(s_headers), ["weight"] = Signed with { Min = 0 } }),
        ["timeout"] = Time,
    };

    private static readonly SpecField s_routes = ListOf(new Spec("RouteDestination") { ["destination"] = Of(s_destination), ["weight"] = Signed with { Min = 0 } });

    private static Spec L4Match(bool isTls)
    {
        var match = new Spec(isTls ? "TLSMatchAttributes" : "L4MatchAttributes")
        {
            ["destinationSubnets"] = Texts.Refused("routing by destination address is not supported yet"),
            ["gateways"] = Texts,
            ["port"] = Port,
            ["sourceLabels"] = TextMap,
            ["sourceNamespace"] = Text,
        };
        if (isTls)
            match["sniHosts"] = Texts;
        else
            match["sourceSubnet"] = Text.Refused("is not implemented, in Istio neither");
        return match;
    }

    public static readonly Spec Spec = new("VirtualService")
    {
        ["exportTo"] = Texts,
        ["gateways"] = Texts,
        ["hosts"] = Texts,
        ["http"] = ListOf(s_http),
        ["tcp"] = ListOf(new Spec("TCPRoute") { ["match"] = ListOf(L4Match(isTls: false)), ["route"] = s_routes }),
        ["tls"] = ListOf(new Spec("TLSRoute") { ["match"] = ListOf(L4Match(isTls: true)), ["route"] = s_routes }),
    };
}
