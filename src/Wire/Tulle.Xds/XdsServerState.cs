using Tulle.Base.Documents;

namespace Tulle.Xds;

/// <summary>A resource ready to be sent.</summary>
/// <param name="Name">Resource name.</param>
/// <param name="Version">Hash of the content: the same content is never sent twice to one proxy.</param>
/// <param name="Url">Type URL.</param>
/// <param name="Value">The encoded message.</param>
public sealed record XdsResource(string Name, string Version, string Url, byte[] Value);

/// <summary>What a proxy rejected.</summary>
public sealed record XdsNack(string Type, string Nonce, string Message);

/// <summary>The client cannot be served: its stream ends with this status.</summary>
/// <param name="status">gRPC's code: 3 INVALID_ARGUMENT, 7 PERMISSION_DENIED, 8 RESOURCE_EXHAUSTED.</param>
/// <param name="message">What was wrong with which value.</param>
public sealed class XdsRefusedException(int status, string message) : Exception(message)
{
    public int Status { get; } = status;
}

/// <summary>What became of the last push of a type.</summary>
/// <param name="Sent">Version of the last response.</param>
/// <param name="Acked">Version that the client last acknowledged; empty before the first.</param>
/// <param name="Rejected">The last response was refused.</param>
/// <param name="IsOutstanding">The last response has neither been acknowledged nor refused yet.</param>
public readonly record struct XdsStatus(string Sent, string Acked, bool Rejected, bool IsOutstanding);

/// <summary>
/// The server's side of one ADS stream, without I/O. It remembers what the client wants, what it was sent and what it acknowledged; given the resources
/// of the moment it makes the response that brings a type up to date. The order between types is the caller's.
/// </summary>
public sealed class XdsServerState(bool isDelta)
{
    /// <summary>Types that one stream may ask for. Source: Envoy knows 15, Istio 6 more; more is an attack. Excess ends the stream with RESOURCE_EXHAUSTED.</summary>
    public const int TypesMax = 64;

    /// <summary>Names that one stream may ask for, over all types. Source: ten times the clusters of a mesh of 20,000. Excess ends the stream with RESOURCE_EXHAUSTED.</summary>
    public const int NamesMax = 200_000;

    private sealed class Subscription
    {
        public bool IsWildcard;
        public readonly HashSet<string> Names = new(StringComparer.Ordinal);

        /// <summary>Versions sent and not taken back; null value: said to be absent.</summary>
        public readonly Dictionary<string, string?> Sent = new(StringComparer.Ordinal);

        /// <summary>Bytes of what was sent, where leaving a name out takes it away (SotW LDS and CDS): a removal that must wait is sent along until then.</summary>
        public readonly Dictionary<string, XdsResource> Bytes = new(StringComparer.Ordinal);
        public string Nonce = "";
        public string Version = "";
        public string Acked = "";
        public bool IsOutstanding;
        public bool MustAnswer;
        public bool WasRejected;
    }

    private readonly Dictionary<string, Subscription> _subscriptions = new(StringComparer.Ordinal);
    private long _nonce;

    public bool IsDelta { get; } = isDelta;

    /// <summary>The node of the first request.</summary>
    public Node? Node { get; private set; }

    public IEnumerable<string> Types => _subscriptions.Keys;

    public bool Wants(string type) => _subscriptions.ContainsKey(type);

    /// <summary>The client asked something of this type that no response answers yet.</summary>
    public bool MustAnswer(string type) => _subscriptions.TryGetValue(type, out var s) && s.MustAnswer;

    /// <summary>Whether the client asks for this resource, by name or by asking for all.</summary>
    public bool WantsName(string type, string name) => _subscriptions.TryGetValue(type, out var s) && (s.IsWildcard || s.Names.Contains(name));

    /// <summary>Names that the client asked for.</summary>
    public IReadOnlyCollection<string> NamesOf(string type) => _subscriptions.TryGetValue(type, out var s) ? s.Names : [];

    /// <summary>Whether the client was sent this resource and not told since that it is gone.</summary>
    public bool WasSent(string type, string name) => _subscriptions.TryGetValue(type, out var s) && s.Sent.TryGetValue(name, out var version) && version is not null;

    /// <summary>What became of a type's last push: for proxy-status, and for the order of pushes.</summary>
    public XdsStatus StatusOf(string type) =>
        _subscriptions.TryGetValue(type, out var s) ? new(s.Version, s.Acked, s.WasRejected, s.IsOutstanding) : default;

