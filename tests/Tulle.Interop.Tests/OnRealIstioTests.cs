namespace Tulle.Interop.Tests;

/// <summary>tulle-proxy under the real Istio on a real node: what a user who changes nothing but the proxy's image gets. Runs as ./test --suite istio.</summary>
[Trait("Suite", "istio")]
public sealed class OnRealIstioTests(RealIstio istio) : IClassFixture<RealIstio>
{
    [AttributeUsage(AttributeTargets.Method)]
    private sealed class NodeFactAttribute : FactAttribute
    {
        public NodeFactAttribute() => Skip = RealIstio.Needs.Select(Surroundings.Lacks).FirstOrDefault(l => l is not null)!;
    }

    private static string Workload(string space, string name, bool isNative, string more = "") => $$"""
        apiVersion: v1
        kind: Namespace
        metadata: { name: {{space}}, labels: { istio-injection: enabled } }
        ---
        apiVersion: v1
        kind: ServiceAccount
        metadata: { name: {{name}}, namespace: {{space}} }
        ---
        apiVersion: v1
        kind: Service
        metadata: { name: {{name}}, namespace: {{space}} }
        spec: { selector: { app: {{name}} }, ports: [ { name: http, port: 80, targetPort: 8080 } ] }
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: { name: {{name}}, namespace: {{space}} }
        spec:
          selector: { matchLabels: { app: {{name}} } }
          template:
            metadata: { labels: { app: {{name}} }, annotations: { sidecar.istio.io/nativeSidecar: "{{(isNative ? "true" : "false")}}" } }
            spec:
              serviceAccountName: {{name}}
              terminationGracePeriodSeconds: 40
              containers:
              - name: app
                image: docker.io/local/webapp:1
                imagePullPolicy: IfNotPresent
                {{more}}
                readinessProbe: { httpGet: { path: /, port: 8080 }, periodSeconds: 1 }
        """;

    private const string Strict = """
        apiVersion: security.istio.io/v1
        kind: PeerAuthentication
        metadata: { name: default, namespace: SPACE }
        spec: { mtls: { mode: STRICT } }
        """;

    /// <summary>Inside the first sidecar's pod: the status of a call to a URL.</summary>
    private async Task<string> CallAsync(string space, string from, string url)
    {
        var (code, output, errors) = await istio.ExecAsync(space, $"deploy/{from}", "busybox", "wget", "-q", "-T", "5", "-O", "-", url);
        return code == 0 ? "200 " + output : errors;
    }

    private async Task UntilCallAsync(string space, string from, string url) =>
        await Surroundings.UntilAsync($"{from} gets an answer from {url}", async () => (await CallAsync(space, from, url)).StartsWith("200", StringComparison.Ordinal), 60);

    [NodeFact]
    public async Task Sidecars_of_both_kinds_become_ready_and_talk_mutual_TLS()
    {
        await istio.ApplyAsync(Workload("both", "native", isNative: true) + "\n---\n" + Workload("both", "ordinary", isNative: false) + "\n---\n" + Strict.Replace("SPACE", "both", StringComparison.Ordinal));
        await istio.RolledOutAsync("both", "deploy/native");
        await istio.RolledOutAsync("both", "deploy/ordinary");
        Assert.Contains("istio-proxy", await istio.KubectlAsync("-n", "both", "get", "pod", "-l", "app=native", "-o", "jsonpath={.items[0].spec.initContainers[*].name}"), StringComparison.Ordinal);
        Assert.Contains("istio-proxy", await istio.KubectlAsync("-n", "both", "get", "pod", "-l", "app=ordinary", "-o", "jsonpath={.items[0].spec.containers[*].name}"), StringComparison.Ordinal);
        await UntilCallAsync("both", "native", "http://ordinary.both/");
        await UntilCallAsync("both", "ordinary", "http://native.both/");
        // From the node, without a certificate, STRICT lets nobody in.
        var address = (await istio.KubectlAsync("-n", "both", "get", "pod", "-l", "app=native", "-o", "jsonpath={.items[0].status.podIP}")).Trim();
        Assert.NotEqual(0, (await istio.InsideAsync(30, "curl", "-s", "-m", "5", $"http://{address}:8080/")).Code);
    }

    [NodeFact]
    public async Task A_gateway_serves_a_route_from_outside()
    {
        await istio.ApplyAsync(Workload("edge", "web", isNative: true) + """

            ---
            apiVersion: networking.istio.io/v1
            kind: Gateway
            metadata: { name: edge, namespace: edge }
            spec: { selector: { istio: ingressgateway }, servers: [ { port: { number: 80, name: http, protocol: HTTP }, hosts: [ web.example.com ] } ] }
            ---
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: { name: web, namespace: edge }
            spec: { hosts: [ web.example.com ], gateways: [ edge ], http: [ { route: [ { destination: { host: web } } ] } ] }
            """);
        await istio.RolledOutAsync("edge", "deploy/web");
        await istio.RolledOutAsync("istio-system", "deploy/istio-ingressgateway");
        var gateway = (await istio.KubectlAsync("-n", "istio-system", "get", "svc", "istio-ingressgateway", "-o", "jsonpath={.spec.clusterIP}")).Trim();
        async Task<string> AskAsync(string host) => (await istio.InsideAsync(30, "curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "-H", $"Host: {host}", $"http://{gateway}/")).Output.Trim();
        await Surroundings.UntilAsync("the gateway serves the route", async () => await AskAsync("web.example.com") == "200", 60);
        Assert.Equal("404", await AskAsync("other.example.com"));
    }

    [NodeFact]
    public async Task A_Job_with_a_native_sidecar_ends()
    {
        await istio.ApplyAsync("""
            apiVersion: v1
            kind: Namespace
            metadata: { name: jobs, labels: { istio-injection: enabled } }
            ---
            apiVersion: batch/v1
            kind: Job
            metadata: { name: once, namespace: jobs }
            spec:
              template:
                metadata: { annotations: { sidecar.istio.io/nativeSidecar: "true" } }
                spec:
                  restartPolicy: Never
                  containers: [ { name: app, image: docker.io/local/webapp:1, imagePullPolicy: IfNotPresent, args: [ -listen, "", -exit-after, 1s ] } ]
            """);
        await istio.KubectlAsync(150, "-n", "jobs", "wait", "--for=condition=Complete", "job/once", "--timeout=120s");
    }

    [NodeFact]
    public async Task A_request_of_28_seconds_outlives_a_rollout()
    {
        await istio.ApplyAsync(Workload("long", "server", isNative: true) + "\n---\n" + Workload("long", "client", isNative: true));
        await istio.RolledOutAsync("long", "deploy/server");
        await istio.RolledOutAsync("long", "deploy/client");
        await UntilCallAsync("long", "client", "http://server.long/");
        var request = istio.ExecAsync("long", "deploy/client", "busybox", "wget", "-q", "-T", "60", "-O", "-", "http://server.long/delay/28000");
        // The request is under way when the server's log or connection says so; the restart must not come first.
        await Surroundings.UntilAsync("the server has the request", async () => (await istio.ExecAsync("long", "deploy/server", "busybox", "sh", "-c", "cat /proc/net/tcp /proc/net/tcp6 | grep -c ':1F90 .* 01 '")).Output.Trim() is not ("" or "0"), 20);
        await istio.KubectlAsync("-n", "long", "rollout", "restart", "deploy/server");
        var (code, _, errors) = await request;
        Assert.True(code == 0, errors);
    }
}
