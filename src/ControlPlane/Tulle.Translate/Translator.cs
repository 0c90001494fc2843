using System.Security.Cryptography;
using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Xds;

namespace Tulle.Translate;

/// <summary>(model, one proxy) → its xDS resources. Pure: the same input gives the same bytes.</summary>
public static class Translator
{
    /// <summary>Resources of one type as trees.</summary>
    public static List<Node> Trees(MeshModel model, ProxyView proxy, string type) => proxy.IsProxyless ? ProxylessGrpc.Make(model, proxy, type) : type switch
    {
        XdsTypes.Cluster => ClusterTranslation.Make(model, proxy),
        XdsTypes.Endpoint => EndpointTranslation.Make(model, proxy),
        XdsTypes.Listener => proxy.IsRouter ? GatewayListeners.Make(model, proxy).ToList() : [.. OutboundListeners.Make(model, proxy), InboundListeners.Make(model, proxy)],
        XdsTypes.Route => (proxy.IsRouter ? RouteTables.Router(model, proxy) : RouteTables.Sidecar(model, proxy)).ToList(),
        XdsTypes.Secret => proxy.IsRouter ? GatewaySecrets(model, proxy) : [],
        XdsTypes.NameTable => proxy.IsRouter ? [] : [NameTable(model, proxy)],
        _ => [],
    };

    /// <summary>
    /// The same, encoded and with the hash of the content as version. Never throws: a resource that cannot be made is named, and the others are there.
    /// </summary>
    public static TranslatedResources Resources(MeshModel model, ProxyView proxy, string type)
    {
        var result = new Dictionary<string, XdsResource>(StringComparer.Ordinal);
        var failures = new List<string>();
        if (!XdsTypes.IsTypeUrl(type))
            return new TranslatedResources(result, failures);
        var trees = new List<Node>();
        try
        {
            trees = Trees(model, proxy, type);
        }
        catch (Exception error)
        {
            failures.Add($"{XdsTypes.Short(type)} for {proxy.Id}: {error.GetType().Name}: {error.Message}");
        }
        foreach (var tree in trees)
        {
            var name = type == XdsTypes.NameTable ? "nametable" : tree[XdsTypes.NameField(type)]?.AsText ?? "";
            try
            {
                var bytes = ProtoWriter.Write(type[XdsTypes.Prefix.Length..], tree);
                result[name] = new XdsResource(name, Convert.ToHexStringLower(SHA256.HashData(bytes).AsSpan(0, 8)), type, bytes);
            }
            catch (Exception error)
            {
                failures.Add($"{XdsTypes.Short(type)} {name} for {proxy.Id}: {error.GetType().Name}: {error.Message}");
            }
        }
        return new TranslatedResources(result, failures);
    }

    /// <summary>Certificates that the gateways of a router name, from Secrets of the router's namespace.</summary>
    private static List<Node> GatewaySecrets(MeshModel model, ProxyView proxy)
    {
        var result = new List<Node>();
        var wanted = RouteTables.Servers(model, proxy).SelectMany(s => s.Server.Tls.Credentials.Append(s.Server.Tls.CaCredentialName)).Concat(ClusterTranslation.Credentials(model, proxy));
        foreach (var name in wanted.Where(n => n.Length > 0).Distinct(StringComparer.Ordinal))
        {
            var secret = model.Resources.Secrets.Find(s => s.Meta.Name == name && s.Meta.Namespace == proxy.Namespace);
            if (secret is null)
                continue;
            if (secret.Data.TryGetValue("tls.crt", out var chain) && secret.Data.TryGetValue("tls.key", out var key))
            {
                result.Add(Node.Map(("name", $"kubernetes://{name}"), ("tls_certificate", Node.Map(
                    ("certificate_chain", Node.Map(("inline_bytes", chain))), ("private_key", Node.Map(("inline_bytes", key)))))));
            }
            if (secret.Data.TryGetValue("ca.crt", out var ca))
                result.Add(Node.Map(("name", $"kubernetes://{name}-cacert"), ("validation_context", Node.Map(("trusted_ca", Node.Map(("inline_bytes", ca)))))));
        }
        return result;
    }

    private static Node NameTable(MeshModel model, ProxyView proxy)
    {
        var table = new List<KeyValuePair<string, Node>>();
        foreach (var service in model.Services.Where(s => s.IsVisibleIn(proxy.Namespace)))
        {
            var addresses = service.Address.Length > 0 ? [service.Address]
                : service.Ports.SelectMany(p => model.EndpointsOf(service, p)).Where(e => e.IsReady && e.Workload is not null).Select(e => e.Address).Distinct().ToList();
            if (addresses.Count == 0)
                continue;
            table.Add(new(service.Host, service.EntryName.Length > 0
                ? Node.Map(("ips", Shapes.Strings(addresses)), ("registry", "External"))
                : Node.Map(("ips", Shapes.Strings(addresses)), ("registry", "Kubernetes"), ("shortname", service.Name), ("namespace", service.Namespace))));
        }
        return Node.Map(("table", Node.Map(table)));
    }
}
