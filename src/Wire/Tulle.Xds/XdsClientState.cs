using Tulle.Base.Documents;

namespace Tulle.Xds;

/// <summary>What one response brought.</summary>
/// <param name="Type">Type URL.</param>
/// <param name="Nonce">To be named in the ACK or NACK.</param>
/// <param name="Version">Version of the response (SotW) or of the system (delta).</param>
/// <param name="Resources">By name, with their versions.</param>
/// <param name="Removed">Names that ceased to exist (delta).</param>
/// <param name="IsFullState">Absence of a name means it is gone (SotW LDS and CDS).</param>
public sealed record XdsUpdate(string Type, string Nonce, string Version, IReadOnlyList<(string Name, string Version, Node Resource)> Resources,
    IReadOnlyList<string> Removed, bool IsFullState)
{
    /// <summary>A name came twice, or an entry could not be decoded: the update is rejected as a whole.</summary>
    public string? Malformed { get; init; }

    /// <summary>Nobody subscribed to that type: it is not answered, and nothing of it is kept.</summary>
    public bool IsUnasked { get; init; }
}

/// <summary>
/// The client's side of ADS, state-of-the-world or delta, without I/O: it makes requests and reads responses. One per configuration source; a new
/// stream begins with <see cref="OnStreamStart"/>, which repeats all interest and tells what is already here.
/// </summary>
public sealed class XdsClientState(bool isDelta, Node node)
{
    private sealed class TypeState
    {
        public readonly SortedSet<string> Names = new(StringComparer.Ordinal);
        public bool IsWildcard;
        public bool IsSubscribed;
        public string Nonce = "";
        public string AcceptedVersion = "";

        /// <summary>Delta: versions of what is held and was accepted.</summary>
        public readonly Dictionary<string, string> Held = new(StringComparer.Ordinal);
    }

    private readonly Dictionary<string, TypeState> _types = new(StringComparer.Ordinal);
    private readonly List<string> _order = [];
    private bool _nodeSent;

    public bool IsDelta { get; } = isDelta;

    private TypeState Get(string type)
    {
        if (_types.TryGetValue(type, out var state))
            return state;
        _order.Add(type);
        return _types[type] = new TypeState();
    }

    /// <summary>A new stream: nonces died with the old one, versions did not.</summary>
    public IReadOnlyList<Node> OnStreamStart()
    {
        _nodeSent = false;
        var requests = new List<Node>();
        foreach (var type in XdsTypes.PushOrder.Concat(_order).Distinct().ToList())
        {
            if (!_types.TryGetValue(type, out var state) || !state.IsSubscribed)
                continue;
            state.Nonce = "";
            requests.Add(IsDelta
                ? Delta(type, state, state.IsWildcard ? [] : state.Names, [], withVersions: true, null)
                : Sotw(type, state, null));
        }
        return requests;
    }

    /// <summary>Asks for everything of a type (LDS, CDS); null when that is known already.</summary>
    public Node? SubscribeAll(string type)
    {
        var state = Get(type);
        if (state.IsSubscribed && state.IsWildcard)
            return null;
        // A stream that named resources of the type before must say that it wants all (xds_protocol.rst, wildcard).
        string[] all = state.IsSubscribed ? ["*"] : [];
        state.IsSubscribed = state.IsWildcard = true;
        return IsDelta ? Delta(type, state, all, [], withVersions: true, null) : Sotw(type, state, null);
    }

    /// <summary>Says which names are wanted now; null when nothing changed.</summary>
    public Node? SetNames(string type, IEnumerable<string> names)
    {
        var state = Get(type);
        var wanted = new SortedSet<string>(names, StringComparer.Ordinal);
        if (state.IsSubscribed ? state.Names.SetEquals(wanted) : wanted.Count == 0)
            return null;
        var added = wanted.Except(state.Names).ToList();
        var removed = state.Names.Except(wanted).ToList();
        var isFirst = !state.IsSubscribed;
        state.IsSubscribed = true;
        state.Names.Clear();
        state.Names.UnionWith(wanted);
        foreach (var name in removed)
            state.Held.Remove(name);
        return IsDelta ? Delta(type, state, added, removed, withVersions: isFirst, null) : Sotw(type, state, null);
    }

    public IReadOnlyCollection<string> NamesOf(string type) => _types.TryGetValue(type, out var state) ? state.Names : [];

    /// <summary>The nonce of the last response of a type.</summary>
    public string NonceOf(string type) => _types.TryGetValue(type, out var state) ? state.Nonce : "";

