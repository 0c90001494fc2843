using Tulle.Base.Documents;
using Tulle.Xds;

namespace Tulle.Control.Tests;

/// <summary>A proxy at the other end of a <see cref="ProxyStream"/>, which acknowledges only when a test says so.</summary>
internal sealed class FakeProxy
{
    private readonly bool _isDelta;
    private readonly string _nodeId;
    private bool _nodeSent;

    public FakeProxy(bool isDelta, IResourceMaker maker, TimeProvider time, string nodeId = "sidecar~1.2.3.4~a.b~b.svc.cluster.local")
    {
        _isDelta = isDelta;
        _nodeId = nodeId;
        Stream = new ProxyStream(isDelta, maker, () => Newest, time);
    }

    public ProxyStream Stream { get; }

    public Published Newest { get; set; } = new(1, FakeMaker.Empty, "v1");

    /// <summary>What a proxy holds, by type and name, as far as it took what came.</summary>
    public Dictionary<string, HashSet<string>> Held { get; } = new(StringComparer.Ordinal);

    public Dictionary<string, string> LastNonce { get; } = new(StringComparer.Ordinal);

    public void Publish() => Stream.Push(Newest = new Published(Newest.Number + 1, FakeMaker.Empty, $"v{Newest.Number + 1}"));

    public void Request(string type, string nonce = "", string? error = null, params string[] names)
    {
        var node = _nodeSent ? null : Node.Map(("id", _nodeId));
        _nodeSent = true;
        var detail = error is null ? null : Node.Map(("code", 3), ("message", error));
        var list = names.Length == 0 ? null : Node.List(names.Select(Node.FromString).ToList());
        Stream.OnRequest(ProtoWriter.Write(_isDelta ? XdsTypes.DeltaDiscoveryRequest : XdsTypes.DiscoveryRequest, _isDelta
            ? Node.Map(("node", node), ("type_url", type), ("resource_names_subscribe", list), ("response_nonce", nonce), ("error_detail", detail))
            : Node.Map(("node", node), ("type_url", type), ("resource_names", list), ("response_nonce", nonce), ("error_detail", detail))));
    }

    /// <summary>The next response, or null when nothing is on its way.</summary>
    public Response? Next()
    {
        if (!Stream.Outgoing.TryRead(out var framed))
            return null;
        var tree = ProtoReader.Read(_isDelta ? XdsTypes.DeltaDiscoveryResponse : XdsTypes.DiscoveryResponse, framed.AsSpan(GrpcFraming.HeaderBytes));
        var type = tree["type_url"]!.AsText;
        var names = (tree["resources"]?.Items ?? []).Select(r => _isDelta ? r["name"]!.AsText : r[XdsTypes.NameField(type)]!.AsText).Order(StringComparer.Ordinal).ToList();
        var removed = (tree["removed_resources"]?.Items ?? []).Select(r => r.AsText).Order(StringComparer.Ordinal).ToList();
        if (!Held.TryGetValue(type, out var held))
            Held[type] = held = new HashSet<string>(StringComparer.Ordinal);
        if (!_isDelta)
            held.Clear();
        held.UnionWith(names);
        held.ExceptWith(removed);
        LastNonce[type] = tree["nonce"]!.AsText;
        return new Response(type, tree["nonce"]!.AsText, names, removed);
    }

    public void Ack(Response response, params string[] names) => Request(response.Type, response.Nonce, null, names);

    /// <summary>Takes and acknowledges all that comes until nothing more does.</summary>
    public List<Response> Drain()
    {
        var all = new List<Response>();
        while (Next() is { } response)
        {
            all.Add(response);
            // SotW repeats what it asks for in every ACK.
            Ack(response, _isDelta || XdsTypes.IsWildcardType(response.Type) ? [] : [.. Held[response.Type]]);
        }
        return all;
    }

    internal sealed record Response(string Type, string Nonce, List<string> Names, List<string> Removed);
}