    /// <summary>Takes a request. Returns a NACK if it is one.</summary>
    /// <exception cref="ProtoException">The bytes are no request.</exception>
    /// <exception cref="XdsRefusedException">The request is none that a client may send; the stream ends.</exception>
    public XdsNack? OnRequest(ReadOnlySpan<byte> message)
    {
        var request = ProtoReader.Read(IsDelta ? XdsTypes.DeltaDiscoveryRequest : XdsTypes.DiscoveryRequest, message, ProtoReader.RequestValuesMax);
        if (request["node"] is { } node)
            Node ??= node;
        var type = request["type_url"]?.AsText ?? "";
        if (!XdsTypes.IsTypeUrl(type))
            throw new XdsRefusedException(3, $"type_url \"{Shortened(type)}\" is not a type URL; {XdsTypes.Prefix}PACKAGE.MESSAGE is expected");
        var nonce = request["response_nonce"]?.AsText ?? "";
        var isFirst = !_subscriptions.TryGetValue(type, out var subscription);
        if (subscription is null)
        {
            if (_subscriptions.Count >= TypesMax)
                throw new XdsRefusedException(8, $"more than {TypesMax} types are asked for on one stream");
            _subscriptions[type] = subscription = new Subscription();
        }
        // A first request that carries a nonce is a client's that reconnected without clearing it: it wants an answer like any first one.
        if (IsDelta)
            ReadDelta(request, type, subscription, isFirst);
        else if (isFirst || nonce.Length == 0 || nonce == subscription.Nonce)
            ReadSotw(request, type, subscription, isFirst);
        if (_subscriptions.Values.Sum(s => s.Names.Count) > NamesMax)
            throw new XdsRefusedException(8, $"more than {NamesMax} resources are asked for on one stream");
        return Settle(request, type, nonce, subscription);
    }

    private static string Shortened(string text) => text.Length <= 100 ? text : text[..100] + "…";

    /// <summary>An ACK or a NACK of the last response settles it; one of an earlier response says nothing new.</summary>
    private static XdsNack? Settle(Node request, string type, string nonce, Subscription subscription)
    {
        var isLast = nonce.Length > 0 && nonce == subscription.Nonce;
        if (isLast)
            subscription.IsOutstanding = false;
        if (request["error_detail"] is not { } error)
        {
            if (isLast)
                (subscription.WasRejected, subscription.Acked) = (false, subscription.Version);
            return null;
        }
        if (isLast)
            subscription.WasRejected = true;
        return new XdsNack(type, nonce, error["message"]?.AsText ?? "");
    }

    private static void ReadSotw(Node request, string type, Subscription subscription, bool isFirst)
    {
        var names = request["resource_names"]?.Items.Select(i => i.AsText).ToHashSet(StringComparer.Ordinal) ?? [];
        // Legacy wildcard: an empty first list of LDS or CDS. Once names were given, an empty list means none.
        var wildcard = names.Remove("*") || (names.Count == 0 && (isFirst || subscription.IsWildcard) && XdsTypes.IsWildcardType(type)) || (type == XdsTypes.NameTable);
        var changed = isFirst || wildcard != subscription.IsWildcard || !names.SetEquals(subscription.Names);
        subscription.IsWildcard = wildcard;
        subscription.MustAnswer |= changed && (isFirst || names.Except(subscription.Names).Any() || wildcard);
        foreach (var gone in subscription.Names.Except(names))
            subscription.Sent.Remove(gone);
        subscription.Names.Clear();
        subscription.Names.UnionWith(names);
    }

    private static void ReadDelta(Node request, string type, Subscription subscription, bool isFirst)
    {
        var added = request["resource_names_subscribe"]?.Items.Select(i => i.AsText).ToList() ?? [];
        if (isFirst)
        {
            subscription.IsWildcard = added.Count == 0 && (XdsTypes.IsWildcardType(type) || type == XdsTypes.NameTable);
            subscription.MustAnswer = true;
            foreach (var held in request["initial_resource_versions"]?.Fields ?? [])
                subscription.Sent[held.Key] = held.Value.AsText;
        }
        foreach (var name in added)
        {
            if (name == "*")
                subscription.IsWildcard = true;
            else
                subscription.Names.Add(name);
            // A name subscribed again wants an answer even when nothing changed, unless its version was named.
            if (!isFirst)
                subscription.Sent.Remove(name);
            subscription.MustAnswer = true;
        }
        foreach (var name in request["resource_names_unsubscribe"]?.Items.Select(i => i.AsText) ?? [])
        {
            if (name == "*")
                subscription.IsWildcard = false;
            subscription.Names.Remove(name);
            // While "*" is held the server must say what became of the name.
            subscription.Sent.Remove(name);
            subscription.MustAnswer |= subscription.IsWildcard;
        }
    }

    /// <summary>The response that brings a type up to date, or null when there is nothing to say.</summary>
    /// <param name="type">Type URL; the client must have asked for it.</param>
    /// <param name="all">All resources of that type for this proxy.</param>
    /// <param name="version">Version of the whole configuration.</param>
    /// <param name="keep">Which of the resources that vanished must not be taken away yet; null: none. Make before break, and resources that could not be made.</param>
    public byte[]? Push(string type, IReadOnlyDictionary<string, XdsResource> all, string version, Func<string, bool>? keep = null)
    {
        if (!_subscriptions.TryGetValue(type, out var subscription))
            return null;
        var response = IsDelta ? PushDelta(type, subscription, all, version, keep) : PushSotw(type, subscription, all, version, keep);
        if (response is not null)
            subscription.IsOutstanding = true;
        return response;
    }

