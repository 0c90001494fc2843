using Tulle.Base.Documents;
using Tulle.Proxy;
using Tulle.Sidecar.Fields;
using Tulle.Snapshot;
using Tulle.Xds;

namespace Tulle.Sidecar;

/// <summary>
/// All resources of the process and what became of them. Lives on the control thread. An update is converted resource by resource: good ones are taken,
/// bad ones are refused by name and the last good one stays. A cluster waits for its endpoints and secrets, a listener for its routes and secrets
/// (warming); what waits does not replace what works.
/// </summary>
internal sealed class ConfigStore(Bootstrap bootstrap, StatsStore stats)
{
    private sealed class Entry
    {
        public required Node Resource;
        public required string Source;
        public object? Converted;
        public List<SecretReference> Missing = [];
        public List<SecretReference> Secrets = [];
        public long SecretsSeen;
        public long? UnusedSinceMs;
    }

    private readonly Dictionary<string, Entry> _clusters = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Entry> _listeners = new(StringComparer.Ordinal);
    private readonly Dictionary<ResourceKey, Entry> _routes = [];
    private readonly Dictionary<ResourceKey, Entry> _endpoints = [];
    private readonly Dictionary<ResourceKey, SecretConfig> _secrets = [];
    private readonly Dictionary<ResourceKey, Node> _secretResources = [];
    private readonly Dictionary<string, ConvertedCluster> _activeClusters = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ConvertedListener> _activeListeners = new(StringComparer.Ordinal);
    private readonly Dictionary<string, LoadAssignmentConfig> _resolved = new(StringComparer.Ordinal);
    private readonly FieldWarnings _warnings = new(stats);
    private long _secretVersion = 1;
    private long _version;

    public Bootstrap Bootstrap { get; } = bootstrap;

    public ProxySnapshot Current { get; private set; } = ProxySnapshot.Empty;

    /// <summary>What is waited for no longer.</summary>
    public InitialFetches Fetches { get; } = new();

    /// <summary>Asked before a listener that comes at run time is taken: why its address cannot be had, or null.</summary>
    public Func<ListenerConfig, string?>? AddressCheck { get; set; }

    /// <summary>CDS and LDS have spoken at least once.</summary>
    public bool HasClusters => _heardClusters || Fetches.IsOver(XdsTypes.Cluster, InitialFetches.All);

    public bool HasListeners => _heardListeners || Fetches.IsOver(XdsTypes.Listener, InitialFetches.All);

    private bool _heardClusters, _heardListeners;

    public bool HasWarming { get; private set; }

    public IEnumerable<(string Name, Node Resource, string Source, bool IsActive)> Clusters => _clusters.Select(c => (c.Key, c.Value.Resource, c.Value.Source, _activeClusters.ContainsKey(c.Key)));

    public IEnumerable<(string Name, Node Resource, string Source, bool IsActive)> Listeners => _listeners.Select(c => (c.Key, c.Value.Resource, c.Value.Source, _activeListeners.ContainsKey(c.Key)));

    public IEnumerable<(string Name, Node Resource, string Source)> Routes => _routes.Select(c => (c.Key.Name, c.Value.Resource, c.Value.Source));

    public IEnumerable<(string Name, Node Resource)> Endpoints => _endpoints.Select(c => (c.Key.Name, c.Value.Resource));

    public IEnumerable<(string Name, Node Resource, SecretConfig? Secret)> Secrets => _secretResources.Select(c => (c.Key.Name, c.Value, _secrets.GetValueOrDefault(c.Key)));

    /// <summary>Takes the static part; errors are collected.</summary>
    public void LoadStatic(Diagnostics diagnostics)
    {
        foreach (var secret in Bootstrap.StaticSecrets)
            TakeSecret(secret, "static", diagnostics);
        LoadStatic(XdsTypes.Cluster, Bootstrap.StaticClusters, diagnostics);
        LoadStatic(XdsTypes.Listener, Bootstrap.StaticListeners, diagnostics);
        _heardClusters = Bootstrap.ClusterSource is null;
        _heardListeners = Bootstrap.ListenerSource is null;
    }

