using Tulle.Base.Documents;
using Tulle.Model;

namespace Tulle.Translate;

/// <summary>How a cluster is called: TLS as a DestinationRule says, mutual TLS of the mesh where the other side has it, or plain text.</summary>
internal sealed record ClientTls
{
    /// <summary>The one way to every endpoint; null: plain, or by <see cref="Matches"/>.</summary>
    public Node? Socket { get; init; }

    /// <summary>Two ways, chosen by each endpoint's label.</summary>
    public Node? Matches { get; init; }

    /// <summary>The server's name and the name in its certificate are the request's host.</summary>
    public Node? AutomaticNames { get; init; }

    private static readonly ClientTls s_plain = new();

    /// <summary>The mesh's ALPN names must not be spoken to a server outside of it.</summary>
    public bool IsOriginated { get; init; }

    /// <summary>Whether a policy says something other than the mesh's own TLS: endpoints are then told without the mesh's label.</summary>
    public static bool IsOverridden(Node? policy) => policy?["tls"] is { } tls && tls["mode"]?.AsText != "ISTIO_MUTUAL";

    /// <summary>Secrets that the control plane delivers for it.</summary>
    public static string Credential(Node? policy) => policy?["tls"] is { } tls && tls["mode"]?.AsText is "SIMPLE" or "MUTUAL" ? policy["tls"]!["credentialName"]?.AsText ?? "" : "";

    public static ClientTls Of(MeshModel model, ProxyView proxy, MeshService service, MeshPort port, Node? policy, string subset, bool byOriginalDestination)
    {
        var isHttp2 = port.Protocol == PortProtocol.Http2;
        var meshName = $"outbound_.{port.Port}_.{subset}_.{service.Host}";
        if (policy?["tls"] is not { } tls)
            return Automatic(model, proxy, service, port, meshName, isHttp2, byOriginalDestination);
        var sni = tls["sni"]?.AsText ?? "";
        var names = (tls["subjectAltNames"]?.Items ?? []).Select(n => n.AsText).ToList();
        // An enum of protobuf: what is left out is the first, DISABLE.
        switch (tls["mode"]?.AsText)
        {
            case "ISTIO_MUTUAL":
                return new ClientTls { Socket = TlsShapes.Outbound(proxy, sni.Length > 0 ? sni : meshName, names.Count > 0 ? names : Identities(model, service), isHttp2) };
            case "SIMPLE" or "MUTUAL":
                var skip = tls["insecureSkipVerify"] is { } flag && (flag.AsBool || flag.AsText == "true");
                return new ClientTls
                {
                    Socket = TlsShapes.Originated(tls, names.Count > 0 ? names : service.SubjectAltNames, skip, isHttp2),
                    IsOriginated = true,
                    AutomaticNames = sni.Length > 0 ? null : Node.Map(("auto_sni", true), ("auto_san_validation", names.Count == 0 && !skip ? Node.Of(true) : null)),
                };
            default:
                return s_plain;
        }
    }

    private static IReadOnlyList<string> Identities(MeshModel model, MeshService service) =>
        service.SubjectAltNames.Count > 0 ? service.SubjectAltNames : model.Identities(service);

    private static ClientTls Automatic(MeshModel model, ProxyView proxy, MeshService service, MeshPort port, string sni, bool isHttp2, bool byOriginalDestination)
    {
        if (service.IsExternal)
            return s_plain;
        var socket = TlsShapes.Outbound(proxy, sni, Identities(model, service), isHttp2);
        if (!byOriginalDestination)
            return new ClientTls { Matches = TlsShapes.AutoMatches(socket) };
        // Nobody tells which endpoint it will be: mutual TLS only when each of them has it.
        var endpoints = model.EndpointsOf(service, port);
        return endpoints.Count > 0 && endpoints.TrueForAll(e => model.TakesMutualTls(e)) ? new ClientTls { Socket = socket } : s_plain;
    }
}
