using System.Net;
using System.Net.Sockets;
using Tulle.Base.Documents;

namespace Tulle.Cli;

/// <summary>Which proxies are connected, and whether they took what they were sent.</summary>
internal static class ProxyStatusCommand
{
    public const string Help = """
        tulle proxy-status: the proxies of the local mesh and whether they are in step with the control plane.

        Usage: tulle proxy-status [-o short|json|yaml] [--state DIR]

        Example:
          tulle proxy-status

        A type in step is told by its name; REJECTED is NAME!, others are NAME:SENT, NAME:STALE, NAME:PENDING.

        Exit codes: 0 all in step, 79 a proxy refused something.
        """;

    /// <summary>A type that is in step is told by its name alone.</summary>
    private static string Word(KeyValuePair<string, Node> type) => type.Value["status"]?.AsText switch
    {
        "SYNCED" or null => type.Key,
        "REJECTED" => type.Key + "!",
        var status => $"{type.Key}:{status}",
    };

    /// <summary>Policies that cannot be enforced yet close the workload.</summary>
    private static string ClosedBy(Node proxy) => proxy["closed_by"]?.Items is { Count: > 0 } policies ? $" CLOSED by {string.Join(", ", policies.Select(p => p.AsText))}" : "";

    public static async Task<int> RunAsync(Arguments arguments)
    {
        var state = arguments.Text("--state", "/run/tulle");
        MeshIndex.Read(state);
        using var client = new HttpClient(new SocketsHttpHandler
        {
            ConnectCallback = async (_, stop) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(state, "xds.sock")), stop);
                return new NetworkStream(socket, ownsSocket: true);
            },
        })
        { DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        var proxies = NodeJson.Parse(await client.GetByteArrayAsync("http://tulle-control/debug/syncz"));
        var rows = proxies.Items.Select(p =>
        {
            var id = (p["proxy"]?.AsText ?? "").Split('~');
            var types = p["types"]?.Fields ?? [];
            return new[]
            {
                id.Length == 4 ? id[2] : p["proxy"]?.AsText ?? "", p["cluster_id"]?.AsText ?? "", "tulle-control", p["version"]?.AsText ?? "",
                $"{types.Count} ({string.Join(",", types.Select(t => Word(t)))}){ClosedBy(p)}",
            };
        }).OrderBy(r => r[0], StringComparer.Ordinal).ToList();
        Table.Print(arguments.Text("-o"), ["NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES"], rows, proxies);
        return proxies.Items.Any(p => p["types"]?.Fields.Any(t => t.Value["status"]?.AsText == "REJECTED") == true) ? 79 : 0;
    }
}
