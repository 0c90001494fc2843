using System.Text;
using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Loop;
using Tulle.Proxy;
using Tulle.Testing;

namespace Tulle.Sidecar.Tests;

/// <summary>The whole data plane of one loop, from an Envoy configuration, on a simulated kernel; clients and upstreams are played by the test.</summary>
internal sealed class SimulatedProxy : IDisposable
{
    private const string Configuration = """
        static_resources:
          listeners:
          - name: l0
            address: { socket_address: { address: 10.0.0.2, port_value: 8080 } }
            filter_chains:
            - filters:
              - name: h
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                  stat_prefix: h
                  route_config: { virtual_hosts: [ { name: v, domains: ["*"], routes: [ { match: { prefix: / }, route: { cluster: u, timeout: 3s, retry_policy: { retry_on: "connect-failure,reset", num_retries: 2 } } } ] } ] }
                  http_filters: [ { name: r, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } } ]
          clusters:
          - { name: u, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: u, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 10.0.0.3, port_value: 80 } } } } ] } ] } }
        """;

    /// <summary>The same as a sidecar's inbound side, with Istio's filters.</summary>
    public static string IstioConfiguration => "node: { id: \"sidecar~10.0.0.2~cart-1.shop~shop.svc.cluster.local\", metadata: { WORKLOAD_NAME: cart-v1, NAMESPACE: shop, LABELS: { app: cart } } }\n"
        + Configuration.Replace("- name: l0\n", "- name: l0\n    traffic_direction: INBOUND\n", StringComparison.Ordinal).Replace("http_filters: [ ", """
            http_filters: [ { name: istio.metadata_exchange, typed_config: { "@type": type.googleapis.com/udpa.type.v1.TypedStruct, type_url: type.googleapis.com/io.istio.http.peer_metadata.Config, value: { downstream_discovery: [ { istio_headers: {} } ], downstream_propagation: [ { istio_headers: {} } ] } } }, { name: istio.stats, typed_config: { "@type": type.googleapis.com/udpa.type.v1.TypedStruct, type_url: type.googleapis.com/stats.PluginConfig, value: {} } }, 
            """.Trim('\n'), StringComparison.Ordinal);

    /// <summary>One HTTP listener, one route, one cluster of endpoints 10.0.0.3, .4 and so on; each part may say more (YAML in flow style).</summary>
    public static string Http(
        string route = "timeout: 3s", string cluster = "", string manager = "", int endpoints = 1, string action = "route: { cluster: u, $ }", string host = "",
        string match = "prefix: /") => $$"""
        static_resources:
          listeners:
          - name: l0
            address: { socket_address: { address: 10.0.0.2, port_value: 8080 } }
            filter_chains:
            - filters:
              - name: h
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                  stat_prefix: h
                  {{manager}}
                  route_config: { max_direct_response_body_size_bytes: 1000000, virtual_hosts: [ { name: v, domains: ["*"], {{host}} routes: [ { match: { {{match}} }, {{action.Replace("$", route, StringComparison.Ordinal)}} } ] } ] }
                  http_filters: [ { name: r, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } } ]
          clusters:
          - { name: u, type: STATIC, connect_timeout: 1s, {{cluster}} load_assignment: { cluster_name: u, endpoints: [ { lb_endpoints: [ {{Endpoints(endpoints)}} ] } ] } }
        """;

    private static string Endpoints(int count) => string.Join(", ",
        Enumerable.Range(3, count).Select(i => $"{{ endpoint: {{ address: {{ socket_address: {{ address: 10.0.0.{i}, port_value: 80 }} }} }} }}"));

    private readonly ProxyShared _shared;
    private readonly bool _ownsShared;
    private readonly List<int> _listeners = [];
    private readonly ProxyWorker _worker;

    /// <param name="configuration">Another configuration, whose listeners are called l0, l1 and so on.</param>
    /// <param name="beside">Another loop of the same process: this is its second worker.</param>
    public SimulatedProxy(
        ulong seed, int windowBytes = 700, bool isCalm = false, string? configuration = null, int listeners = 1, SimulatedProxy? beside = null,
        Action<SimulatedKernel>? prepare = null)
    {
        _ownsShared = beside is null;
        _shared = beside?._shared ?? new ProxyShared(2);
        Kernel = new SimulatedKernel(seed, windowBytes, isCalm);
        prepare?.Invoke(Kernel);
        Loop = new EventLoop(Kernel, beside is null ? 0 : 1, seed);
        _worker = new ProxyWorker(Loop, _shared);
        for (var i = 0; i < listeners; i++)
            _listeners.Add(Kernel.Listen());
        _worker.Publish(Read(configuration ?? Configuration), _listeners.Select((fd, i) => (Name: $"l{i}", Fd: fd)).ToDictionary(l => l.Name, l => l.Fd));
        Turn();
    }

