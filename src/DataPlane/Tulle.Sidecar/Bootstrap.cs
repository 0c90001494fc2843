using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Sidecar.Fields;
using Tulle.Snapshot;
using Tulle.Wire.Istio;

namespace Tulle.Sidecar;

/// <summary>An Envoy bootstrap, as far as it steers this process; the resources in it stay raw.</summary>
internal sealed class Bootstrap
{
    public Node Raw { get; private init; } = Node.Map();

    public Node Node { get; private init; } = Node.Map();

    public Address? Admin { get; private init; }

    public IReadOnlyList<Node> StaticListeners { get; private init; } = [];

    public IReadOnlyList<Node> StaticClusters { get; private init; } = [];

    public IReadOnlyList<Node> StaticSecrets { get; private init; } = [];

    /// <summary>Sources of LDS and CDS; null when there are none.</summary>
    public ConfigSource? ListenerSource { get; private init; }

    public ConfigSource? ClusterSource { get; private init; }

    /// <summary>"grpc:CLUSTER" or "delta:CLUSTER" of the ADS stream.</summary>
    public string? Ads { get; private init; }

    public NodeConfig Facts { get; private init; } = new();

    /// <summary>Reads a file, YAML or JSON by its content.</summary>
    /// <exception cref="DocumentException">Not a document.</exception>
    public static Node ReadFile(string path) => Parse(File.ReadAllText(path), path);

    public static Node Parse(string text, string? path)
    {
        var first = text.AsSpan().TrimStart();
        return first.Length > 0 && first[0] == '{' ? NodeJson.Parse(text, path) : NodeYaml.Parse(text, path);
    }

    /// <summary>Lays one document over another, as --config-yaml does over -c: maps merge, lists are joined, scalars replace.</summary>
    public static Node Merge(Node below, Node above)
    {
        if (below.Kind == NodeKind.List && above.Kind == NodeKind.List)
            return Node.List([.. below.Items, .. above.Items], above.Position);
        if (below.Kind != NodeKind.Map || above.Kind != NodeKind.Map)
            return above;
        var result = below;
        foreach (var (name, value) in above.Fields)
            result = result.With(name, result[name] is { } old ? Merge(old, value) : value);
        return result;
    }

    public static Bootstrap Read(Node raw, Diagnostics diagnostics, string serviceNode, string serviceCluster)
    {
        var reader = new FieldReader(raw, diagnostics, "bootstrap", "", BootstrapFields.Bootstrap);
        Address? admin = null;
        if (reader.Child("admin") is { } given)
        {
            admin = new ConversionContext("bootstrap", _ => null).SocketAddress(given.Child("address"));
            given.Done();
        }
        ConfigSource? listeners = null;
        ConfigSource? clusters = null;
        string? ads = null;
        if (reader.Child("dynamic_resources") is { } dynamic)
        {
            listeners = ConversionContext.Source(dynamic.Child("lds_config"));
            clusters = ConversionContext.Source(dynamic.Child("cds_config"));
            ads = dynamic.Child("ads_config") is { } api ? ConversionContext.GrpcKey(api) : null;
            dynamic.Done();
        }
        var statics = reader.Child("static_resources");
        var node = reader.Raw("node") ?? Node.Map();
        if (serviceNode.Length > 0)
            node = node.With("id", serviceNode);
        if (serviceCluster.Length > 0)
            node = node.With("cluster", serviceCluster);
        var result = new Bootstrap
        {
            Raw = raw,
            Node = node,
            Admin = admin,
            StaticListeners = statics?.List("listeners") ?? [],
            StaticClusters = statics?.List("clusters") ?? [],
            StaticSecrets = statics?.List("secrets") ?? [],
            ListenerSource = listeners,
            ClusterSource = clusters,
            Ads = ads,
            Facts = NodeFacts(node),
        };
        statics?.Done();
        reader.Done();
        return result;
    }

    private static NodeConfig NodeFacts(Node node)
    {
        var metadata = node["metadata"];
        var labels = metadata?["LABELS"];
        string Label(string name, string otherwise) => labels?[name]?.AsText is { Length: > 0 } value ? value : otherwise;
        var canonical = Label("service.istio.io/canonical-name", Label("app.kubernetes.io/name", Label("app", metadata?["WORKLOAD_NAME"]?.AsText ?? "unknown")));
        var revision = Label("service.istio.io/canonical-revision", Label("app.kubernetes.io/version", Label("version", "latest")));
        var workload = new WorkloadFacts(metadata?["WORKLOAD_NAME"]?.AsText ?? "unknown", metadata?["NAMESPACE"]?.AsText ?? "unknown", canonical, revision,
            Label("app", canonical), Label("version", revision), metadata?["CLUSTER_ID"]?.AsText ?? "unknown");
        var id = node["id"]?.AsText ?? "";
        var told = metadata?["WORKLOAD_NAME"] is null ? null : WorkloadStruct.Write(
            s_toldFacts.Where(f => metadata[f] is not null).Select(f => KeyValuePair.Create(f, metadata[f]!.AsText)),
            [new("app", workload.App), new("version", workload.Version), new("service.istio.io/canonical-name", canonical), new("service.istio.io/canonical-revision", revision)]);
        return new NodeConfig
        {
            Id = id,
            Cluster = node["cluster"]?.AsText ?? "",
            Workload = workload,
            PeerMetadata = told is null ? [] : WorkloadStruct.ToField(told),
            PeerExchange = told is null ? [] : WorkloadStruct.ToExchange(told, id),
            PeerMetadataId = System.Text.Encoding.UTF8.GetBytes(id),
        };
    }

    /// <summary>What a node's metadata says that other sidecars are told.</summary>
    private static readonly string[] s_toldFacts = ["NAME", "NAMESPACE", "OWNER", "WORKLOAD_NAME", "CLUSTER_ID"];
}
