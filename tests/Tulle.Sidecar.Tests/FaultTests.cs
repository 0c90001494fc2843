using System.Text;
using Tulle.Base;
using Tulle.Testing;

namespace Tulle.Sidecar.Tests;

/// <summary>A fault of the program in any call of any connection: that connection ends, the process and everybody else go on.</summary>
public class FaultTests
{
    private const string Filtered = """
        static_resources:
          listeners:
          - name: l0
            address: { socket_address: { address: 10.0.0.2, port_value: 8080 } }
            listener_filters: [ { name: tls, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector } } ]
            filter_chains:
            - filters: [ { name: t, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: u } } ]
          clusters:
          - { name: u, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: u, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 10.0.0.3, port_value: 80 } } } } ] } ] } }
        """;

    private static void Run(SimulatedProxy proxy, ulong seed, string sending)
    {
        var servers = new List<SimulatedSocket>();
        proxy.Kernel.OnConnect = (_, far) =>
        {
            servers.Add(far);
            return 0;
        };
        var random = new SeededRandom(seed);
        var buffer = new byte[4096];
        var clients = new List<SimulatedSocket>();
        proxy.Kernel.ThrowOneIn = 12;
        for (var turn = 0; turn < 400; turn++)
        {
            if (clients.Count < 20 && random.Next(10) == 0)
                clients.Add(proxy.Connect());
            foreach (var client in clients)
            {
                client.Write(Encoding.ASCII.GetBytes(sending));
                client.ReadAll(buffer);
            }
            foreach (var server in servers)
            {
                if (server.ReadAll(buffer) > 0)
                    server.Write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"u8);
            }
            proxy.Turn();
        }
        Assert.True(proxy.Loop.FaultCount > 0, $"seed {seed}: nothing was thrown");
        proxy.Kernel.ThrowOneIn = 0;
        foreach (var socket in clients.Concat(servers))
            socket.Reset();
        proxy.Until(() => proxy.Loop.SocketCount == 1, () => $"seed {seed}: {proxy.Loop.SocketCount} sockets are open when all have left");
        // The listener is well, and so is who comes now.
        servers.Clear();
        var last = proxy.Connect();
        last.Write(Encoding.ASCII.GetBytes(sending));
        proxy.Until(() => servers.Count == 1 && servers[0].ReadAll(buffer) > 0, () => $"seed {seed}: nothing came through after the faults");
    }

    [Fact]
    public Task N13_faults_in_listener_filters_starters_and_relays_end_one_connection_each() => Task.Run(() =>
    {
        for (ulong seed = 1; seed <= 20; seed++)
        {
            using var proxy = new SimulatedProxy(seed, configuration: Filtered);
            Run(proxy, seed, "hello, this is no TLS at all");
        }
    });

    [Fact]
    public Task H18_faults_in_HTTP_connections_end_one_connection_each() => Task.Run(() =>
    {
        for (ulong seed = 1; seed <= 20; seed++)
        {
            using var proxy = new SimulatedProxy(seed);
            Run(proxy, seed, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        }
    });
}
