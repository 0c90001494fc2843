using Tulle.Base.Documents;
using Tulle.Sidecar.Fields;
using Tulle.Xds;

namespace Tulle.Sidecar.Tests.Fields;

/// <summary>One way from a resource down to a message: through which fields, and which type where one of several may stand.</summary>
internal sealed record SamplePath(MessageFields Root, IReadOnlyList<(MessageFields Owner, string Field, MessageFields Target)> Steps)
{
    public MessageFields Last => Steps.Count == 0 ? Root : Steps[^1].Target;

    public override string ToString() => $"{Root.Name}{string.Concat(Steps.Select(s => $".{s.Field}({s.Target.Name})"))}";
}

/// <summary>Makes resources that set one field somewhere deep inside, with as little else as the way there needs.</summary>
internal static class SampleResources
{
    public static readonly IReadOnlyList<MessageFields> Roots =
    [
        ClusterFields.Cluster, ListenerFields.Listener, RouteTableFields.RouteConfiguration, EndpointFields.ClusterLoadAssignment, TlsFields.Secret, BootstrapFields.Bootstrap,
    ];

    /// <summary>The shortest way to every table.</summary>
    public static List<SamplePath> Paths()
    {
        var seen = new HashSet<MessageFields>(ReferenceEqualityComparer.Instance);
        var queue = new Queue<SamplePath>(Roots.Select(r => new SamplePath(r, [])));
        var result = new List<SamplePath>();
        while (queue.TryDequeue(out var path))
        {
            if (!seen.Add(path.Last))
                continue;
            result.Add(path);
            foreach (var (name, rule) in path.Last.Rules.Where(r => r.Value.Word == FieldWord.Obeyed))
            {
                foreach (var target in rule.Messages)
                    queue.Enqueue(new SamplePath(path.Root, [.. path.Steps, (path.Last, name, target)]));
            }
        }
        return result;
    }

    public static Node Build(SamplePath path, string field)
    {
        var value = Companions(path.Last, field).With("zz_unknown", Node.Of(1L));
        if (path.Last.Rules.ContainsKey(field))
            value = value.With(field, Value(path.Last, field));
        for (var i = path.Steps.Count - 1; i >= 0; i--)
        {
            var (owner, name, target) = path.Steps[i];
            value = Companions(owner, name).With(name, Wrap(owner, name, target, value));
        }
        return value;
    }

    private static Node Wrap(MessageFields owner, string name, MessageFields target, Node value)
    {
        var declared = ProtoSchema.Shared.Find(owner.Name)?.Find(name);
        if (name.Contains("typed_") || declared?.TypeName == "google.protobuf.Any")
            value = value.With("@type", "type.googleapis.com/" + target.Name);
        if (declared?.IsMap == true)
            return Node.Map((name == "typed_extension_protocol_options" ? target.Name : "key", value));
        return declared?.IsRepeated == true || name.EndsWith("_propagation", StringComparison.Ordinal) ? Node.List(value) : value;
    }

    private static Node Value(MessageFields owner, string name)
    {
        var declared = ProtoSchema.Shared.Find(owner.Name)?.Find(name);
        if (owner.Rules[name].Messages is [var message, ..])
            return Wrap(owner, name, message, Companions(message, ""));
        if (declared is null)
            return "x";
        if (declared.IsMap)
            return Node.Map(("k", "v"));
        Node one = declared.TypeName switch
        {
            "google.protobuf.Duration" => "7s",
            "google.protobuf.BoolValue" => true,
            "google.protobuf.StringValue" or "google.protobuf.BytesValue" => "x",
            "google.protobuf.Struct" or "google.protobuf.Any" or "google.protobuf.Empty" => Node.Map(),
            not "" when declared.Enum is { } names => names.NameOf(1) ?? names.NameOf(0) ?? "",
            not "" => 3,
            _ => declared.Kind switch { ProtoKind.String or ProtoKind.Bytes => "x", ProtoKind.Bool => true, _ => 3 },
        };
        return declared.IsRepeated ? Node.List(one) : one;
    }

    /// <summary>What a message needs beside the field that is tried, so that the converter comes as far as reading it.</summary>
    private static Node Companions(MessageFields table, string field)
    {
        var node = table.Name[(table.Name.LastIndexOf('.') + 1)..] switch
        {
            "ApiConfigSource" => Node.Map(("grpc_services", Node.List(Node.Map(("envoy_grpc", Node.Map(("cluster_name", "x"))))))),
            "GrpcService" => Node.Map(("envoy_grpc", Node.Map(("cluster_name", "x")))),
            "Address" when table == CoreFields.Address => Node.Map(("socket_address", Node.Map(("address", "127.0.0.1"), ("port_value", 1)))),
            "SubjectAltNameMatcher" => Node.Map(("matcher", Node.Map(("exact", "x")))),
            "LbEndpoint" => Node.Map(("endpoint", Node.Map(("address", Node.Map(("socket_address", Node.Map(("address", "127.0.0.1"), ("port_value", 1)))))))),
            "HeaderValueOption" => Node.Map(("header", Node.Map(("key", "x")))),
            "Listener" => Node.Map(("address", Node.Map(("socket_address", Node.Map(("address", "127.0.0.1"), ("port_value", 1)))))),
            "FileAccessLog" => Node.Map(("path", "/dev/null")),
            _ => Node.Map(),
        };
        // The members of a oneof exclude each other.
        return (table.Name, field) switch
        {
            ("envoy.config.core.v3.Address", "pipe") => Node.Map(),
            _ => node,
        };
    }
}
