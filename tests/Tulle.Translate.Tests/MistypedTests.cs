using Tulle.Base.Documents;
using Tulle.ControlShared;
using Tulle.Model;
using Tulle.Resources;
using Tulle.Xds;

namespace Tulle.Translate.Tests;

/// <summary>B2: whatever is written in a field, it is told with its place or it can be translated; nothing throws.</summary>
public class MistypedTests
{
    private const string Full = """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: { name: v, namespace: shop }
        spec:
          hosts: [web]
          gateways: [mesh, g]
          exportTo: ["*"]
          http:
          - name: a
            match: [ { name: m, uri: { prefix: /a }, method: { exact: GET }, authority: { exact: a }, scheme: { exact: http }, headers: { x: { exact: y } }, withoutHeaders: { z: {} }, queryParams: { q: { exact: "1" } }, port: 80, ignoreUriCase: true, sourceLabels: { app: client }, sourceNamespace: shop, gateways: [mesh, g] } ]
            route: [ { destination: { host: web, subset: v1, port: { number: 80 } }, weight: 1, headers: { request: { set: { a: b }, add: { c: d }, remove: [e] } } }, { destination: { host: web }, weight: 3 } ]
            timeout: 3s
            retries: { attempts: 2, perTryTimeout: 1s, retryOn: "5xx,503", backoff: 25ms, retryIgnorePreviousHosts: true }
            fault: { delay: { fixedDelay: 1s, percentage: { value: 1 } }, abort: { httpStatus: 503, percentage: { value: 0.5 } } }
            headers: { request: { set: { h: i } }, response: { remove: [j] } }
            rewrite: { uri: /b, authority: c, uriRegexRewrite: { match: a, rewrite: b } }
            mirrors: [ { destination: { host: web }, percentage: { value: 10 } } ]
          - redirect: { uri: /x, authority: y, port: 81, scheme: https, redirectCode: 302 }
          - directResponse: { status: 200, body: { string: hello } }
          tcp: [ { match: [ { port: 90, sourceLabels: { a: b }, sourceNamespace: shop, gateways: [g] } ], route: [ { destination: { host: web }, weight: 5 } ] } ]
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: { name: d, namespace: shop }
        spec:
          host: web
          exportTo: ["*"]
          subsets: [ { name: v1, labels: { app: web }, trafficPolicy: { tls: { mode: SIMPLE, sni: a, subjectAltNames: [b], caCertificates: /c, insecureSkipVerify: false } } } ]
          trafficPolicy:
            connectionPool: { tcp: { maxConnections: 3, connectTimeout: 1s }, http: { http1MaxPendingRequests: 1, http2MaxRequests: 2, maxRequestsPerConnection: 3, maxRetries: 4, idleTimeout: 5s } }
            loadBalancer: { simple: ROUND_ROBIN }
            outlierDetection: { consecutive5xxErrors: 1, consecutiveGatewayErrors: 2, interval: 1s, baseEjectionTime: 2s, maxEjectionPercent: 10, minHealthPercent: 20 }
            portLevelSettings: [ { port: { number: 80 }, tls: { mode: MUTUAL, clientCertificate: /c, privateKey: /k, caCrl: /r }, loadBalancer: { simple: RANDOM } } ]
        ---
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: { name: g, namespace: shop }
        spec:
          selector: { app: web }
          servers:
          - { port: { number: 80, name: http, protocol: HTTP }, hosts: ["*/*"], tls: { httpsRedirect: true } }
          - { name: s, port: { number: 443, name: https, protocol: HTTPS }, hosts: [a.com], tls: { mode: MUTUAL, credentialName: c, subjectAltNames: [a], verifyCertificateSpki: [YQ==], verifyCertificateHash: [ab], caCrl: /r, minProtocolVersion: TLSV1_2, maxProtocolVersion: TLSV1_3, cipherSuites: [X] } }
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: { name: e, namespace: shop }
        spec: { hosts: [e.com], addresses: [10.9.9.9], ports: [ { number: 443, name: https, protocol: TLS, targetPort: 8443 } ], location: MESH_EXTERNAL, resolution: STATIC, endpoints: [ { address: 10.8.8.8, labels: { a: b }, ports: { https: 9 }, weight: 2, serviceAccount: s } ], subjectAltNames: [x], exportTo: ["*"] }
        ---
        apiVersion: security.istio.io/v1
        kind: PeerAuthentication
        metadata: { name: p, namespace: shop }
        spec: { selector: { matchLabels: { app: web } }, mtls: { mode: STRICT }, portLevelMtls: { "8080": { mode: DISABLE } } }
        ---
        apiVersion: v1
        kind: Secret
        metadata: { name: c, namespace: shop }
        data: { tls.crt: YQ==, tls.key: Yg==, ca.crt: Yw== }
        ---
        apiVersion: v1
        kind: Service
        metadata: { name: web, namespace: shop, annotations: { networking.istio.io/exportTo: "*" } }
        spec: { selector: { app: web }, clusterIP: 10.9.1.1, type: ClusterIP, ports: [ { name: http, port: 80, targetPort: 8080, protocol: TCP, appProtocol: http } ] }
        """;

