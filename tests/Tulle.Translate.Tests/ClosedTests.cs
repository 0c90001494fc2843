using Tulle.Base.Documents;
using Tulle.ControlShared;
using Tulle.Model;
using Tulle.Xds;

namespace Tulle.Translate.Tests;

/// <summary>What cannot be enforced yet closes what it selects.</summary>
public class ClosedTests
{
    private const string Deny = "{ selector: { matchLabels: { app: web } }, action: DENY, rules: [ { from: [ { source: { principals: [x] } } ] } ] }";

    private static string Base => Meshes.Namespace() + Meshes.Service("web") + Meshes.Service("cart");

    private static ProxyView Proxy(MeshModel model, string name, string space = "shop", string labels = "") => ProxyView.Read(Node.Map(
        ("id", $"{(name == "gw" ? "router" : "sidecar")}~{model.Workloads.FirstOrDefault(w => w.OwnerName == name)?.Address ?? "9.9.9.9"}~{name}.{space}~d"),
        ("metadata", labels.Length == 0 ? null : Node.Map(("LABELS", Node.Map((labels.Split('=')[0], labels.Split('=')[1])))))), model)!;

    private static bool IsClosed(string policy, string name = "web") => Proxy(Meshes.Of(Base + policy), name).IsClosed;

    private static string Policy(string spec, string space = "shop", string kind = "AuthorizationPolicy") => Meshes.Istio(kind, "p", spec, space);

    [Theory]
    [InlineData(true, Deny)]
    [InlineData(true, "{ action: ALLOW, rules: [ { to: [ { operation: { methods: [GET] } } ] } ] }")]
    [InlineData(true, "{ }")]
    [InlineData(true, "{ action: CUSTOM, provider: { name: x }, rules: [ {} ] }")]
    [InlineData(true, "{ action: DENY, rules: [ {} ] }")]
    [InlineData(false, "{ action: DENY }")]
    [InlineData(false, "{ action: ALLOW, rules: [ {} ] }")]
    [InlineData(false, "{ action: AUDIT, rules: [ {} ] }")]
    public void A_policy_that_could_keep_somebody_out_closes(bool closed, string spec) => Assert.Equal(closed, IsClosed(Policy(spec)));

    [Theory]
    [InlineData(true, "{ jwtRules: [ { issuer: a, jwksUri: b } ] }")]
    [InlineData(false, "{ }")]
    public void A_request_authentication_with_rules_closes(bool closed, string spec) => Assert.Equal(closed, IsClosed(Policy(spec, kind: "RequestAuthentication")));

    [Theory]
    [InlineData("shop", Deny, true, false)]
    [InlineData("other", Deny, false, false)]
    [InlineData("istio-system", Deny, true, false)]
    [InlineData("istio-system", "{ action: DENY, rules: [ {} ] }", true, true)]
    [InlineData("shop", "{ action: DENY, rules: [ {} ] }", true, true)]
    [InlineData("shop", "{ targetRefs: [ { kind: Gateway, group: gateway.networking.k8s.io, name: g } ], action: DENY, rules: [ {} ] }", false, false)]
    public void It_closes_what_it_selects_and_nothing_else(string space, string spec, bool web, bool cart)
    {
        Assert.Equal(web, IsClosed(Policy(spec, space)));
        Assert.Equal(cart, IsClosed(Policy(spec, space), "cart"));
    }

    [Fact]
    public void A_dry_run_closes_nothing() => Assert.False(IsClosed(Policy(Deny).Replace("name: p,", "name: p, annotations: { istio.io/dry-run: \"true\" },", StringComparison.Ordinal)));

    [Fact]
    public void A_pod_does_not_open_itself_by_leaving_its_label_out() => Assert.True(Proxy(Meshes.Of(Base + Policy(Deny)), "web", labels: "app=other").IsClosed);

    [Fact]
    public void The_flag_opens_and_says_so()
    {
        var (model, findings) = Meshes.Read(Base + Policy(Deny), new MeshSettings { SimulatePods = true, AllowUnenforcedPolicies = true });
        Assert.False(Proxy(model, "web").IsClosed);
        Assert.Contains(findings.All, f => f.Message.Contains("NO effect", StringComparison.Ordinal) && f.Position.Line > 0);
        Assert.Contains(Meshes.Read(Base + Policy(Deny)).Findings.All, f => f.Message.Contains("is closed to everybody", StringComparison.Ordinal));
    }

    /// <summary>Every way in: HTTP, bytes, ports that no service names.</summary>
    [Fact]
    public void Nothing_leads_behind_a_closed_sidecar()
    {
        var model = Meshes.Of(Base + Meshes.Service("db", port: "tcp", number: 90) + Policy("{ action: DENY, rules: [ {} ] }"));
        foreach (var name in new[] { "web", "db" })
        {
            var inbound = Translator.Trees(model, Proxy(model, name), XdsTypes.Listener).Single(l => l["name"]!.AsText == "virtualInbound");
            Assert.All(inbound["filter_chains"]!.Items.SelectMany(c => c["filters"]!.Items), IsShut);
        }
    }

    [Fact]
    public void Nothing_leads_behind_a_closed_gateway()
    {
        const string Policies = "{ selector: { matchLabels: { istio: gw } }, action: DENY, rules: [ {} ] }";
        var gateway = Meshes.Istio("Gateway", "g", "{ selector: { istio: gw }, servers: [ { port: { number: 80, name: http, protocol: HTTP }, hosts: [\"*\"] }, { port: { number: 9000, name: tcp, protocol: TCP }, hosts: [\"*\"] } ] }");
        var rule = Meshes.Istio("VirtualService", "v", "{ hosts: [\"*\"], gateways: [g], http: [ { route: [ { destination: { host: web } } ] } ], tcp: [ { route: [ { destination: { host: web } } ] } ] }");
        var model = Meshes.Of(Base + gateway + rule + Policy(Policies));
        var proxy = Proxy(model, "gw", labels: "istio=gw");
        Assert.All(Translator.Trees(model, proxy, XdsTypes.Route).SelectMany(t => t["virtual_hosts"]!.Items).SelectMany(h => h["routes"]!.Items),
            r => Assert.Equal(403, r.At("direct_response", "status")!.AsInteger));
        Assert.All(Translator.Trees(model, proxy, XdsTypes.Listener).SelectMany(l => l["filter_chains"]!.Items).SelectMany(c => c["filters"]!.Items), IsShut);
    }

    private static void IsShut(Node filter)
    {
        var config = filter["typed_config"]!;
        if (config["cluster"] is { } cluster)
            Assert.Equal("BlackHoleCluster", cluster.AsText);
        foreach (var route in config.At("route_config", "virtual_hosts")?.Items.SelectMany(h => h["routes"]!.Items) ?? [])
            Assert.Equal(403, route.At("direct_response", "status")!.AsInteger);
    }
}