    private void LoadStatic(string type, IReadOnlyList<Node> resources, Diagnostics diagnostics)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var resource in resources)
        {
            var name = ConversionContext.Name(type, resource);
            if (name.Length == 0 || names.Add(name))
                Take(type, resource, "static", diagnostics);
            else if (type == XdsTypes.Cluster)
                diagnostics.Error(resource.Position, $"cluster {name}", "name", "is there twice; give each its own name");
            else // As Envoy: a static listener is not replaced.
                diagnostics.Warn(resource.Position, $"listener {name}", "name", "is there twice; the first one is used");
        }
    }

    /// <summary>Takes an update. Returns the names that were refused with why.</summary>
    public Dictionary<string, string> Apply(string source, XdsUpdate update)
    {
        var refused = new Dictionary<string, string>(StringComparer.Ordinal);
        if (update.Malformed is { } malformed)
        {
            refused[""] = malformed;
            return refused;
        }
        // First what goes: another listener may take its address in the same update.
        if (XdsTypes.IsWildcardType(update.Type))
            Remove(source, update);
        // Other types are asked for by name and stay as long as they are; that there is none is an answer, too.
        foreach (var name in update.Removed)
            Fetches.GiveUp(update.Type, new ResourceKey(source, name));
        foreach (var (name, _, resource) in update.Resources)
        {
            var diagnostics = new Diagnostics();
            if (update.Type == XdsTypes.Secret)
                TakeSecret(resource, source, diagnostics);
            else
                Take(update.Type, resource, source, diagnostics);
            if (diagnostics.HasErrors)
                refused[name] = diagnostics.Summary();
        }
        _heardClusters |= update.Type == XdsTypes.Cluster;
        _heardListeners |= update.Type == XdsTypes.Listener;
        return refused;
    }

    /// <summary>Removes clusters or listeners that a source had sent and has no longer; those of other sources are not its to remove.</summary>
    private void Remove(string source, XdsUpdate update)
    {
        var table = update.Type == XdsTypes.Cluster ? _clusters : _listeners;
        var kept = update.IsFullState ? update.Resources.Select(r => r.Name).ToHashSet(StringComparer.Ordinal) : null;
        var gone = kept is null ? update.Removed.Where(table.ContainsKey) : table.Keys.Where(n => !kept.Contains(n));
        foreach (var name in gone.Where(n => table[n].Source == source).ToList())
        {
            table.Remove(name);
            if (update.Type == XdsTypes.Cluster)
                _resolved.Remove(name);
            stats.Counter(StatScope.Server, "", update.Type == XdsTypes.Cluster ? "cluster_manager.cluster_removed" : "listener_manager.listener_removed").AddShared();
        }
    }

    private void TakeSecret(Node resource, string source, Diagnostics diagnostics)
    {
        var name = resource["name"]?.AsText ?? "";
        var key = new ResourceKey(source, name);
        var context = new ConversionContext($"secret {name}", _ => null);
        var secret = TlsConverter.Secret(resource, context);
        Report(context, diagnostics);
        if (secret is null || context.Diagnostics.HasErrors)
        {
            if (!context.Diagnostics.HasErrors)
                diagnostics.Error(resource.Position, $"secret {name}", "", "holds neither a certificate nor a validation context");
            return;
        }
        if (CheckSecret(secret) is { } refusal)
        {
            diagnostics.Error(resource.Position, $"secret {name}", "", refusal);
            return;
        }
        _secretResources[key] = resource;
        if (_secrets.TryGetValue(key, out var old) && old.ContentHash == secret.ContentHash)
            return;
        _secrets[key] = secret;
        _secretVersion++;
    }

    /// <summary>Errors go to whoever sent the resource, warnings to the log.</summary>
    private void Report(ConversionContext context, Diagnostics diagnostics)
    {
        _warnings.Tell(context.Diagnostics);
        foreach (var finding in context.Diagnostics.All.Where(f => f.Severity == Severity.Error))
            diagnostics.Add(finding);
    }

    /// <summary>Lets the TLS library look at a secret before anything depends on it.</summary>
    private static string? CheckSecret(SecretConfig secret)
    {
        try
        {
            // A default without a bundle may stand beside it: what is not whole is looked at with what it is merged into.
            TlsContexts.Prepare(new TlsServerConfig
            {
                Certificates = secret.ChainPem.Length > 0 ? [secret] : [],
                Trust = secret.Validation is { TrustedCaPem.Length: > 0 } trust ? trust : null,
                ContentHash = secret.ContentHash,
            });
            return null;
        }
        catch (InvalidOperationException error)
        {
            return error.Message;
        }
    }

    private void Take(string type, Node resource, string source, Diagnostics diagnostics)
    {
        var name = ConversionContext.Name(type, resource);
        if (type == XdsTypes.Listener && name.Length == 0)
            name = resource.At("address", "socket_address") is { } at ? $"{at["address"]?.AsText}:{at["port_value"]?.AsText}" : "listener";
        if (type is XdsTypes.Route or XdsTypes.Endpoint)
        {
            var byKey = type == XdsTypes.Route ? _routes : _endpoints;
            var key = new ResourceKey(source, name);
            if (!byKey.TryGetValue(key, out var held) || !held.Resource.DeepEquals(resource))
            {
                var taken = new Entry { Resource = resource, Source = source };
                if (Convert(type, name, taken, diagnostics))
                    byKey[key] = taken;
            }
            return;
        }
        if (type is not (XdsTypes.Cluster or XdsTypes.Listener))
            return;
        var table = type == XdsTypes.Cluster ? _clusters : _listeners;
        if (table.TryGetValue(name, out var old) && old.Source != source)
        {
            diagnostics.Error(resource.Position, $"{Kind(type)} {name}", "name", $"is that of a {Kind(type)} of {old.Source}, which {source} may not replace; choose another name");
            return;
        }
        if (old is not null && old.Resource.DeepEquals(resource))
            return;
        var entry = new Entry { Resource = resource, Source = source };
        if (!Convert(type, name, entry, diagnostics) || !HasAddress(name, entry, diagnostics))
            return;
        if (type == XdsTypes.Cluster)
            stats.Counter(StatScope.Server, "", old is null ? "cluster_manager.cluster_added" : "cluster_manager.cluster_modified").AddShared();
        if (type == XdsTypes.Listener)
            stats.Counter(StatScope.Server, "", old is null ? "listener_manager.listener_added" : "listener_manager.listener_modified").AddShared();
        table[name] = entry;
    }

    /// <summary>
    /// A listener's address is its own: SO_REUSEPORT, by which the loops share a port, would let two listeners share it as well, and the kernel would deal
    /// connections out to them at random. An address that cannot be had is an error of the resource, told to whoever sent it.
    /// </summary>
    private bool HasAddress(string name, Entry entry, Diagnostics diagnostics)
    {
        if (entry.Converted is not ConvertedListener { Config: var config })
            return true;
        var others = _listeners.Where(l => l.Key != name).Select(l => (ConvertedListener)l.Value.Converted!)
            .Concat(_activeListeners.Where(l => l.Key != name && _listeners.ContainsKey(l.Key)).Select(l => l.Value));
        var failure = others.FirstOrDefault(o => IsSameAddress(config, o.Config)) is { } other
            ? $"{config.Address} is the address of listener {other.Config.Name} already; choose another address or port, or remove that listener"
            : AddressCheck?.Invoke(config);
        if (failure is null)
            return true;
        stats.Counter(StatScope.Server, "", "listener_manager.listener_create_failure").AddShared();
        diagnostics.Error(entry.Resource.Position, $"listener {name}", "address", failure);
        return false;
    }

    /// <summary>Port 0 is another port for each that binds it.</summary>
    private static bool IsSameAddress(ListenerConfig one, ListenerConfig other) =>
        one.Address == other.Address && !(one.Address.IsIp && one.Address.Port == 0 && one.BindToPort);

    private bool Convert(string type, string name, Entry entry, Diagnostics diagnostics)
    {
        var context = new ConversionContext($"{Kind(type)} {name}", r => _secrets.GetValueOrDefault(r.Key));
        // Only a static listener is checked against the clusters that exist: dynamic ones may come later.
        Func<string, bool>? known = entry.Source == "static" && Bootstrap.ClusterSource is null ? c => _clusters.ContainsKey(c) : null;
        entry.Converted = type switch
        {
            XdsTypes.Cluster => ClusterConverter.Convert(entry.Resource, context),
            XdsTypes.Listener => ListenerConverter.Convert(entry.Resource, context, known),
            XdsTypes.Route => RouteConverter.Convert(context.Reader(entry.Resource, RouteTableFields.RouteConfiguration), context, null),
            _ => EndpointConverter.Convert(context.Reader(entry.Resource, EndpointFields.ClusterLoadAssignment), context),
        };
        entry.Missing = context.MissingSecrets;
        entry.Secrets = context.Secrets;
        entry.SecretsSeen = _secretVersion;
        foreach (var secret in context.MissingSecrets.Where(m => m.Source == ConfigSource.Static))
            context.Diagnostics.Error(entry.Resource.Position, context.Subject, "", $"uses the secret {secret.Name}, which is not among static_resources.secrets");
        Report(context, diagnostics);
        return !context.Diagnostics.HasErrors && entry.Converted is not null;
    }

    private static string Kind(string type) => type switch
    {
        XdsTypes.Cluster => "cluster",
        XdsTypes.Listener => "listener",
        XdsTypes.Route => "route configuration",
        XdsTypes.Endpoint => "endpoints",
        _ => "resource",
    };

    /// <summary>Endpoints that DNS found for a cluster.</summary>
    public void SetResolved(string cluster, LoadAssignmentConfig endpoints)
    {
        if (_clusters.ContainsKey(cluster))
            _resolved[cluster] = endpoints;
    }

    /// <summary>Names wanted from each source and type now, with the milliseconds that a start waits for them.</summary>
    public Dictionary<(string Source, string Type), SortedDictionary<string, long>> Interest()
    {
        var interest = new Dictionary<(string, string), SortedDictionary<string, long>>();
        void Want(string type, string name, ConfigSource source)
        {
            if (source == ConfigSource.Static)
                return;
            if (!interest.TryGetValue((source.Key, type), out var names))
                interest[(source.Key, type)] = names = new SortedDictionary<string, long>(StringComparer.Ordinal);
            names[name] = source.InitialFetchMs;
        }
        // Also what the versions in force use: they stay until those that wait are whole.
        foreach (var cluster in _activeClusters.Values.Concat(_clusters.Values.Select(e => (ConvertedCluster)e.Converted!)))
        {
            if (cluster.EndpointSource is { } source)
                Want(XdsTypes.Endpoint, cluster.EndpointName, source);
        }
        foreach (var route in RoutesInUse())
            Want(XdsTypes.Route, route.Name, route.Source);
        foreach (var entry in _clusters.Values.Concat(_listeners.Values))
        {
            foreach (var secret in entry.Secrets)
                Want(XdsTypes.Secret, secret.Name, secret.Source);
        }
        return interest;
    }

    private IEnumerable<RouteReference> RoutesInUse() =>
        _activeListeners.Values.Concat(_listeners.Values.Select(l => (ConvertedListener)l.Converted!)).SelectMany(l => l.Routes);

    /// <summary>Statistic prefixes of the managers that use a route configuration.</summary>
    public IEnumerable<string> StatPrefixesOf(ResourceKey route) => RoutesInUse().Where(r => r.Key == route).Select(r => r.StatPrefix).Distinct();

    /// <summary>Statistic names of the clusters that use these endpoints.</summary>
    public IEnumerable<string> StatNamesOf(ResourceKey endpoints) => _clusters.Values.Select(e => (ConvertedCluster)e.Converted!)
        .Where(c => c.EndpointSource is not null && c.EndpointKey == endpoints).Select(c => c.Config.StatName ?? c.Config.Name).Distinct();

    /// <summary>Forgets endpoints and secrets that nobody asks for any more. Routes stay for those connections that drain.</summary>
    public void Forget(Dictionary<(string Source, string Type), SortedDictionary<string, long>> interest)
    {
        bool IsWanted(string type, ResourceKey key) => interest.TryGetValue((key.Source, type), out var names) && names.ContainsKey(key.Name);
        foreach (var key in _endpoints.Keys.Where(k => !IsWanted(XdsTypes.Endpoint, k)).ToList())
            _endpoints.Remove(key);
        foreach (var key in _secrets.Keys.Where(k => k.Source != "static" && !IsWanted(XdsTypes.Secret, k)).ToList())
        {
            _secrets.Remove(key);
            _secretResources.Remove(key);
        }
        var now = Environment.TickCount64;
        foreach (var (key, entry) in _routes)
        {
            if (IsWanted(XdsTypes.Route, key))
                entry.UnusedSinceMs = null;
            else if (now - (entry.UnusedSinceMs ??= now) > RouteKeepMs)
                _routes.Remove(key);
        }
        Fetches.Forget((type, key) => key == InitialFetches.All || IsWanted(type, key));
    }

    /// <summary>Milliseconds a route configuration that no listener uses is kept for connections of earlier listeners. Default: the drain time.</summary>
    public long RouteKeepMs { get; init; } = 600_000;

    /// <summary>Moves what is ready into force and makes the snapshot of it.</summary>
    public ProxySnapshot Rebuild()
    {
        RefreshSecrets(_clusters, XdsTypes.Cluster);
        RefreshSecrets(_listeners, XdsTypes.Listener);
        var warming = false;
        foreach (var (name, _) in _activeClusters)
        {
            if (!_clusters.ContainsKey(name))
                _activeClusters.Remove(name);
        }
        foreach (var (name, entry) in _clusters)
        {
            var cluster = (ConvertedCluster)entry.Converted!;
            var ready = entry.Missing.Count == 0 && (cluster.EndpointSource is null || _endpoints.ContainsKey(cluster.EndpointKey) || Fetches.IsOver(XdsTypes.Endpoint, cluster.EndpointKey));
            // A sidecar's workload certificate may come after its clusters: they may carry traffic that needs none.
            if (ready || (cluster.EndpointSource is null && entry.Missing.Count > 0 && cluster.Config.TransportMatches.Count > 0))
                _activeClusters[name] = cluster;
            else
                warming |= !IsWaitOver(entry);
        }
        foreach (var (name, _) in _activeListeners)
        {
            if (!_listeners.ContainsKey(name))
                _activeListeners.Remove(name);
        }
        foreach (var (name, entry) in _listeners)
        {
            var listener = (ConvertedListener)entry.Converted!;
            if (entry.Missing.Count == 0 && listener.Routes.All(r => _routes.ContainsKey(r.Key) || Fetches.IsOver(XdsTypes.Route, r.Key)))
                _activeListeners[name] = listener;
            else
                warming |= !IsWaitOver(entry);
        }
        HasWarming = warming;
        Current = new ProxySnapshot
        {
            Version = ++_version,
            Clusters = _activeClusters.ToDictionary(c => c.Key, c => c.Value.Config, StringComparer.Ordinal),
            Endpoints = _activeClusters.ToDictionary(c => c.Key, c => EndpointsOf(c.Value), StringComparer.Ordinal),
            Routes = _routes.ToDictionary(r => r.Key.ToString(), r => (RouteTable)r.Value.Converted!, StringComparer.Ordinal),
            Listeners = _activeListeners.Values.Select(l => l.Config).ToList(),
            Node = Bootstrap.Facts,
        };
        return Current;
    }

    /// <summary>
    /// What lacks only secrets whose time is over stays out of force, but nothing waits for it: without its secret it would let in, or trust, whom it
    /// must not.
    /// </summary>
    private bool IsWaitOver(Entry entry) => entry.Missing.Count > 0 && entry.Missing.All(m => Fetches.IsOver(XdsTypes.Secret, m.Key));

    private void RefreshSecrets(Dictionary<string, Entry> table, string type)
    {
        foreach (var (name, entry) in table)
        {
            if (entry.Secrets.Count == 0 || entry.SecretsSeen == _secretVersion)
                continue;
            var diagnostics = new Diagnostics();
            var before = (entry.Converted, entry.Missing, entry.Secrets);
            if (Convert(type, name, entry, diagnostics))
                continue;
            // What does not fit together any more is not half applied: the last good one stays.
            (entry.Converted, entry.Missing, entry.Secrets) = before;
            Log.Write("error", "config", $"{Kind(type)} {name} stays as it was, its secrets do not fit: {diagnostics.Summary()}");
        }
    }

    private LoadAssignmentConfig EndpointsOf(ConvertedCluster cluster)
    {
        if (cluster.EndpointSource is not null)
            return _endpoints.TryGetValue(cluster.EndpointKey, out var entry) ? (LoadAssignmentConfig)entry.Converted! : LoadAssignmentConfig.Empty;
        if (_resolved.TryGetValue(cluster.Config.Name, out var resolved))
            return resolved;
        return cluster.Inline ?? LoadAssignmentConfig.Empty;
    }

    /// <summary>Clusters whose endpoints come from DNS.</summary>
    public IEnumerable<ConvertedCluster> DnsClusters => _clusters.Values.Select(e => (ConvertedCluster)e.Converted!).Where(c => c.Config.DnsTargets.Count > 0);

    /// <summary>The static cluster that a gRPC source uses.</summary>
    public Node? StaticCluster(string name) => Bootstrap.StaticClusters.FirstOrDefault(c => c["name"]?.AsText == name);
}
