using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Translate;
using Tulle.Xds;

namespace Tulle.Control.Tests;

/// <summary>A2: a node is who its caller is proven to be.</summary>
public class CallerRulesTests
{
    private static Node Node(string id, string? space = null, string? account = null) =>
        Base.Documents.Node.Map(("id", id), ("metadata", Base.Documents.Node.Map(("NAMESPACE", space), ("SERVICE_ACCOUNT", account))));

    private static Workload Pod(string space, string account, string network = "") => new()
    {
        Name = "p",
        Namespace = space,
        Address = "1.2.3.4",
        Labels = new Dictionary<string, string>(),
        ServiceAccount = account,
        Annotations = network.Length > 0 ? new Dictionary<string, string> { [CallerRules.NetworkNamespaceAnnotation] = network } : new Dictionary<string, string>(),
    };

    private static int StatusOf(Caller caller, Node node, string space, Workload? pod = null)
    {
        try
        {
            CallerRules.Check(caller, node, space, pod, "cluster.local");
            return 0;
        }
        catch (XdsRefusedException refused)
        {
            return refused.Status;
        }
    }

    [Theory]
    [InlineData(0, "spiffe://cluster.local/ns/shop/sa/web", "shop", null, null)]
    [InlineData(0, "spiffe://cluster.local/ns/shop/sa/web", "shop", "shop", "web")]
    [InlineData(7, "spiffe://cluster.local/ns/shop/sa/web", "istio-system", null, null)]
    [InlineData(7, "spiffe://cluster.local/ns/shop/sa/web", "istio-system", "istio-system", "istio-ingressgateway")]
    [InlineData(7, "spiffe://cluster.local/ns/shop/sa/web", "shop", "shop", "cart")]
    [InlineData(7, "spiffe://other.domain/ns/shop/sa/web", "shop", null, null)]
    [InlineData(7, "spiffe://cluster.local/ns/shop/sa/web/more", "shop", null, null)]
    [InlineData(7, "", "shop", null, null)]
    [InlineData(3, "spiffe://cluster.local/ns/shop/sa/web", "shop", "istio-system", null)]
    public void A02_a_certificate_speaks_for_its_namespace_and_account_only(int status, string identity, string space, string? told, string? account) =>
        Assert.Equal(status, StatusOf(new Caller(CallerWay.Tls, identity), Node($"sidecar~1.2.3.4~web.{space}~{space}.svc.cluster.local", told, account), space));

    [Theory]
    [InlineData(0, "web")]
    [InlineData(7, "cart")]
    public void A02_a_known_pod_has_the_account_that_it_runs_as(int status, string account) =>
        Assert.Equal(status, StatusOf(new Caller(CallerWay.Tls, "spiffe://cluster.local/ns/shop/sa/web"), Node("sidecar~1.2.3.4~web.shop~d"), "shop", Pod("shop", account)));

    [Theory]
    [InlineData(0, "77", 77)]
    [InlineData(7, "77", 78)]
    [InlineData(7, "77", 0)]
    [InlineData(0, "", 78)]
    public void A10_a_local_pod_is_its_network_namespace(int status, string network, int caller) =>
        Assert.Equal(status, StatusOf(new Caller(CallerWay.Socket, "", 1337, (ulong)caller), Node("router~1.2.3.4~web.shop~d"), "shop", Pod("shop", "web", network)));

    [Theory]
    [InlineData("Plain", false, false)]
    [InlineData("Plain", true, true)]
    [InlineData("Socket", false, true)]
    [InlineData("Tls", false, true)]
    public void A02_keys_go_to_proven_callers(string way, bool flag, bool may)
    {
        const string Secret = """
            apiVersion: networking.istio.io/v1
            kind: Gateway
            metadata: { name: g, namespace: istio-system }
            spec: { selector: { istio: gw }, servers: [ { port: { number: 443, name: https, protocol: HTTPS }, hosts: ["*"], tls: { mode: SIMPLE, credentialName: c } } ] }
            ---
            apiVersion: v1
            kind: Secret
            metadata: { name: c, namespace: istio-system }
            data: { tls.crt: YQ==, tls.key: Yg== }
            """;
        var model = ControlShared.Meshes.Of(Secret);
        var options = ControlOptions.Parse(flag ? ["--plaintext-secrets"] : []);
        var caller = way == "Tls" ? new Caller(CallerWay.Tls, "spiffe://cluster.local/ns/istio-system/sa/gw") : new Caller(Enum.Parse<CallerWay>(way));
        var maker = new ResourceMaker(caller, options, new TranslationLog());
        var published = new Published(1, model, "v");
        var node = Base.Documents.Node.Map(("id", "router~9.9.9.9~gw.istio-system~d"), ("metadata", Base.Documents.Node.Map(("LABELS", Base.Documents.Node.Map(("istio", "gw"))))));
        ProxyView proxy = maker.Identify(published, node);
        Assert.Equal(may, maker.Make(published, proxy, XdsTypes.Secret).Resources.ContainsKey("kubernetes://c"));
    }
}