    private static readonly Node[] Odd =
    [
        Node.Of(true), Node.Of(-1), Node.Of(long.MaxValue), Node.Of(""), Node.Of("x-y"), Node.Of("9999999999999999999"),
        Node.List(Node.Of("a")), Node.List(Node.Map()), Node.Map(("value", "x")), Node.Null(),
    ];

    private static readonly string[] Types = [XdsTypes.Cluster, XdsTypes.Endpoint, XdsTypes.Listener, XdsTypes.Route, XdsTypes.Secret, XdsTypes.NameTable];

    [Fact]
    public void B02_no_value_of_any_field_makes_anything_throw_and_nothing_is_lost_in_silence()
    {
        var documents = ResourceReader.Documents(Full + "\n" + Meshes.Service("client"), "full.yaml");
        Assert.Empty(Failures(documents, out var clean));
        Assert.False(clean.HasErrors, clean.Summary());
        var wrong = new List<string>();
        foreach (var document in documents.Where(d => d["metadata"]!["name"]!.AsText != "client"))
        {
            foreach (var (path, variant) in Variants(document, ""))
            {
                var failures = Failures(documents.Select(d => ReferenceEquals(d, document) ? variant : d).ToList(), out var findings);
                if (failures.Count > 0 && wrong.Count < 10)
                    wrong.Add($"{document["kind"]!.AsText}{path}: {failures[0]}");
                Assert.All(findings.All.Where(f => f.Severity == Severity.Error), f => Assert.True(f.Path.Length > 0 || f.Message.Length > 0));
            }
        }
        Assert.Empty(wrong);
    }

    private static IReadOnlyList<string> Failures(List<Node> documents, out Diagnostics findings)
    {
        findings = new Diagnostics();
        var set = new ResourceSet();
        var reader = new ResourceReader(set, findings);
        foreach (var document in documents)
            reader.ReadObject(document);
        // An object with an error is not in the model: what is left is what other variants show.
        if (findings.HasErrors)
            return [];
        var model = MeshModel.Build(set, new MeshSettings { SimulatePods = true }, new AddressAllocator());
        ModelAnalysis.Run(model, findings);
        var failures = new List<string>();
        foreach (var id in new[] { "sidecar~1.2.3.4~client.shop~d", "router~1.2.3.5~web.shop~d" })
        {
            var proxy = ProxyView.Read(Node.Map(("id", id), ("metadata", Node.Map(("LABELS", Node.Map(("app", id[0] == 's' ? "client" : "web")))))), model)!;
            failures.AddRange(Types.SelectMany(t => Translator.Resources(model, proxy, t).Failures));
        }
        return failures;
    }

    /// <summary>The document with one value replaced, for every value at every depth below spec and data, and every odd one.</summary>
    private static IEnumerable<(string Path, Node Variant)> Variants(Node node, string path)
    {
        foreach (var (name, value) in node.Fields.Where(f => path.Length > 0 || f.Key is "spec" or "data"))
        {
            if (path.Length > 0)
            {
                foreach (var odd in Odd)
                    yield return ($"{path}.{name} = {odd}", node.With(name, odd));
            }
            foreach (var (at, variant) in Variants(value, $"{path}.{name}"))
                yield return (at, node.With(name, variant));
        }
        for (var i = 0; i < node.Items.Count; i++)
        {
            var items = node.Items.ToList();
            foreach (var (at, variant) in Variants(items[i], $"{path}[{i}]").Concat(Odd.Select(o => ($"{path}[{i}] = {o}", o))))
            {
                var changed = items.ToList();
                changed[i] = variant;
                yield return (at, Node.List(changed));
            }
        }
    }
}
