using System.Globalization;
using System.Text;
using Tulle.Base;
using Tulle.Proxy;
using Tulle.Snapshot;
using Tulle.Testing;

namespace Tulle.Sidecar.Tests;

/// <summary>A proxy whose upstreams answer as a function says; for tests of balancing, health and retries.</summary>
internal sealed class UpstreamPlay : IDisposable
{
    private readonly List<(SimulatedSocket Socket, Address Remote, MessageReader Reader)> _servers = [];
    private readonly List<(long DueMs, SimulatedSocket Socket, byte[] Bytes)> _later = [];
    private readonly byte[] _buffer = new byte[16 * 1024];

    public UpstreamPlay(string clusters, string routes = "{ match: { prefix: / }, route: { cluster: c, timeout: 0s } }", int listeners = 1)
    {
        // The first check of a host happens in the first turn: the far ends must be there before.
        Proxy = new SimulatedProxy(7, windowBytes: 16 * 1024, isCalm: true, Configuration(clusters, routes, listeners), listeners, prepare: kernel => kernel.OnConnect = (remote, far) =>
        {
            Connected.Add(remote.ToString());
            if (Refuses(remote))
                return -Errno.ECONNREFUSED;
            _servers.Add((far, remote, new MessageReader(isRequest: true)));
            return 0;
        });
    }

    public SimulatedProxy Proxy { get; }

    public Func<Address, bool> Refuses { get; set; } = _ => false;

    /// <summary>Status and milliseconds until it is said, by the address asked.</summary>
    public Func<Address, (int Status, int DelayMs)> Answer { get; set; } = _ => (200, 0);

    /// <summary>Fields of every answer, each with its CRLF.</summary>
    public string Fields { get; set; } = "";

    /// <summary>Addresses connected to, in order.</summary>
    public List<string> Connected { get; } = [];

    /// <summary>Addresses that got a request, in order.</summary>
    public List<string> Asked { get; } = [];

    /// <summary>Everything that upstreams received, as text.</summary>
    public StringBuilder Received { get; } = new();

    public static string Configuration(string clusters, string routes, int listeners = 1)
    {
        var all = new StringBuilder("static_resources:\n  listeners:\n");
        for (var i = 0; i < listeners; i++)
        {
            all.Append($$"""
                  - name: l{{i}}
                    address: { socket_address: { address: 10.0.0.2, port_value: {{8080 + i}} } }
                    filter_chains:
                    - filters:
                      - name: h
                        typed_config:
                          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                          stat_prefix: h
                          route_config: { virtual_hosts: [ { name: v, domains: ["*"], routes: [ {{routes}} ] } ] }
                          http_filters: [ { name: r, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } } ]

                """);
        }
        return all.Append("  clusters:\n").Append(clusters).ToString();
    }

    /// <summary>A static cluster "c" of endpoints 10.0.1.1, 10.0.1.2 and so on (each entry is what its lb_endpoint has besides).</summary>
    public static string Cluster(string more, params string[] endpoints) => Named("c", more, endpoints);

    public static string Named(string name, string more, params string[] endpoints) =>
        $"  - {{ name: {name}, type: STATIC, connect_timeout: 1s, {more} load_assignment: {{ cluster_name: {name}, endpoints: [ {{ lb_endpoints: [ {string.Join(", ", endpoints.Select((e, i) => Endpoint(i + 1, e)))} ] }} ] }} }}\n";

    public static string Endpoint(int number, string more = "") =>
        $"{{ endpoint: {{ address: {{ socket_address: {{ address: 10.0.1.{number}, port_value: 80 }} }} }}{(more.Length > 0 ? ", " + more : "")} }}";

    public void Turn()
    {
        for (var i = 0; i < _servers.Count; i++)
        {
            var (socket, remote, reader) = _servers[i];
            if (socket.IsClosed)
                continue;
            var before = reader.Messages;
            int count;
            while ((count = socket.ReadAll(_buffer)) > 0)
            {
                Received.Append(Encoding.Latin1.GetString(_buffer, 0, count));
                reader.Feed(_buffer.AsSpan(0, count));
            }
            for (var n = before; n < reader.Messages; n++)
            {
                Asked.Add(remote.ToString());
                var (status, delay) = Answer(remote);
                _later.Add((Proxy.Kernel.NowMs + delay, socket, Encoding.ASCII.GetBytes($"HTTP/1.1 {status} X\r\n{Fields}content-length: 2\r\n\r\nok")));
            }
            if (socket.IsEnded)
                socket.Close();
        }
        for (var i = _later.Count - 1; i >= 0; i--)
        {
            if (_later[i].DueMs > Proxy.Kernel.NowMs)
                continue;
            if (!_later[i].Socket.IsClosed)
                _later[i].Socket.Write(_later[i].Bytes);
            _later.RemoveAt(i);
        }
        Proxy.Turn();
    }

    public void Until(Func<bool> holds, string what) => Proxy.Until(() =>
    {
        Turn();
        return holds();
    }, () => what, 20_000);

    public void Pass(long ms)
    {
        var end = Proxy.Kernel.NowMs + ms;
        while (Proxy.Kernel.NowMs < end)
        {
            Turn();
            Proxy.Kernel.Advance(4);
        }
    }

    public AskingClient Client(int listener = 0) => new(Proxy.Connect(listener));

    /// <summary>One request on a connection of its own; the status.</summary>
    public int Ask(string path = "/", int listener = 0)
    {
        var client = Client(listener);
        client.Send(path);
        Until(() => client.Poll() > 0, $"no answer to {path}");
        client.Socket.Close();
        Turn();
        return client.Status;
    }

    public ClusterState Find(string cluster = "c") => Proxy.Worker.FindCluster(cluster)!;

    /// <summary>How often each address is picked.</summary>
    public Dictionary<string, int> Picks(int count, string cluster = "c", SubsetMatch? subset = null)
    {
        var picks = new Dictionary<string, int>();
        for (var i = 0; i < count; i++)
        {
            var name = Find(cluster).Pick(subset ?? SubsetMatch.None)?.Address.ToString() ?? "none";
            picks[name] = picks.GetValueOrDefault(name) + 1;
        }
        return picks;
    }

    public void Dispose() => Proxy.Dispose();
}

/// <summary>A client that sends requests one after the other and counts answers.</summary>
internal sealed class AskingClient(SimulatedSocket socket)
{
    private readonly MessageReader _reader = new(isRequest: false);
    private readonly byte[] _buffer = new byte[16 * 1024];
    private readonly StringBuilder _text = new();

    public SimulatedSocket Socket { get; } = socket;

    public int Status => _text.Length < 12 ? 0 : int.Parse(_text.ToString(9, 3), CultureInfo.InvariantCulture);

    public string Text => _text.ToString();

    public void Send(string path, string fields = "", string method = "GET") => Socket.Write(Encoding.ASCII.GetBytes($"{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));

    /// <summary>Whole answers so far.</summary>
    public int Poll()
    {
        int count;
        while ((count = Socket.ReadAll(_buffer)) > 0)
        {
            _text.Append(Encoding.Latin1.GetString(_buffer, 0, count));
            _reader.Feed(_buffer.AsSpan(0, count));
        }
        return _reader.Messages;
    }
}
