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

/// <summary>
/// The server's side of one ADS stream, without I/O. It remembers what the client wants and what it was sent; given the resources of the moment it
/// makes the responses that bring the client up to date, in make-before-break order.
/// </summary>
public sealed class XdsServerState(bool isDelta)
{
    private sealed class Subscription
    {
        public bool IsWildcard;
        public readonly HashSet<string> Names = new(StringComparer.Ordinal);

        /// <summary>Versions sent and not rejected; null value: said to be absent.</summary>
        public readonly Dictionary<string, string?> Sent = new(StringComparer.Ordinal);
        public string Nonce = "";
        public string Version = "";
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

    /// <summary>Whether a type's last push was acknowledged: for proxy-status.</summary>
    public (string Sent, string Acked, bool Rejected) StatusOf(string type) =>
        _subscriptions.TryGetValue(type, out var s) ? (s.Version, s.MustAnswer ? "" : s.Version, s.WasRejected) : ("", "", false);

    /// <summary>Takes a request. Returns a NACK if it is one.</summary>
    public XdsNack? OnRequest(ReadOnlySpan<byte> message)
    {
        var request = ProtoReader.Read(IsDelta ? XdsTypes.DeltaDiscoveryRequest : XdsTypes.DiscoveryRequest, message);
        if (request["node"] is { } node)
            Node ??= node;
        var type = request["type_url"]?.AsText ?? "";
        var nonce = request["response_nonce"]?.AsText ?? "";
        var error = request["error_detail"]?["message"]?.AsText;
        var isFirst = !_subscriptions.TryGetValue(type, out var subscription);
        if (isFirst)
            _subscriptions[type] = subscription = new Subscription();
        if (IsDelta)
            ReadDelta(request, type, subscription!, isFirst);
        else if (nonce.Length == 0 || nonce == subscription!.Nonce)
            ReadSotw(request, type, subscription!, isFirst);
        if (request["error_detail"] is null)
        {
            if (nonce.Length > 0 && nonce == subscription!.Nonce)
                subscription.WasRejected = false;
            return null;
        }
        subscription!.WasRejected = true;
        return new XdsNack(type, nonce, error ?? "");
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
    /// <param name="onlyRemovals">Push only what vanished: the last step of make before break.</param>
    public byte[]? Push(string type, IReadOnlyDictionary<string, XdsResource> all, string version, bool onlyRemovals = false)
    {
        if (!_subscriptions.TryGetValue(type, out var subscription))
            return null;
        return IsDelta ? PushDelta(type, subscription, all, version) : onlyRemovals ? null : PushSotw(type, subscription, all, version);
    }

    private static IEnumerable<XdsResource> Wanted(Subscription subscription, IReadOnlyDictionary<string, XdsResource> all)
    {
        if (subscription.IsWildcard)
            return all.Values;
        return subscription.Names.Select(n => all.GetValueOrDefault(n)).OfType<XdsResource>();
    }

    private byte[]? PushSotw(string type, Subscription subscription, IReadOnlyDictionary<string, XdsResource> all, string version)
    {
        var wanted = Wanted(subscription, all).ToList();
        var gone = subscription.IsWildcard && subscription.Sent.Keys.Any(n => !all.ContainsKey(n));
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
        foreach (var resource in wanted)
            subscription.Sent[resource.Name] = resource.Version;
        subscription.Nonce = (++_nonce).ToString(System.Globalization.CultureInfo.InvariantCulture);
        subscription.Version = version;
        return ProtoWriter.Write(XdsTypes.DiscoveryResponse, Base.Documents.Node.Map(
            ("version_info", version),
            ("resources", Base.Documents.Node.List(wanted.Select(ToAny).ToList())),
            ("type_url", type),
            ("nonce", subscription.Nonce)));
    }

    private byte[]? PushDelta(string type, Subscription subscription, IReadOnlyDictionary<string, XdsResource> all, string version)
    {
        var changed = Wanted(subscription, all).Where(r => !subscription.Sent.TryGetValue(r.Name, out var sent) || sent != r.Version).ToList();
        var removed = subscription.Sent.Where(s => s.Value is not null && !all.ContainsKey(s.Key)).Select(s => s.Key).ToList();
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