    /// <summary>Reads a response message. One that cannot be decoded is malformed, so that it is refused under its nonce, if that can be found.</summary>
    /// <exception cref="ProtoException">The bytes are no response, and not even type and nonce can be found.</exception>
    public XdsUpdate OnResponse(ReadOnlySpan<byte> message)
    {
        var (type, nonce) = ReadEnvelope(message);
        if (!_types.TryGetValue(type, out var state) || !state.IsSubscribed)
            return new XdsUpdate(type, nonce, "", [], [], false) { IsUnasked = true };
        state.Nonce = nonce;
        Node response;
        try
        {
            response = ProtoReader.Read(IsDelta ? XdsTypes.DeltaDiscoveryResponse : XdsTypes.DiscoveryResponse, message);
        }
        catch (ProtoException error)
        {
            return new XdsUpdate(type, nonce, "", [], [], false) { Malformed = $"the response cannot be decoded: {error.Message}" };
        }
        var resources = new List<(string, string, Node)>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        string? malformed = null;
        foreach (var item in response["resources"]?.Items ?? [])
        {
            var (name, version, resource) = IsDelta ? (item["name"]?.AsText ?? "", item["version"]?.AsText ?? "", item["resource"])
                : item["@type"]?.AsText == "type.googleapis.com/envoy.service.discovery.v3.Resource" ? (item["name"]?.AsText ?? "", item["version"]?.AsText ?? "", item["resource"])
                : (item[XdsTypes.NameField(type)]?.AsText ?? "", "", item);
            if (name.Length == 0 && resource is not null)
                name = resource[XdsTypes.NameField(type)]?.AsText ?? "";
            // A heartbeat (TTL) has no resource: what is held stays.
            if (resource is null)
                continue;
            if (!seen.Add(name))
                malformed = $"resource {name} comes twice in one response";
            resources.Add((name, version, resource));
        }
        var removed = response["removed_resources"]?.Items.Select(i => i.AsText).ToList() ?? [];
        var full = !IsDelta && XdsTypes.IsWildcardType(type);
        return new XdsUpdate(type, nonce, response[IsDelta ? "system_version_info" : "version_info"]?.AsText ?? "", resources, removed, full) { Malformed = malformed };
    }

    /// <summary>type_url and nonce: fields 4 and 5 of both kinds of response.</summary>
    private static (string Type, string Nonce) ReadEnvelope(ReadOnlySpan<byte> message)
    {
        var type = "";
        var nonce = "";
        while (!message.IsEmpty)
        {
            var (number, wire) = ProtoWire.ReadTag(ref message);
            if (number == 4)
                type = ProtoWire.ReadText(ref message, wire);
            else if (number == 5)
                nonce = ProtoWire.ReadText(ref message, wire);
            else
                ProtoWire.Skip(ref message, wire);
        }
        return (type, nonce);
    }

    /// <summary>The answer that every response must get. An error makes it a NACK; names that were accepted all the same are remembered as held.</summary>
    public Node Acknowledge(XdsUpdate update, string? error, IReadOnlyCollection<string>? rejectedNames = null)
    {
        var state = Get(update.Type);
        if (error is null)
            state.AcceptedVersion = update.Version;
        foreach (var (name, version, _) in update.Resources)
        {
            if (error is null || (rejectedNames is not null && !rejectedNames.Contains(name)))
                state.Held[name] = version;
        }
        foreach (var name in update.Removed)
            state.Held.Remove(name);
        return IsDelta ? Delta(update.Type, state, [], [], withVersions: false, error, update.Nonce) : Sotw(update.Type, state, error, update.Nonce);
    }

    private Node? NodeOnce()
    {
        if (_nodeSent)
            return null;
        _nodeSent = true;
        return node;
    }

    private Node Sotw(string type, TypeState state, string? error, string? nonce = null) => Node.Map(
        ("version_info", state.AcceptedVersion.Length > 0 ? state.AcceptedVersion : null),
        ("node", NodeOnce()),
        ("resource_names", state.IsWildcard || state.Names.Count == 0 ? null : Node.List(state.Names.Select(Node.FromString).ToList())),
        ("type_url", type),
        ("response_nonce", nonce ?? (state.Nonce.Length > 0 ? state.Nonce : null)),
        ("error_detail", Error(error)));

    private Node Delta(string type, TypeState state, IEnumerable<string> subscribe, IEnumerable<string> unsubscribe, bool withVersions, string? error, string? nonce = null)
    {
        var added = subscribe.Select(Node.FromString).ToList();
        var removed = unsubscribe.Select(Node.FromString).ToList();
        return Node.Map(
            ("node", NodeOnce()),
            ("type_url", type),
            ("resource_names_subscribe", added.Count > 0 ? Node.List(added) : null),
            ("resource_names_unsubscribe", removed.Count > 0 ? Node.List(removed) : null),
            ("initial_resource_versions", withVersions && state.Held.Count > 0 ? Node.Map(state.Held.Select(h => new KeyValuePair<string, Node>(h.Key, h.Value)).ToList()) : null),
            ("response_nonce", nonce),
            ("error_detail", Error(error)));
    }

    private static Node? Error(string? message) => message is null ? null : Node.Map(("code", 3), ("message", message));

    /// <summary>Bytes of a request made here.</summary>
    public byte[] Encode(Node request) => ProtoWriter.Write(IsDelta ? XdsTypes.DeltaDiscoveryRequest : XdsTypes.DiscoveryRequest, request);
}
