using Tulle.Base.Documents;

namespace Tulle.Model;

public enum PortProtocol : byte
{
    Http,
    Http2,
    Tcp,
    Tls,
    /// <summary>Not said: recognised by its first bytes.</summary>
    Auto,
    Udp,
}

public sealed record MeshPort(string Name, int Port, string TargetPort, PortProtocol Protocol);

public enum Resolution : byte
{
    /// <summary>Endpoints by selector (or given): EDS.</summary>
    Endpoints,
    /// <summary>No virtual address: clients go to a pod themselves.</summary>
    Headless,
    Dns,
    /// <summary>Wherever the client was going.</summary>
    None,
}

/// <summary>A service of the mesh, whatever declared it.</summary>
public sealed class MeshService
{
    public required string Host { get; init; }

    public required string Name { get; init; }

    public required string Namespace { get; init; }

    /// <summary>Virtual address; empty when there is none.</summary>
    public string Address { get; init; } = "";

    public IReadOnlyList<MeshPort> Ports { get; init; } = [];

    public IReadOnlyDictionary<string, string> Selector { get; init; } = new Dictionary<string, string>();

    public Resolution Resolution { get; init; }

    public bool IsExternal { get; init; }

    /// <summary>Addresses written down (ServiceEntry STATIC and DNS): IP or name.</summary>
    public IReadOnlyList<(string Address, IReadOnlyDictionary<string, string> Labels, IReadOnlyDictionary<string, int> Ports, int Weight)> Given { get; init; } = [];

    public string EntryName { get; init; } = "";

    /// <summary>Names of which the server's certificate must have one, where TLS goes there.</summary>
    public IReadOnlyList<string> SubjectAltNames { get; init; } = [];

    public IReadOnlyList<string> ExportTo { get; init; } = [];

    public SourcePosition Position { get; init; }

    public bool IsVisibleIn(string space) => ExportTo.Count == 0 || ExportTo.Contains("*") || (ExportTo.Contains(".") && space == Namespace) || ExportTo.Contains(space);
}

/// <summary>A pod with an address.</summary>
public sealed class Workload
{
    public required string Name { get; init; }

    public required string Namespace { get; init; }

    public required string Address { get; init; }

    public required IReadOnlyDictionary<string, string> Labels { get; init; }

    public IReadOnlyDictionary<string, string> Annotations { get; init; } = new Dictionary<string, string>();

    public string ServiceAccount { get; init; } = "default";

    public string OwnerName { get; init; } = "";

    public bool IsReady { get; init; } = true;

    /// <summary>Its side of mutual TLS: a sidecar (or a proxy) terminates it.</summary>
    public bool HasSidecar { get; init; }

    public IReadOnlyDictionary<string, int> NamedPorts { get; init; } = new Dictionary<string, int>();

    public string Label(string name) => Labels.TryGetValue(name, out var value) ? value : "";

    public string CanonicalName => First(Label("service.istio.io/canonical-name"), Label("app.kubernetes.io/name"), Label("app"), OwnerName);

    public string CanonicalRevision => First(Label("service.istio.io/canonical-revision"), Label("app.kubernetes.io/version"), Label("version"), "");

    private static string First(params ReadOnlySpan<string> values)
    {
        foreach (var value in values)
        {
            if (value.Length > 0)
                return value;
        }
        return "";
    }

    public bool Matches(IReadOnlyDictionary<string, string> selector)
    {
        foreach (var (name, value) in selector)
        {
            if (Label(name) != value)
                return false;
        }
        return true;
    }

    /// <summary>The number of a port by number or name; 0 when the pod has no such name.</summary>
    public int PortOf(string target, int otherwise) => target.Length == 0 ? otherwise : int.TryParse(target, out var number) ? number : NamedPorts.GetValueOrDefault(target);
}

/// <summary>One endpoint of a service port.</summary>
public sealed record MeshEndpoint(string Address, int Port, bool IsReady, Workload? Workload, IReadOnlyDictionary<string, string> Labels, int Weight);
