using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Resources;

namespace Tulle.ControlShared;

/// <summary>Meshes out of YAML, for tests of what is made of it.</summary>
internal static class Meshes
{
    public static (MeshModel Model, Diagnostics Findings) Read(string yaml, MeshSettings? settings = null)
    {
        var set = new ResourceSet();
        var findings = new Diagnostics();
        new ResourceReader(set, findings).Read(yaml, "test.yaml");
        var model = MeshModel.Build(set, settings ?? new MeshSettings { SimulatePods = true }, new AddressAllocator());
        ModelAnalysis.Run(model, findings);
        return (model, findings);
    }

    public static MeshModel Of(string yaml, MeshSettings? settings = null)
    {
        var (model, findings) = Read(yaml, settings);
        return findings.HasErrors ? throw new InvalidOperationException(findings.Summary()) : model;
    }

    /// <summary>A namespace with sidecars, a service on port 80 (or others) and a deployment behind it.</summary>
    public static string Service(string name, string space = "shop", string port = "http", int number = 80, string labels = "") => $$"""
        ---
        apiVersion: v1
        kind: Service
        metadata: { name: {{name}}, namespace: {{space}} }
        spec: { selector: { app: {{name}} }, ports: [ { name: {{port}}, port: {{number}}, targetPort: 8080 } ] }
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: { name: {{name}}, namespace: {{space}} }
        spec:
          replicas: 1
          selector: { matchLabels: { app: {{name}} } }
          template:
            metadata: { labels: { app: {{name}}{{labels}} } }
            spec: { serviceAccountName: {{name}}, containers: [ { name: main } ] }

        """;

    public static string Namespace(string name = "shop", bool injected = true) => $$"""
        ---
        apiVersion: v1
        kind: Namespace
        metadata: { name: {{name}}, labels: { {{(injected ? "istio-injection: enabled" : "a: b")}} } }

        """;

    /// <summary>One Istio object; the spec is YAML in one line.</summary>
    public static string Istio(string kind, string name, string spec, string space = "shop") => $$"""
        ---
        apiVersion: {{(kind is "PeerAuthentication" or "AuthorizationPolicy" or "RequestAuthentication" ? "security" : "networking")}}.istio.io/v1
        kind: {{kind}}
        metadata: { name: {{name}}, namespace: {{space}} }
        spec: {{spec}}

        """;
}
