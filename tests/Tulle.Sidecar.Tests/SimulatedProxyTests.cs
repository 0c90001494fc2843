using System.Text;
using Tulle.Base;
using Tulle.Testing;
using Tulle.Wire.Istio;

namespace Tulle.Sidecar.Tests;

/// <summary>Requests through the whole proxy while the kernel cuts, delays, interrupts and hangs up.</summary>
public class SimulatedProxyTests
{
    /// <summary>On a thread of its own: xUnit's context would wait for every async void method to end, and connections that are left open never do.</summary>
    private static Task Loop(Action work) => Task.Run(work);

    private static byte[] Requests(SeededRandom random, int count)
    {
        var text = new StringBuilder();
        for (var i = 0; i < count; i++)
        {
            var body = new string('b', random.Next(3000));
            switch (random.Next(3))
            {
                case 0:
                    text.Append($"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n");
                    break;
                case 1:
                    text.Append($"POST /{i} HTTP/1.1\r\nHost: a\r\nContent-Length: {body.Length}\r\n\r\n{body}");
                    break;
                default:
                    text.Append($"POST /{i} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
                    if (body.Length > 0)
                        text.Append($"{body.Length:x}\r\n{body}\r\n");
                    text.Append("0\r\n\r\n");
                    break;
            }
        }
        return Encoding.ASCII.GetBytes(text.ToString());
    }

    [Fact]
    public Task Pipelined_requests_are_all_answered_whatever_the_kernel_does() => Loop(() =>
    {
        for (ulong seed = 1; seed <= 60; seed++)
        {
            using var proxy = new SimulatedProxy(seed);
            var random = new SeededRandom(seed);
            var bodyBytes = random.Next(5000);
            var answer = random.Next(2) == 0 ? PlayedServer.Answer(bodyBytes) : PlayedServer.ChunkedAnswer(bodyBytes);
            var servers = new List<PlayedServer>();
            proxy.Kernel.OnConnect = (_, far) =>
            {
                servers.Add(new PlayedServer(far, answer));
                return 0;
            };
            var count = 1 + random.Next(8);
            var requests = Requests(random, count);
            var client = proxy.Connect();
            var reader = new MessageReader(isRequest: false);
            var buffer = new byte[4096];
            var sent = 0;
            proxy.Until(() =>
            {
                sent += Math.Max(0, client.Write(requests.AsSpan(sent)));
                servers.ForEach(s => s.Play());
                int got;
                while ((got = client.ReadAll(buffer)) > 0)
                    reader.Feed(buffer.AsSpan(0, got));
                return reader.Messages == count;
            }, () => $"seed {seed}: {reader} of {count}; servers {string.Join(", ", servers.Select(s => $"{s.Answered} {s.Error}"))}");
            Assert.Null(reader.Error);
            Assert.Equal((long)count * bodyBytes, reader.BodyBytes);
            Assert.All(servers, s => Assert.Null(s.Error));
            client.Close();
            proxy.Until(() => proxy.Loop.Buffers.Rented == 0 && proxy.Loop.SocketCount <= 1 + servers.Count, () => $"seed {seed}: {proxy.Loop.Buffers.Rented} buffers are still rented, {proxy.Loop.SocketCount} sockets open");
        }
    });

    [Fact]
    public Task Broken_upstreams_and_clients_leave_nothing_behind() => Loop(() =>
    {
        for (ulong seed = 1; seed <= 120; seed++)
        {
            using var proxy = new SimulatedProxy(seed);
            var random = new SeededRandom(seed * 977);
            var servers = new List<PlayedServer>();
            proxy.Kernel.OnConnect = (_, far) =>
            {
                if (random.Next(4) == 0)
                    return -Errno.ECONNREFUSED;
                servers.Add(new PlayedServer(far, PlayedServer.Answer(2000)));
                return 0;
            };
            var clients = Enumerable.Range(0, 3).Select(_ => (Socket: proxy.Connect(), Requests: Requests(random, 4), Reader: new MessageReader(isRequest: false))).ToArray();
            var sent = new int[clients.Length];
            var buffer = new byte[4096];
            for (var turn = 0; turn < 400; turn++)
            {
                for (var i = 0; i < clients.Length; i++)
                {
                    var (socket, requests, reader) = clients[i];
                    if (socket.IsClosed)
                        continue;
                    sent[i] += Math.Max(0, socket.Write(requests.AsSpan(sent[i])));
                    int got;
                    while ((got = socket.ReadAll(buffer)) > 0)
                        reader.Feed(buffer.AsSpan(0, got));
                    Assert.True(reader.Error is null, $"seed {seed}: the client read {reader.Error}");
                    if (random.Next(300) == 0)
                        socket.Reset();
                }
                foreach (var server in servers.Where(s => !s.Socket.IsClosed))
                {
                    server.Play();
                    if (random.Next(60) == 0)
                    {
                        if (random.Next(2) == 0)
                            server.Socket.Reset();
                        else
                            server.Socket.Close();
                    }
                }
                proxy.Turn();
            }
            foreach (var (socket, _, _) in clients.Where(c => !c.Socket.IsClosed))
                socket.Reset();
            foreach (var server in servers.Where(s => !s.Socket.IsClosed))
                server.Socket.Close();
            proxy.Until(() => proxy.Loop.SocketCount == 1 && proxy.Loop.Buffers.Rented == 0, () => $"seed {seed}: {proxy.Loop.Buffers.Rented} buffers are rented, {proxy.Loop.SocketCount} sockets open");
            Assert.Equal(1, proxy.Kernel.OpenSockets);
        }
    });

    private const string Request = "GET /cart/17 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: test\r\nAccept: */*\r\nX-Trace: 0123456789\r\n";

    [Fact]
    public Task A_request_in_steady_state_allocates_nothing() => Loop(() =>
    {
        using var proxy = new SimulatedProxy(1, windowBytes: 16 * 1024, isCalm: true);
        Assert.Equal(0, AllocatedInSteadyState(proxy, Request + "\r\n"));
    });

    /// <summary>As a sidecar's inbound side has it: the peer's workload is told, taken off, answered and counted.</summary>
    [Fact]
    public Task Nor_does_one_with_Istios_filters() => Loop(() =>
    {
        var told = Encoding.ASCII.GetString(WorkloadStruct.ToField(WorkloadStruct.Write([new("WORKLOAD_NAME", "web-v1"), new("NAMESPACE", "shop")], [new("app", "web")])));
        using var proxy = new SimulatedProxy(1, windowBytes: 16 * 1024, isCalm: true, SimulatedProxy.IstioConfiguration);
        Assert.Equal(0, AllocatedInSteadyState(proxy, $"{Request}x-envoy-peer-metadata-id: sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local\r\nx-envoy-peer-metadata: {told}\r\n\r\n"));
        Assert.Contains(proxy.Metrics(), m => m.Key.StartsWith("istio_requests_total{reporter=\"destination\",source_workload=\"web-v1\"", StringComparison.Ordinal) && m.Value == 5000);
    });

    private static long AllocatedInSteadyState(SimulatedProxy proxy, string text)
    {
        var answer = PlayedServer.Answer(1024);
        SimulatedSocket? server = null;
        proxy.Kernel.OnConnect = (_, far) =>
        {
            server = far;
            return 0;
        };
        var client = proxy.Connect();
        var request = Encoding.ASCII.GetBytes(text);
        var buffer = new byte[16 * 1024];
        long Run(int requests)
        {
            long allocated = 0;
            for (var i = 0; i < requests; i++)
            {
                client.Write(request);
                var answered = 0;
                for (var turn = 0; answered == 0; turn++)
                {
                    Assert.True(turn < 100, "no answer");
                    var before = GC.GetAllocatedBytesForCurrentThread();
                    proxy.Turn();
                    allocated += GC.GetAllocatedBytesForCurrentThread() - before;
                    if (server is not null && server.ReadAll(buffer) > 0)
                        server.Write(answer);
                    answered = Math.Max(0, client.ReadAll(buffer));
                }
                Assert.InRange(answered, answer.Length, buffer.Length);
            }
            return allocated;
        }
        Run(3000);
        return Run(2000);
    }
}
