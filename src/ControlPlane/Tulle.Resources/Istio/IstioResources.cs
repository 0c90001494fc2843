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

/// <summary>One rule of tcp[] or tls[].</summary>
public sealed record TcpRouteResource(IReadOnlyList<(int? Port, IReadOnlyList<string> SniHosts, IReadOnlyList<string> Gateways)> Matches, IReadOnlyList<WeightedDestinationResource> Routes);

public sealed record VirtualServiceResource(ObjectMeta Meta, IReadOnlyList<string> Hosts, IReadOnlyList<string> Gateways, IReadOnlyList<HttpRouteResource> Http,
    IReadOnlyList<TcpRouteResource> Tcp, IReadOnlyList<TcpRouteResource> Tls, IReadOnlyList<string> ExportTo);

public sealed record SubsetResource(string Name, IReadOnlyDictionary<string, string> Labels, Node? TrafficPolicy);

public sealed record DestinationRuleResource(ObjectMeta Meta, string Host, Node? TrafficPolicy, IReadOnlyList<SubsetResource> Subsets, IReadOnlyList<string> ExportTo);

public sealed record GatewayServerResource(int Port, string PortName, string Protocol, IReadOnlyList<string> Hosts, string TlsMode, string CredentialName, bool HttpsRedirect, string Name);

public sealed record GatewayResource(ObjectMeta Meta, IReadOnlyDictionary<string, string> Selector, IReadOnlyList<GatewayServerResource> Servers);

public sealed record ServiceEntryPortResource(int Number, string Name, string Protocol, int TargetPort);

public sealed record ServiceEntryEndpointResource(string Address, IReadOnlyDictionary<string, string> Labels, IReadOnlyDictionary<string, int> Ports, int Weight, string ServiceAccount);

public sealed record ServiceEntryResource(ObjectMeta Meta, IReadOnlyList<string> Hosts, IReadOnlyList<string> Addresses, IReadOnlyList<ServiceEntryPortResource> Ports, string Location,
    string Resolution, IReadOnlyList<ServiceEntryEndpointResource> Endpoints, IReadOnlyDictionary<string, string> Selector, IReadOnlyList<string> ExportTo);

/// <param name="Meta">Identity.</param>
/// <param name="Selector">Labels of the workloads; empty for the namespace (or the mesh, in the root namespace).</param>
/// <param name="Mode">UNSET, DISABLE, PERMISSIVE or STRICT.</param>
/// <param name="PortModes">By workload port.</param>
public sealed record PeerAuthenticationResource(ObjectMeta Meta, IReadOnlyDictionary<string, string> Selector, string Mode, IReadOnlyDictionary<int, string> PortModes);
