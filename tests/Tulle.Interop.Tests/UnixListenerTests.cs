using System.Net;
using System.Net.Sockets;

namespace Tulle.Interop.Tests;

/// <summary>A listener on a Unix socket, with more than one loop, and more than once.</summary>
public sealed class UnixListenerTests
{
    [NeedsFact("true")]
    public async Task N34_a_Unix_listener_works_on_two_loops_and_again_after_a_kill()
    {
        var folder = Directory.CreateTempSubdirectory("tulle-unix-").FullName;
        var path = Path.Combine(folder, "s");
        using var echo = new TcpListener(IPAddress.Loopback, 0);
        echo.Start();
        _ = Task.Run(async () =>
        {
            while (true)
            {
                var client = await echo.AcceptTcpClientAsync();
                _ = Task.Run(async () =>
                {
                    using (client)
                        await client.GetStream().CopyToAsync(client.GetStream());
                });
            }
        });
        await File.WriteAllTextAsync($"{folder}/bootstrap.yaml", $$"""
            static_resources:
              listeners:
              - { name: t, address: { pipe: { path: {{path}} } }, filter_chains: [ { filters: [ { name: t, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: up } } ] } ] }
              clusters:
              - { name: up, type: STATIC, connect_timeout: 5s, load_assignment: { cluster_name: up, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: {{((IPEndPoint)echo.LocalEndpoint).Port}} } } } } ] } ] } }
            """);
        try
        {
            foreach (var signal in new[] { "KILL", "TERM" })
            {
                await using var proxy = Program.Start(Surroundings.Proxy, ["-c", $"{folder}/bootstrap.yaml", "--concurrency", "2", "--drain-time-s", "1", "-l", "warning"]);
                await Surroundings.UntilAsync("the proxy accepts", async () =>
                {
                    Assert.False(proxy.HasExited, $"it ended: {proxy.Errors}");
                    return await EchoesAsync(path);
                });
                for (var i = 0; i < 20; i++)
                    Assert.True(await EchoesAsync(path), $"connection {i} is not served: {proxy.Errors}");
                await proxy.SignalAsync(signal);
                await proxy.EndAsync(20);
            }
            Assert.False(File.Exists(path), "the file is left after an orderly end");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<bool> EchoesAsync(string path)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), limit.Token);
            await socket.SendAsync("hello"u8.ToArray(), limit.Token);
            return await socket.ReceiveAsync(new byte[10], limit.Token) == 5;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