    private Snapshot.ProxySnapshot Read(string configuration)
    {
        var diagnostics = new Diagnostics();
        var store = new ConfigStore(Bootstrap.Read(Bootstrap.Parse(configuration, "test.yaml"), diagnostics, "", ""), _shared.Stats);
        store.LoadStatic(diagnostics);
        Assert.False(diagnostics.HasErrors, string.Join('\n', diagnostics.All));
        return store.Rebuild();
    }

    /// <summary>Another configuration takes the place of the present one; listeners keep their sockets.</summary>
    public void Update(string configuration)
    {
        _worker.Publish(Read(configuration), new Dictionary<string, int>());
        Turn();
    }

    public ProxyWorker Worker => _worker;

    public ProxyShared Shared => _shared;

    /// <summary>Time passes, a turn every 10 ms.</summary>
    public void Pass(long ms)
    {
        for (long passed = 0; passed < ms; passed += 10)
        {
            Turn();
            Kernel.Advance(9);
        }
    }

    public SimulatedKernel Kernel { get; }

    public EventLoop Loop { get; }

    public CircuitBreaker Breaker => _worker.Clusters["u"].Breaker;

    public SimulatedSocket Connect(int listener = 0) => Kernel.ConnectTo(_listeners[listener]);

    /// <summary>Istio's metrics as lines of name and labels.</summary>
    public SortedDictionary<string, double> Metrics()
    {
        var sums = new SortedDictionary<string, double>(StringComparer.Ordinal);
        foreach (var line in string.Concat(_worker.CopyMetrics().Parts()).Split('\n').Where(l => l.Length > 0 && l[0] != '#'))
            sums[line[..line.LastIndexOf(' ')]] = double.Parse(line[(line.LastIndexOf(' ') + 1)..], System.Globalization.CultureInfo.InvariantCulture);
        return sums;
    }

    /// <summary>The value of a statistic by its full name; 0 when there is none.</summary>
    public long Stat(string name) => _shared.Stats.All.FirstOrDefault(s => s.Name == name)?.Value ?? 0;

    /// <summary>Ends the listeners, lets their drain time pass and hands over the last records.</summary>
    public void EndDraining()
    {
        _worker.Shutdown();
        Kernel.Advance(700_000);
        Turn();
        Turn();
        _worker.Shutdown();
    }

    public void Turn()
    {
        Kernel.Deliver();
        Loop.Turn(0);
        Kernel.Advance(1);
    }

    public void Until(Func<bool> holds, Func<string> what, int turnsMax = 100_000)
    {
        for (var turn = 0; !holds(); turn++)
        {
            if (turn > turnsMax)
                Assert.Fail(what());
            Turn();
        }
    }

    public void Dispose()
    {
        if (_ownsShared)
            _shared.Dispose();
    }
}

/// <summary>An HTTP server at the far end of a connection: answers each whole request with a body of a known length.</summary>
internal sealed class PlayedServer(SimulatedSocket socket, byte[] answer)
{
    private readonly MessageReader _reader = new(isRequest: true);
    private readonly byte[] _buffer = new byte[4096];
    private int _answered, _left;

    public string? Error => _reader.Error;

    public SimulatedSocket Socket { get; } = socket;

    public int Answered => _answered;

    public static byte[] Answer(int bodyBytes) => [.. Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {bodyBytes}\r\n\r\n"), .. Enumerable.Repeat((byte)'x', bodyBytes)];

    public static byte[] ChunkedAnswer(int bodyBytes) =>
        Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n{(bodyBytes > 0 ? $"{bodyBytes:x}\r\n{new string('x', bodyBytes)}\r\n" : "")}0\r\nx-end: yes\r\n\r\n");

    public void Play()
    {
        int count;
        while ((count = Socket.ReadAll(_buffer)) > 0)
            _reader.Feed(_buffer.AsSpan(0, count));
        while (true)
        {
            if (_left == 0)
            {
                if (_answered == _reader.Messages)
                    break;
                _answered++;
                _left = answer.Length;
            }
            var sent = Socket.Write(answer.AsSpan(answer.Length - _left));
            if (sent <= 0)
                break;
            _left -= sent;
        }
        if (Socket.IsEnded && !Socket.IsClosed)
            Socket.Close();
    }
}
