using Tulle.Model;
using Tulle.Resources;

namespace Tulle.Translate;

/// <summary>Which rules a gateway's server takes, and under which names: its hosts say what may come in, for each namespace.</summary>
internal static class GatewayRules
{
    /// <summary>Rules that name a gateway and that its proxy may see, oldest first.</summary>
    public static IEnumerable<VirtualServiceResource> Of(MeshModel model, ProxyView proxy, GatewayResource gateway) => model.Resources.VirtualServices
        .Where(v => v.Gateways.Any(g => Names(model, g, v.Meta.Namespace, gateway)) && MeshModel.IsExported(v.ExportTo, v.Meta.Namespace, proxy.Namespace))
        .OrderBy(v => v.Meta.Order);

    /// <summary>NAMESPACE/NAME, ./NAME, NAME, or the old NAME.NAMESPACE.svc.DOMAIN.</summary>
    public static bool Names(MeshModel model, string written, string space, GatewayResource gateway)
    {
        var slash = written.IndexOf('/');
        if (slash >= 0)
            return written[(slash + 1)..] == gateway.Meta.Name && (written[..slash] == "." ? space : written[..slash]) == gateway.Meta.Namespace;
        return (written == gateway.Meta.Name && space == gateway.Meta.Namespace)
            || written == $"{gateway.Meta.Name}.{gateway.Meta.Namespace}.svc.{model.Settings.DomainSuffix}";
    }

    /// <summary>Names under which a server serves a rule: what both of them name, the narrower of two wildcards.</summary>
    public static IEnumerable<string> Hosts(MeshModel model, GatewayResource gateway, GatewayServerResource server, VirtualServiceResource rule) => rule.Hosts
        .Select(h => h.Contains('.') || h.Contains('*') ? h : model.ResolveHost(h, rule.Meta.Namespace))
        .SelectMany(h => server.Hosts.Select(s => Intersection(gateway, s, h, rule.Meta.Namespace)).OfType<string>()).Distinct(StringComparer.Ordinal);

    /// <summary>Null when the server's host is closed to the rule's namespace or the names have nothing in common.</summary>
    private static string? Intersection(GatewayResource gateway, string serverHost, string host, string space)
    {
        var slash = serverHost.IndexOf('/');
        if (slash >= 0)
        {
            var wanted = serverHost[..slash] == "." ? gateway.Meta.Namespace : serverHost[..slash];
            if (wanted != "*" && wanted != space)
                return null;
            serverHost = serverHost[(slash + 1)..];
        }
        return MeshModel.Matches(serverHost, host) ? host : MeshModel.Matches(host, serverHost) ? serverHost : null;
    }

    /// <summary>The names of a TLS match that a server lets in.</summary>
    public static List<string> Sni(MeshModel model, GatewayResource gateway, GatewayServerResource server, VirtualServiceResource rule, TcpMatchResource match)
    {
        var let = Hosts(model, gateway, server, rule).ToList();
        return match.SniHosts.SelectMany(s => let.Select(l => MeshModel.Matches(l, s) ? s : MeshModel.Matches(s, l) ? l : null)).OfType<string>()
            .Distinct(StringComparer.Ordinal).ToList();
    }

    /// <summary>Whether a match of tcp or tls is for this gateway at this port and this proxy.</summary>
    public static bool Applies(MeshModel model, TcpMatchResource match, VirtualServiceResource rule, ProxyView proxy, int port, GatewayResource? gateway) =>
        (match.Port is null || match.Port == port)
        && (match.Gateways.Count == 0 || match.Gateways.Any(g => gateway is null ? g == "mesh" : g != "mesh" && Names(model, g, rule.Meta.Namespace, gateway)))
        && (match.SourceNamespace.Length == 0 || match.SourceNamespace == proxy.Namespace)
        && match.SourceLabels.All(l => proxy.Label(l.Key) == l.Value);
}
