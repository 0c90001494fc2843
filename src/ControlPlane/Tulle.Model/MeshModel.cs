using Tulle.Resources;

namespace Tulle.Model;

/// <summary>Settings of the mesh; defaults are Istio's.</summary>
public sealed record MeshSettings
{
    public string TrustDomain { get; init; } = "cluster.local";

    public string RootNamespace { get; init; } = "istio-system";

    public string DomainSuffix { get; init; } = "cluster.local";

    public string ClusterId { get; init; } = "Kubernetes";

    /// <summary>Pods of Deployments that nobody runs get made-up addresses, so that a folder can be looked at without running it.</summary>
    public bool SimulatePods { get; init; }

    /// <summary>AuthorizationPolicies and RequestAuthentications have no effect, instead of closing what they select.</summary>
    public bool AllowUnenforcedPolicies { get; init; }

    public AccessLogSettings AccessLog { get; init; } = new("", "", false);
}

/// <summary>Where and what sidecars log.</summary>
/// <param name="Path">The file; empty is off. Source: MeshConfig accessLogFile.</param>
/// <param name="Format">Envoy's format string; empty is Istio's. Source: MeshConfig accessLogFormat.</param>
/// <param name="WithIdentities">Adds both peers' SPIFFE ids to Istio's format.</param>
public sealed record AccessLogSettings(string Path, string Format, bool WithIdentities);

/// <summary>The mesh as plain immutable facts: services, workloads, rules, and the questions that translation asks of them.</summary>
public sealed class MeshModel
{
    private readonly Dictionary<string, MeshService> _byHost;
    private readonly Dictionary<string, Workload> _byAddress = new(StringComparer.Ordinal);
    private readonly ILookup<string, EndpointSliceResource> _slices;

    private MeshModel(ResourceSet resources, MeshSettings settings, List<MeshService> services, List<Workload> workloads)
    {
        Resources = resources;
        Settings = settings;
        Services = services.OrderBy(s => s.Host, StringComparer.Ordinal).ToList();
        Workloads = workloads;
        _byHost = new Dictionary<string, MeshService>(StringComparer.Ordinal);
        foreach (var service in Services)
            _byHost.TryAdd(service.Host, service);
        foreach (var workload in workloads.Where(w => w.Address.Length > 0))
            _byAddress.TryAdd(workload.Address, workload);
        _slices = resources.EndpointSlices.ToLookup(s => $"{s.Meta.Namespace}/{s.Service}", StringComparer.Ordinal);
    }

    public ResourceSet Resources { get; }

    public MeshSettings Settings { get; }

    public IReadOnlyList<MeshService> Services { get; }

    public IReadOnlyList<Workload> Workloads { get; }

    public static MeshModel Build(ResourceSet resources, MeshSettings settings, AddressAllocator addresses)
    {
        foreach (var service in resources.Services)
        {
            if (service.ClusterIP.Length > 0)
                addresses.Reserve(service.ClusterIP);
        }
        var services = resources.Services.Select(s => FromService(s, settings, addresses)).ToList();
        foreach (var entry in resources.ServiceEntries)
            services.AddRange(FromEntry(entry));
        return new MeshModel(resources, settings, services, ReadWorkloads(resources, settings, addresses));
    }

    private static MeshService FromService(ServiceResource service, MeshSettings settings, AddressAllocator addresses)
    {
        var meta = service.Meta;
        var headless = service.ClusterIP == "None";
        return new MeshService
        {
            Host = $"{meta.Name}.{meta.Namespace}.svc.{settings.DomainSuffix}",
            Name = meta.Name,
            Namespace = meta.Namespace,
            Address = headless || service.ExternalName.Length > 0 ? "" : service.ClusterIP.Length > 0 ? service.ClusterIP : addresses.Service($"{meta.Namespace}/{meta.Name}"),
            Ports = service.Ports.Select(p => new MeshPort(p.Name, p.Port, p.TargetPort, ProtocolNames.Of(p.Name, p.Port, p.AppProtocol, p.Protocol))).ToList(),
            Selector = service.Selector,
            Resolution = headless ? Resolution.Headless : Resolution.Endpoints,
            ExportTo = meta.Annotation("networking.istio.io/exportTo") is { Length: > 0 } export ? export.Split(',', StringSplitOptions.TrimEntries) : [],
            Position = meta.Position,
        };
    }

