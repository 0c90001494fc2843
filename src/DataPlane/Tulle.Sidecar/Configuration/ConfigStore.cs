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
        public List<string> Missing = [];
        public List<SecretReference> Secrets = [];
        public long SecretsSeen;
    }

    private readonly Dictionary<string, Entry> _clusters = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Entry> _listeners = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Entry> _routes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Entry> _endpoints = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SecretConfig> _secrets = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Node> _secretResources = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ConvertedCluster> _activeClusters = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ConvertedListener> _activeListeners = new(StringComparer.Ordinal);
    private readonly Dictionary<string, LoadAssignmentConfig> _resolved = new(StringComparer.Ordinal);
    private readonly HashSet<string> _noEndpointsYet = new(StringComparer.Ordinal);
    private readonly FieldWarnings _warnings = new(stats);
    private long _secretVersion = 1;
    private long _version;

    public Bootstrap Bootstrap { get; } = bootstrap;

    public ProxySnapshot Current { get; private set; } = ProxySnapshot.Empty;

    /// <summary>CDS and LDS have spoken at least once.</summary>
    public bool HasClusters { get; private set; }

    public bool HasListeners { get; private set; }

    public bool HasWarming { get; private set; }

    public IEnumerable<(string Name, Node Resource, string Source, bool IsActive)> Clusters => _clusters.Select(c => (c.Key, c.Value.Resource, c.Value.Source, _activeClusters.ContainsKey(c.Key)));

    public IEnumerable<(string Name, Node Resource, string Source, bool IsActive)> Listeners => _listeners.Select(c => (c.Key, c.Value.Resource, c.Value.Source, _activeListeners.ContainsKey(c.Key)));

    public IEnumerable<(string Name, Node Resource, string Source)> Routes => _routes.Select(c => (c.Key, c.Value.Resource, c.Value.Source));

    public IEnumerable<(string Name, Node Resource)> Endpoints => _endpoints.Select(c => (c.Key, c.Value.Resource));

    public IEnumerable<(string Name, Node Resource, SecretConfig? Secret)> Secrets => _secretResources.Select(c => (c.Key, c.Value, _secrets.GetValueOrDefault(c.Key)));

    /// <summary>Takes the static part; errors are collected.</summary>
    public void LoadStatic(Diagnostics diagnostics)
    {
        foreach (var secret in Bootstrap.StaticSecrets)
            TakeSecret(secret, diagnostics);
        foreach (var cluster in Bootstrap.StaticClusters)
            Take(XdsTypes.Cluster, cluster, "static", diagnostics);
        foreach (var listener in Bootstrap.StaticListeners)
            Take(XdsTypes.Listener, listener, "static", diagnostics);
        HasClusters = Bootstrap.ClusterSource is null;
        HasListeners = Bootstrap.ListenerSource is null;
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
        foreach (var (name, _, resource) in update.Resources)
        {
            var diagnostics = new Diagnostics();
            if (update.Type == XdsTypes.Secret)
                TakeSecret(resource, diagnostics);
            else
                Take(update.Type, resource, source, diagnostics);
            if (diagnostics.HasErrors)
                refused[name] = diagnostics.Summary();
        }
        var table = Table(update.Type);
        if (table is not null)
        {
            var gone = update.IsFullState
                ? table.Where(e => e.Value.Source == source && !update.Resources.Any(r => r.Name == e.Key)).Select(e => e.Key).ToList()
                : update.Removed.Where(table.ContainsKey).ToList();
            foreach (var name in gone)
            {
                table.Remove(name);
                if (update.Type == XdsTypes.Cluster)
                    stats.Counter(StatScope.Server, "", "cluster_manager.cluster_removed").AddShared();
                if (update.Type == XdsTypes.Listener)
                    stats.Counter(StatScope.Server, "", "listener_manager.listener_removed").AddShared();
            }
        }
        HasClusters |= update.Type == XdsTypes.Cluster;
        HasListeners |= update.Type == XdsTypes.Listener;
        return refused;
    }

    private Dictionary<string, Entry>? Table(string type) => type switch
    {
        XdsTypes.Cluster => _clusters,
        XdsTypes.Listener => _listeners,
        XdsTypes.Route => _routes,
        XdsTypes.Endpoint => _endpoints,
        _ => null,
    };

    private void TakeSecret(Node resource, Diagnostics diagnostics)
    {
        var name = resource["name"]?.AsText ?? "";
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
        _secretResources[name] = resource;
        if (_secrets.TryGetValue(name, out var old) && old.ContentHash == secret.ContentHash)
            return;
        _secrets[name] = secret;
        _secretVersion++;
    }

    /// <summary>Errors go to whoever sent the resource, warnings to the log.</summary>
    private void Report(ConversionContext context, Diagnostics diagnostics)
    {
        _warnings.Tell(context.Diagnostics);
        foreach (var finding in context.Diagnostics.All.Where(f => f.Severity == Severity.Error))
            diagnostics.Add(finding);
    }

    /// <summary>Lets OpenSSL look at a secret before anything depends on it.</summary>
    private static string? CheckSecret(SecretConfig secret)
    {
        try
        {
            _ = new Loop.TlsContext(new Loop.TlsContextOptions
            {
                IsServer = true,
                Certificates = secret.ChainPem.Length > 0 ? [(secret.ChainPem, secret.KeyPem)] : [],
                TrustedCaPem = secret.TrustedCaPem,
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
        var table = Table(type);
        if (table is null)
            return;
        if (type == XdsTypes.Listener && name.Length == 0)
            name = resource.At("address", "socket_address") is { } at ? $"{at["address"]?.AsText}:{at["port_value"]?.AsText}" : "listener";
        if (table.TryGetValue(name, out var old) && old.Source == source && old.Resource.DeepEquals(resource))
            return;
        var entry = new Entry { Resource = resource, Source = source };
        if (!Convert(type, name, entry, diagnostics))
            return;
        if (type == XdsTypes.Cluster)
            stats.Counter(StatScope.Server, "", old is null ? "cluster_manager.cluster_added" : "cluster_manager.cluster_modified").AddShared();
        if (type == XdsTypes.Listener)
            stats.Counter(StatScope.Server, "", old is null ? "listener_manager.listener_added" : "listener_manager.listener_modified").AddShared();
        table[name] = entry;
    }

    private bool Convert(string type, string name, Entry entry, Diagnostics diagnostics)
    {
        var context = new ConversionContext($"{Kind(type)} {name}", n => _secrets.GetValueOrDefault(n));
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
    public void SetResolved(string cluster, LoadAssignmentConfig endpoints) => _resolved[cluster] = endpoints;

    /// <summary>Endpoints of a cluster did not come in time: it goes on without.</summary>
    public void GiveUpWaiting(string cluster) => _noEndpointsYet.Add(cluster);

    /// <summary>Names wanted from each source and type now.</summary>
    public Dictionary<(string Source, string Type), SortedSet<string>> Interest()
    {
        var interest = new Dictionary<(string, string), SortedSet<string>>();
        void Want(string source, string type, string name)
        {
            if (source == "static")
                return;
            if (!interest.TryGetValue((source, type), out var names))
                interest[(source, type)] = names = new SortedSet<string>(StringComparer.Ordinal);
            names.Add(name);
        }
        foreach (var entry in _clusters.Values)
        {
            if (entry.Converted is ConvertedCluster { EndpointSource: { } source } cluster)
                Want(source, XdsTypes.Endpoint, cluster.EndpointName);
        }
        foreach (var entry in _listeners.Values)
        {
            foreach (var route in ((ConvertedListener)entry.Converted!).Routes)
                Want(route.SourceKey, XdsTypes.Route, route.Name);
        }
        foreach (var entry in _clusters.Values.Concat(_listeners.Values))
        {
            foreach (var secret in entry.Secrets)
                Want(secret.SourceKey, XdsTypes.Secret, secret.Name);
        }
        return interest;
    }

    /// <summary>Statistic prefixes of the managers that use a route configuration.</summary>
    public IEnumerable<string> StatPrefixesOf(string route) => _listeners.Values
        .SelectMany(l => ((ConvertedListener)l.Converted!).Routes).Where(r => r.Name == route).Select(r => r.StatPrefix).Distinct();

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
            var ready = entry.Missing.Count == 0 && (cluster.EndpointSource is null || _endpoints.ContainsKey(cluster.EndpointName) || _noEndpointsYet.Contains(name));
            // A sidecar's workload certificate may come after its clusters: they may carry traffic that needs none.
            if (ready || (cluster.EndpointSource is null && entry.Missing.Count > 0 && cluster.Config.TransportMatches.Count > 0))
                _activeClusters[name] = cluster;
            else
                warming = true;
        }
        foreach (var (name, _) in _activeListeners)
        {
            if (!_listeners.ContainsKey(name))
                _activeListeners.Remove(name);
        }
        foreach (var (name, entry) in _listeners)
        {
            var listener = (ConvertedListener)entry.Converted!;
            if (entry.Missing.Count == 0 && listener.Routes.All(r => _routes.ContainsKey(r.Name)))
                _activeListeners[name] = listener;
            else
                warming = true;
        }
        HasWarming = warming;
        Current = new ProxySnapshot
        {
            Version = ++_version,
            Clusters = _activeClusters.ToDictionary(c => c.Key, c => c.Value.Config, StringComparer.Ordinal),
            Endpoints = _activeClusters.ToDictionary(c => c.Key, c => EndpointsOf(c.Value), StringComparer.Ordinal),
            Routes = _routes.ToDictionary(r => r.Key, r => (RouteTable)r.Value.Converted!, StringComparer.Ordinal),
            Listeners = _activeListeners.Values.Select(l => l.Config).ToList(),
            Node = Bootstrap.Facts,
        };
        return Current;
    }

    private void RefreshSecrets(Dictionary<string, Entry> table, string type)
    {
        foreach (var (name, entry) in table)
        {
            if (entry.Secrets.Count > 0 && entry.SecretsSeen != _secretVersion)
                Convert(type, name, entry, new Diagnostics());
        }
    }

    private LoadAssignmentConfig EndpointsOf(ConvertedCluster cluster)
    {
        if (cluster.EndpointSource is not null)
            return _endpoints.TryGetValue(cluster.EndpointName, out var entry) ? (LoadAssignmentConfig)entry.Converted! : LoadAssignmentConfig.Empty;
        if (_resolved.TryGetValue(cluster.Config.Name, out var resolved))
            return resolved;
        return cluster.Inline ?? LoadAssignmentConfig.Empty;
    }

    /// <summary>Clusters whose endpoints come from DNS.</summary>
    public IEnumerable<ConvertedCluster> DnsClusters => _clusters.Values.Select(e => (ConvertedCluster)e.Converted!).Where(c => c.Config.DnsTargets.Count > 0);

    /// <summary>The static cluster that a gRPC source uses.</summary>
    public Node? StaticCluster(string name) => Bootstrap.StaticClusters.FirstOrDefault(c => c["name"]?.AsText == name);
}
