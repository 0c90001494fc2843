using Tulle.Base.Documents;

namespace Tulle.Resources.Tests;

/// <summary>Every field of Istio's kinds has a type and a word; what is mistyped or not obeyed is told with file, line and path.</summary>
public class SpecCheckTests
{
    private static Diagnostics Read(string kind, string spec)
    {
        var findings = new Diagnostics();
        var group = kind is "PeerAuthentication" or "AuthorizationPolicy" or "RequestAuthentication" ? "security" : "networking";
        new ResourceReader(new ResourceSet(), findings).Read($"apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{ name: a }}\nspec: {spec}\n", "a.yaml");
        return findings;
    }

    private const string Route = "route: [ { destination: { host: a } } ]";

    private static string Http(string more) => $"{{ hosts: [a], http: [ {{ {Route}, {more} }} ] }}";

    [Theory]
    [InlineData("directResponse: { status: abc }", "spec.http[0].directResponse.status")]
    [InlineData("headers: { request: { remove: x-a } }", "spec.http[0].headers.request.remove")]
    [InlineData("redirect: { port: x }", "spec.http[0].redirect.port")]
    [InlineData("fault: { abort: { httpStatus: x } }", "spec.http[0].fault.abort.httpStatus")]
    [InlineData("fault: { delay: { fixedDelay: soon } }", "spec.http[0].fault.delay.fixedDelay")]
    [InlineData("retries: { attempts: many }", "spec.http[0].retries.attempts")]
    [InlineData("retries: { attempt: 3 }", "spec.http[0].retries.attempt")]
    [InlineData("rewrite: { uriRegexRewrite: { match: { a: b } } }", "spec.http[0].rewrite.uriRegexRewrite.match")]
    [InlineData("match: [ { headers: { x: y } } ]", "spec.http[0].match[0].headers[x]")]
    [InlineData("timeout: -1s", "spec.http[0].timeout")]
    public void B02_a_mistyped_field_of_a_rule_is_told_at_its_place(string field, string path)
    {
        var error = Assert.Single(Read("VirtualService", Http(field)).All, f => f.Severity == Severity.Error);
        Assert.Equal(path, error.Path);
        Assert.Equal("a.yaml:4", error.Position.ToString());
    }

    [Theory]
    [InlineData("VirtualService", "{ hosts: [a], http: [ { " + Route + ", corsPolicy: { maxAge: 1s } } ] }", Severity.Warning, "spec.http[0].corsPolicy")]
    [InlineData("VirtualService", "{ hosts: [a], http: [ { " + Route + ", fault: { abort: { grpcStatus: OK } } } ] }", Severity.Error, "spec.http[0].fault.abort.grpcStatus")]
    [InlineData("VirtualService", "{ hosts: [a], tcp: [ { " + Route + ", match: [ { destinationSubnets: [1.2.3.4/8] } ] } ] }", Severity.Error, "spec.tcp[0].match[0].destinationSubnets")]
    [InlineData("VirtualService", "{ hosts: [a], tls: [ { " + Route + ", match: [ { sniHosts: [a] } ] } ] }", Severity.Error, "spec.tls")]
    [InlineData("DestinationRule", "{ host: a, trafficPolicy: { tunnel: { protocol: CONNECT, targetHost: a, targetPort: 1 } } }", Severity.Error, "spec.trafficPolicy.tunnel")]
    [InlineData("DestinationRule", "{ host: a, trafficPolicy: { loadBalancer: { consistentHash: { useSourceIp: true } } } }", Severity.Warning, "spec.trafficPolicy.loadBalancer.consistentHash")]
    [InlineData("DestinationRule", "{ host: a, subsets: [ { name: v, trafficPolicy: { connectionPool: { tcp: { idleTimeout: 1h } } } } ] }", Severity.Warning, "spec.subsets[0].trafficPolicy.connectionPool.tcp.idleTimeout")]
    [InlineData("DestinationRule", "{ host: a, trafficPolicy: { portLevelSettings: [ { port: { number: 80 }, outlierDetection: { splitExternalLocalOriginErrors: true } } ] } }", Severity.Warning, "spec.trafficPolicy.portLevelSettings[0].outlierDetection.splitExternalLocalOriginErrors")]
    [InlineData("Gateway", "{ servers: [ { port: { number: 80, name: a, protocol: HTTP }, hosts: [a], bind: 1.2.3.4 } ] }", Severity.Error, "spec.servers[0].bind")]
    public void What_is_not_obeyed_is_told(string kind, string spec, Severity severity, string path) =>
        Assert.Contains(Read(kind, spec).All, f => f.Severity == severity && f.Path == path && f.Position.Line == 4);

    [Theory]
    [InlineData("DestinationRule", "{ host: a, trafficPolicy: { tls: { mode: MUTUAL } } }", "spec.trafficPolicy.tls")]
    [InlineData("DestinationRule", "{ host: a, trafficPolicy: { tls: { mode: ISTIO_MUTUAL, clientCertificate: /c } } }", "spec.trafficPolicy.tls")]
    [InlineData("DestinationRule", "{ host: a, trafficPolicy: { portLevelSettings: [ { port: { number: 1 }, tls: { mode: MUTUAL, clientCertificate: /c } } ] } }", "spec.trafficPolicy.portLevelSettings[0].tls")]
    public void A01_tls_that_lacks_its_parts_is_an_error(string kind, string spec, string path) =>
        Assert.Contains(Read(kind, spec).All, f => f.Severity == Severity.Error && f.Path == path);

    /// <summary>The tables themselves: whatever is not obeyed says why, and what holds a message says which.</summary>
    [Fact]
    public void Every_entry_says_what_it_must()
    {
        foreach (var spec in new[] { VirtualServiceSpec.Spec, DestinationRuleSpec.Spec, GatewaySpec.Gateway, GatewaySpec.ServiceEntry, SecuritySpecs.PeerAuthentication, SecuritySpecs.RequestAuthentication, SecuritySpecs.AuthorizationPolicy })
            Check(spec);
    }

    private static void Check(Spec spec)
    {
        Assert.NotEmpty(spec.Fields);
        foreach (var (name, field) in spec.Fields)
        {
            Assert.True(field.Word == FieldWord.Obeyed || field.Reason.Length > 0, $"{spec.Name}.{name} gives no reason");
            Assert.Equal(field.Type == SpecType.Object, field.Message is not null);
            if (field.Message is { } message)
                Check(message);
        }
    }
}