    private static IEnumerable<MeshService> FromEntry(ServiceEntryResource entry) => entry.Hosts.Select(host => new MeshService
    {
        Host = host,
        Name = host,
        Namespace = entry.Meta.Namespace,
        EntryName = entry.Meta.Name,
        SubjectAltNames = entry.SubjectAltNames,
        Address = entry.Addresses.Count == 1 && !entry.Addresses[0].Contains('/') ? entry.Addresses[0] : "",
        Ports = entry.Ports.Select(p => new MeshPort(p.Name, p.Number, p.TargetPort.ToString(System.Globalization.CultureInfo.InvariantCulture),
            p.Protocol.Length > 0 ? ProtocolNames.FromWord(p.Protocol) ?? PortProtocol.Tcp : ProtocolNames.Of(p.Name, p.Number, "", ""))).ToList(),
        Selector = entry.Selector,
        Resolution = entry.Resolution switch { "STATIC" => Resolution.Endpoints, "DNS" or "DNS_ROUND_ROBIN" or "DYNAMIC_DNS" => Resolution.Dns, _ => Resolution.None },
        IsExternal = entry.Location == "MESH_EXTERNAL",
        Given = entry.Endpoints.Count > 0 ? entry.Endpoints.Select(e => (e.Address, e.Labels, e.Ports, e.Weight)).ToList()
            : entry.Resolution.StartsWith("DNS", StringComparison.Ordinal) ? [(host, new Dictionary<string, string>(), new Dictionary<string, int>(), 0)] : [],
        ExportTo = entry.ExportTo,
        Position = entry.Meta.Position,
    });

    private static List<Workload> ReadWorkloads(ResourceSet resources, MeshSettings settings, AddressAllocator addresses)
    {
        // A pod that runs says itself what it has (the injector wrote it there). Only what nobody runs is guessed.
        var injected = resources.Namespaces.Where(n => n.Meta.Label("istio-injection") == "enabled" || n.Meta.Labels.ContainsKey("istio.io/rev")).Select(n => n.Meta.Name).ToHashSet(StringComparer.Ordinal);
        var workloads = resources.Pods.Where(p => p.PodIP.Length > 0).Select(p => FromTemplate(p.Meta.Name, p.Meta.Namespace, p.OwnerName, p.Template, p.PodIP, p.IsReady, injected: null)).ToList();
        if (!settings.SimulatePods)
            return workloads;
        foreach (var deployment in resources.Workloads)
        {
            for (var i = 0; i < deployment.Replicas; i++)
            {
                var name = $"{deployment.Meta.Name}-5d9f7c6b8-{i:D5}";
                workloads.Add(FromTemplate(name, deployment.Meta.Namespace, deployment.Meta.Name, deployment.Template, addresses.Pod($"{deployment.Meta.Namespace}/{name}"), true, injected));
            }
        }
        return workloads;
    }

    private static Workload FromTemplate(string name, string space, string owner, PodTemplateResource template, string address, bool ready, HashSet<string>? injected)
    {
        var inject = injected is not null && (template.Labels.TryGetValue("sidecar.istio.io/inject", out var label) ? label == "true"
            : template.Annotations.TryGetValue("sidecar.istio.io/inject", out var note) ? note == "true" : injected.Contains(space))
            && !(template.Spec["hostNetwork"] is { Kind: Base.Documents.NodeKind.Bool, AsBool: true });
        var isGateway = template.Annotations.TryGetValue("inject.istio.io/templates", out var templates) && templates.Contains("gateway", StringComparison.Ordinal);
        var labels = template.Labels.ContainsKey("security.istio.io/tlsMode") || !inject || isGateway ? template.Labels
            : new Dictionary<string, string>(template.Labels, StringComparer.Ordinal) { ["security.istio.io/tlsMode"] = "istio" };
        return new Workload
        {
            Name = name,
            Namespace = space,
            Address = address,
            Labels = labels,
            Annotations = template.Annotations,
            ServiceAccount = template.ServiceAccount,
            OwnerName = owner,
            IsReady = ready,
            HasSidecar = labels.TryGetValue("security.istio.io/tlsMode", out var mode) && mode == "istio",
            NamedPorts = template.Ports.Where(p => p.Name.Length > 0).GroupBy(p => p.Name, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.First().Port, StringComparer.Ordinal),
        };
    }

