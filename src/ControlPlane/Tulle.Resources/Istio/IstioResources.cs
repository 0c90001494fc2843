using Tulle.Base.Documents;

namespace Tulle.Resources;

/// <summary>exact, prefix or regex.</summary>
public sealed record StringMatchResource(string Kind, string Value);

public sealed record DestinationResource(string Host, string Subset, int? Port, SourcePosition Position);

public sealed record WeightedDestinationResource(DestinationResource Destination, int Weight, Node? Headers);

public sealed record HttpMatchResource(string Name, StringMatchResource? Uri, bool IgnoreUriCase, StringMatchResource? Method, StringMatchResource? Authority, StringMatchResource? Scheme,
    IReadOnlyList<(string Name, StringMatchResource Match)> Headers, IReadOnlyList<(string Name, StringMatchResource Match)> WithoutHeaders,
    IReadOnlyList<(string Name, StringMatchResource Match)> QueryParams, int? Port, IReadOnlyDictionary<string, string> SourceLabels, string SourceNamespace, IReadOnlyList<string> Gateways);

/// <summary>One rule of http[]. Parts that map one to one to Envoy fields stay as written.</summary>
public sealed record HttpRouteResource(string Name, IReadOnlyList<HttpMatchResource> Matches, IReadOnlyList<WeightedDestinationResource> Routes, Node? Redirect, Node? DirectResponse,
    Node? Rewrite, string Timeout, Node? Retries, Node? Fault, Node? Headers, Node? Cors, IReadOnlyList<(DestinationResource Destination, double Percent)> Mirrors);

/// <summary>One match of tcp[] or tls[].</summary>
public sealed record TcpMatchResource(int? Port, IReadOnlyList<string> SniHosts, IReadOnlyList<string> Gateways, IReadOnlyDictionary<string, string> SourceLabels, string SourceNamespace);

/// <summary>One rule of tcp[] or tls[].</summary>
public sealed record TcpRouteResource(IReadOnlyList<TcpMatchResource> Matches, IReadOnlyList<WeightedDestinationResource> Routes);

public sealed record VirtualServiceResource(ObjectMeta Meta, IReadOnlyList<string> Hosts, IReadOnlyList<string> Gateways, IReadOnlyList<HttpRouteResource> Http,
    IReadOnlyList<TcpRouteResource> Tcp, IReadOnlyList<TcpRouteResource> Tls, IReadOnlyList<string> ExportTo);

public sealed record SubsetResource(string Name, IReadOnlyDictionary<string, string> Labels, Node? TrafficPolicy);

public sealed record DestinationRuleResource(ObjectMeta Meta, string Host, Node? TrafficPolicy, IReadOnlyList<SubsetResource> Subsets, IReadOnlyList<string> ExportTo);

/// <param name="Mode">PASSTHROUGH, SIMPLE, MUTUAL, AUTO_PASSTHROUGH, ISTIO_MUTUAL, OPTIONAL_MUTUAL; empty without TLS.</param>
/// <param name="CredentialName">Secret with certificate, key and, for MUTUAL, the CA.</param>
/// <param name="HttpsRedirect">Plain HTTP is answered 301.</param>
public sealed record ServerTlsResource(string Mode, string CredentialName, bool HttpsRedirect)
{
    public static readonly ServerTlsResource None = new("", "", false);

    /// <summary>Several Secrets with keys of several kinds, in place of <see cref="CredentialName"/>.</summary>
    public IReadOnlyList<string> CredentialNames { get; init; } = [];

    /// <summary>Secret with the CA of client certificates, where it is not in the server's own.</summary>
    public string CaCredentialName { get; init; } = "";

    public string CertificateFile { get; init; } = "";

    public string KeyFile { get; init; } = "";

    public string CaFile { get; init; } = "";

    public string CrlFile { get; init; } = "";

    /// <summary>Names of which a client certificate must have one; empty: any that the CA signed.</summary>
    public IReadOnlyList<string> SubjectAltNames { get; init; } = [];

    /// <summary>Base64 SHA-256 of a client certificate's public key, of which one must be right.</summary>
    public IReadOnlyList<string> Spki { get; init; } = [];

    /// <summary>Hex SHA-256 of a client certificate, of which one must be right.</summary>
    public IReadOnlyList<string> Hashes { get; init; } = [];

    public string MinVersion { get; init; } = "TLS_AUTO";

    public string MaxVersion { get; init; } = "TLS_AUTO";

    public IReadOnlyList<string> CipherSuites { get; init; } = [];

    /// <summary>The gateway ends TLS, rather than passing it on.</summary>
    public bool Terminates => Mode is "SIMPLE" or "MUTUAL" or "ISTIO_MUTUAL" or "OPTIONAL_MUTUAL";

    public bool AsksForCertificate => Mode is "MUTUAL" or "OPTIONAL_MUTUAL";

    /// <summary>Secrets with the server's certificates.</summary>
    public IReadOnlyList<string> Credentials => CredentialNames.Count > 0 ? CredentialNames : CredentialName.Length > 0 ? [CredentialName] : [];
}

public sealed record GatewayServerResource(int Port, string PortName, string Protocol, IReadOnlyList<string> Hosts, ServerTlsResource Tls, string Name);

public sealed record GatewayResource(ObjectMeta Meta, IReadOnlyDictionary<string, string> Selector, IReadOnlyList<GatewayServerResource> Servers);

public sealed record ServiceEntryPortResource(int Number, string Name, string Protocol, int TargetPort);

public sealed record ServiceEntryEndpointResource(string Address, IReadOnlyDictionary<string, string> Labels, IReadOnlyDictionary<string, int> Ports, int Weight, string ServiceAccount);

public sealed record ServiceEntryResource(ObjectMeta Meta, IReadOnlyList<string> Hosts, IReadOnlyList<string> Addresses, IReadOnlyList<ServiceEntryPortResource> Ports, string Location,
    string Resolution, IReadOnlyList<ServiceEntryEndpointResource> Endpoints, IReadOnlyDictionary<string, string> Selector, IReadOnlyList<string> ExportTo)
{
    /// <summary>Names of which the server's certificate must have one, where TLS is originated.</summary>
    public IReadOnlyList<string> SubjectAltNames { get; init; } = [];
}

/// <param name="Meta">Identity.</param>
/// <param name="Selector">Labels of the workloads; empty for the namespace (or the mesh, in the root namespace).</param>
/// <param name="Mode">UNSET, DISABLE, PERMISSIVE or STRICT.</param>
/// <param name="PortModes">By workload port.</param>
public sealed record PeerAuthenticationResource(ObjectMeta Meta, IReadOnlyDictionary<string, string> Selector, string Mode, IReadOnlyDictionary<int, string> PortModes);

/// <summary>An AuthorizationPolicy or a RequestAuthentication, as far as it says whom it selects.</summary>
/// <param name="Meta">Identity; its kind tells which of the two it is.</param>
/// <param name="Selector">Labels of the workloads; empty for the namespace (or the mesh, in the root namespace).</param>
/// <param name="Targets">Kind and name of what it is attached to instead.</param>
/// <param name="Action">ALLOW, DENY, AUDIT or CUSTOM; empty for a RequestAuthentication.</param>
public sealed record AccessPolicyResource(ObjectMeta Meta, IReadOnlyDictionary<string, string> Selector, IReadOnlyList<(string Kind, string Name)> Targets, string Action)
{
    /// <summary>There is at least one rule.</summary>
    public bool HasRules { get; init; }

    /// <summary>One of the rules has no condition.</summary>
    public bool AllowsAll { get; init; }
}