    /// <summary>Whether the client still holds a resource that is in <paramref name="all"/> no more.</summary>
    public bool HoldsMore(string type, IReadOnlyDictionary<string, XdsResource> all) =>
        _subscriptions.TryGetValue(type, out var s) && s.Sent.Any(sent => sent.Value is not null && !all.ContainsKey(sent.Key));

    private static IEnumerable<XdsResource> Wanted(Subscription subscription, IReadOnlyDictionary<string, XdsResource> all)
    {
        if (subscription.IsWildcard)
            return all.Values;
        return subscription.Names.Select(n => all.GetValueOrDefault(n)).OfType<XdsResource>();
    }

    private byte[]? PushSotw(string type, Subscription subscription, IReadOnlyDictionary<string, XdsResource> all, string version, Func<string, bool>? keep)
    {
        var wanted = Wanted(subscription, all).ToList();
        var kept = keep is null ? [] : subscription.Bytes.Values.Where(r => !all.ContainsKey(r.Name) && keep(r.Name)).ToList();
        wanted.AddRange(kept);
        var gone = subscription.IsWildcard && subscription.Sent.Keys.Any(n => !all.ContainsKey(n) && kept.TrueForAll(k => k.Name != n));
        var changed = wanted.Any(r => !subscription.Sent.TryGetValue(r.Name, out var sent) || sent != r.Version);
        if (!changed && !gone && !subscription.MustAnswer)
            return null;
        if (wanted.Count == 0 && !subscription.IsWildcard && !gone)
        {
            // Nothing known of the names asked for: SotW has no word for that but silence; the client's timer speaks.
            subscription.MustAnswer = false;
            return null;
        }
        subscription.MustAnswer = false;
        subscription.Sent.Clear();
        subscription.Bytes.Clear();
        foreach (var resource in wanted)
        {
            subscription.Sent[resource.Name] = resource.Version;
            if (XdsTypes.IsWildcardType(type))
                subscription.Bytes[resource.Name] = resource;
        }
        subscription.Nonce = (++_nonce).ToString(System.Globalization.CultureInfo.InvariantCulture);
        subscription.Version = version;
        return ProtoWriter.Write(XdsTypes.DiscoveryResponse, Base.Documents.Node.Map(
            ("version_info", version),
            ("resources", Base.Documents.Node.List(wanted.Select(ToAny).ToList())),
            ("type_url", type),
            ("nonce", subscription.Nonce)));
    }

    private byte[]? PushDelta(string type, Subscription subscription, IReadOnlyDictionary<string, XdsResource> all, string version, Func<string, bool>? keep)
    {
        var changed = Wanted(subscription, all).Where(r => !subscription.Sent.TryGetValue(r.Name, out var sent) || sent != r.Version).ToList();
        var removed = subscription.Sent.Where(s => s.Value is not null && !all.ContainsKey(s.Key) && keep?.Invoke(s.Key) != true).Select(s => s.Key).ToList();
        // A name that was asked for and is unknown is answered as removed, once.
        removed.AddRange(subscription.Names.Where(n => !all.ContainsKey(n) && !subscription.Sent.ContainsKey(n)));
        if (changed.Count == 0 && removed.Count == 0 && !subscription.MustAnswer)
            return null;
        subscription.MustAnswer = false;
        foreach (var resource in changed)
            subscription.Sent[resource.Name] = resource.Version;
        foreach (var name in removed)
        {
            if (subscription.Names.Contains(name))
                subscription.Sent[name] = null;
            else
                subscription.Sent.Remove(name);
        }
        subscription.Nonce = (++_nonce).ToString(System.Globalization.CultureInfo.InvariantCulture);
        subscription.Version = version;
        return ProtoWriter.Write(XdsTypes.DeltaDiscoveryResponse, Base.Documents.Node.Map(
            ("system_version_info", version),
            ("resources", Base.Documents.Node.List(changed.Select(r => Base.Documents.Node.Map(
                ("name", r.Name), ("version", r.Version), ("resource", ToAny(r)))).ToList())),
            ("type_url", type),
            ("removed_resources", removed.Count > 0 ? Base.Documents.Node.List(removed.Distinct().Select(Base.Documents.Node.FromString).ToList()) : null),
            ("nonce", subscription.Nonce)));
    }

    /// <summary>The message is encoded already: it goes into the response as it is.</summary>
    private static Node ToAny(XdsResource resource) =>
        Base.Documents.Node.Map(("@type", resource.Url), ("@bytes", Convert.ToBase64String(resource.Value)));
}