    public MeshService? FindService(string host) => _byHost.GetValueOrDefault(host);

    public Workload? FindWorkload(string address) => _byAddress.GetValueOrDefault(address);

    /// <summary>A short name in a rule means a service of the rule's namespace.</summary>
    public string ResolveHost(string host, string space) =>
        host.Contains('.') || host == "*" ? host : $"{host}.{space}.svc.{Settings.DomainSuffix}";

    /// <summary>"name.namespace" also is a service when one has that name.</summary>
    public MeshService? FindDestination(string host, string space)
    {
        if (FindService(ResolveHost(host, space)) is { } direct)
            return direct;
        var parts = host.Split('.');
        return parts.Length is 2 or 3 ? FindService($"{parts[0]}.{parts[1]}.svc.{Settings.DomainSuffix}") : null;
    }

    /// <summary>Endpoints of a service port: from EndpointSlices when there are some, else from the pods that the selector finds.</summary>
    public List<MeshEndpoint> EndpointsOf(MeshService service, MeshPort port)
    {
        var result = new List<MeshEndpoint>();
        var slices = _slices[$"{service.Namespace}/{service.Name}"].ToList();
        if (slices.Count > 0)
        {
            foreach (var slice in slices)
            {
                var number = slice.Ports.Where(p => p.Name == port.Name || (slice.Ports.Count == 1 && p.Name.Length == 0)).Select(p => p.Port).FirstOrDefault();
                if (number == 0)
                    continue;
                foreach (var endpoint in slice.Endpoints)
                {
                    var workload = FindWorkload(endpoint.Address);
                    result.Add(new MeshEndpoint(endpoint.Address, number, endpoint.IsReady, workload, workload?.Labels ?? new Dictionary<string, string>(), 1));
                }
            }
            return result;
        }
        foreach (var given in service.Given)
        {
            var number = given.Ports.TryGetValue(port.Name, out var own) ? own : int.TryParse(port.TargetPort, out var target) ? target : port.Port;
            result.Add(new MeshEndpoint(given.Address, number, true, FindWorkload(given.Address), given.Labels, Math.Max(1, given.Weight)));
        }
        if (service.Selector.Count == 0)
            return result;
        foreach (var workload in Workloads)
        {
            if (workload.Namespace != service.Namespace || !workload.Matches(service.Selector))
                continue;
            var number = workload.PortOf(port.TargetPort, port.Port);
            if (number > 0)
                result.Add(new MeshEndpoint(workload.Address, number, workload.IsReady, workload, workload.Labels, 1));
        }
        return result;
    }

    /// <summary>Services that a workload is behind, with the port at the workload.</summary>
    public IEnumerable<(MeshService Service, MeshPort Port, int TargetPort)> ServicesOf(Workload workload)
    {
        foreach (var service in Services)
        {
            if (service.Namespace != workload.Namespace || service.Selector.Count == 0 || !workload.Matches(service.Selector))
                continue;
            foreach (var port in service.Ports)
            {
                var number = workload.PortOf(port.TargetPort, port.Port);
                if (number > 0 && port.Protocol != PortProtocol.Udp)
                    yield return (service, port, number);
            }
        }
    }

    /// <summary>
    /// Whether clients may speak mutual TLS to an endpoint: it says so by its label, and no PeerAuthentication switched it off at this port. A proxy that takes
    /// plain text only must be told nothing else.
    /// </summary>
    public bool TakesMutualTls(MeshEndpoint endpoint)
    {
        var says = endpoint.Labels.TryGetValue("security.istio.io/tlsMode", out var label) && label == "istio";
        if (!says)
            return false;
        return endpoint.Workload is not { } workload || MutualTlsMode(workload.Namespace, workload.Labels, endpoint.Port) != "DISABLE";
    }

    /// <summary>STRICT, PERMISSIVE or DISABLE for a port of a workload: workload over namespace over mesh, the oldest of a level, UNSET inherits.</summary>
    public string MutualTlsMode(string space, IReadOnlyDictionary<string, string> labels, int port)
    {
        PeerAuthenticationResource? Oldest(Func<PeerAuthenticationResource, bool> fits) =>
            Resources.PeerAuthentications.Where(fits).OrderBy(p => p.Meta.Order).FirstOrDefault();
        var mode = "PERMISSIVE";
        void Layer(string given) => mode = given == "UNSET" ? mode : given;
        if (Oldest(p => p.Meta.Namespace == Settings.RootNamespace && p.Selector.Count == 0) is { } mesh)
            Layer(mesh.Mode);
        if (space != Settings.RootNamespace && Oldest(p => p.Meta.Namespace == space && p.Selector.Count == 0) is { } inNamespace)
            Layer(inNamespace.Mode);
        var own = Oldest(p => p.Meta.Namespace == space && p.Selector.Count > 0 && p.Selector.All(s => labels.TryGetValue(s.Key, out var v) && v == s.Value));
        if (own is not null)
        {
            Layer(own.Mode);
            if (own.PortModes.TryGetValue(port, out var portMode))
                Layer(portMode);
        }
        return mode;
    }

    /// <summary>The destination rule of a host as a client in a namespace sees it: client's namespace, then the service's, then the root.</summary>
    public DestinationRuleResource? RuleFor(string host, string serviceNamespace, string clientNamespace)
    {
        foreach (var space in new[] { clientNamespace, serviceNamespace, Settings.RootNamespace }.Distinct(StringComparer.Ordinal))
        {
            DestinationRuleResource? best = null;
            var bestLength = -1;
            foreach (var rule in Resources.DestinationRules.Where(r => r.Meta.Namespace == space).OrderBy(r => r.Meta.Order))
            {
                var wanted = ResolveHost(rule.Host, space);
                if (!Matches(wanted, host) || !IsExported(rule.ExportTo, space, clientNamespace))
                    continue;
                var length = wanted == host ? int.MaxValue : wanted.Length;
                if (length > bestLength)
                    (best, bestLength) = (rule, length);
            }
            if (best is not null)
                return best;
        }
        return null;
    }

    public static bool Matches(string pattern, string host) =>
        pattern == host || pattern == "*" || (pattern.StartsWith("*.", StringComparison.Ordinal) && host.EndsWith(pattern.AsSpan(1), StringComparison.Ordinal));

    /// <summary>Whether exportTo of something in one namespace lets another see it.</summary>
    public static bool IsExported(IReadOnlyList<string> exportTo, string from, string to) =>
        exportTo.Count == 0 || exportTo.Contains("*") || exportTo.Contains(to) || (exportTo.Contains(".") && from == to);

    /// <summary>Rules for sidecars ("mesh"), oldest first.</summary>
    public IEnumerable<VirtualServiceResource> MeshRules(string clientNamespace) => Resources.VirtualServices
        .Where(v => v.Gateways.Contains("mesh") && IsExported(v.ExportTo, v.Meta.Namespace, clientNamespace)).OrderBy(v => v.Meta.Order);

    /// <summary>Service accounts behind a service, as SPIFFE ids.</summary>
    public List<string> Identities(MeshService service) => service.Ports
        .SelectMany(p => EndpointsOf(service, p)).Select(e => e.Workload).OfType<Workload>()
        .Select(w => $"spiffe://{Settings.TrustDomain}/ns/{w.Namespace}/sa/{w.ServiceAccount}").Distinct().Order(StringComparer.Ordinal).ToList();
}
