using Tulle.Base;

namespace Tulle.Sidecar.Tests;

/// <summary>Permits of circuit breakers: never lost, never kept from one who waits, whatever ends when.</summary>
public class PermitTests
{
    private const string Get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    private const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    private static string Limit(int connections, int endpoints = 1, string route = "timeout: 3s") =>
        SimulatedProxy.Http(route, $"circuit_breakers: {{ thresholds: [ {{ max_connections: {connections} }} ] }},", endpoints: endpoints);

    /// <summary>Plays until every client has its answer; the statuses.</summary>
    private static int[] Answers(SimulatedProxy proxy, PlayedUpstream upstream, PlayedClient[] clients)
    {
        upstream.Until(() => clients.All(c => c.Statuses.Count > 0), "not every client has an answer", clients);
        return [.. clients.Select(c => c.Statuses[0])];
    }

    [Fact]
    public Task H01_requests_that_time_out_in_the_turn_that_grants_them_a_connection_end_with_504() => Task.Run(() =>
    {
        using var proxy = new SimulatedProxy(1, isCalm: true, configuration: Limit(1, route: "timeout: 0.5s"));
        var upstream = new PlayedUpstream(proxy);
        var clients = Enumerable.Range(0, 12).Select(_ => new PlayedClient(proxy).Send(Get)).ToArray();
        for (var turn = 0; turn < 20; turn++)
            proxy.Turn();
        // The process is stopped until all deadlines are past: each ending frees the one permit for a request that is itself over.
        proxy.Kernel.Advance(2000);
        Assert.Equal(Enumerable.Repeat(504, 12), Answers(proxy, upstream, clients));
        upstream.Until(() => proxy.Breaker is { Connections: 0, Pending: 0, Requests: 0 }, "a permit is lost");
    });

    [Fact]
    public Task H02_an_idle_connection_of_another_host_does_not_keep_a_request_waiting() => Task.Run(() =>
    {
        using var proxy = new SimulatedProxy(1, isCalm: true, configuration: Limit(1, endpoints: 2));
        var upstream = new PlayedUpstream(proxy) { Answer = _ => Ok };
        for (var i = 0; i < 8; i++)
            Assert.Equal([200], Answers(proxy, upstream, [new PlayedClient(proxy).Send(Get)]));
        Assert.Equal(2, upstream.Connections.Select(c => c.Address).Distinct().Count());
        Assert.Equal(1, proxy.Breaker.Connections);
    });

    [Fact]
    public Task H02_nor_does_one_of_another_worker() => Task.Run(() =>
    {
        using var first = new SimulatedProxy(1, isCalm: true, configuration: Limit(1));
        using var second = new SimulatedProxy(2, isCalm: true, configuration: Limit(1), beside: first);
        var firstUpstream = new PlayedUpstream(first) { Answer = _ => Ok };
        var secondUpstream = new PlayedUpstream(second) { Answer = _ => Ok };
        for (var i = 0; i < 6; i++)
        {
            Assert.Equal([200], Answers(first, firstUpstream, [new PlayedClient(first).Send(Get)]));
            Assert.Equal([200], Answers(second, secondUpstream, [new PlayedClient(second).Send(Get)]));
        }
        Assert.Equal(2, first.Breaker.Connections);
    });

    [Fact]
    public Task H02_a_connection_that_fails_at_once_wakes_the_next() => Task.Run(() =>
    {
        using var proxy = new SimulatedProxy(1, isCalm: true, configuration: Limit(1));
        var upstream = new PlayedUpstream(proxy);
        var clients = Enumerable.Range(0, 4).Select(_ => new PlayedClient(proxy).Send(Get)).ToArray();
        for (var turn = 0; turn < 20; turn++)
            proxy.Turn();
        // The first is cut without an answer, the connection of the second is refused: the others are served all the same.
        upstream.Refuses = 1;
        upstream.Connections[0].Socket.Reset();
        upstream.Answer = _ => Ok;
        Assert.Equal([200, 200, 503, 503], Answers(proxy, upstream, clients).Order());
    });

    [Fact]
    public Task H03_queued_clients_that_leave_in_one_turn_take_no_permit_with_them() => Task.Run(() =>
    {
        using var proxy = new SimulatedProxy(1, isCalm: true, configuration: Limit(1));
        var upstream = new PlayedUpstream(proxy);
        var clients = Enumerable.Range(0, 4).Select(_ => new PlayedClient(proxy).Send(Get)).ToArray();
        for (var turn = 0; turn < 20; turn++)
            proxy.Turn();
        foreach (var client in clients)
            client.Socket.Close();
        upstream.Until(() => proxy.Breaker is { Connections: 0, Pending: 0, Requests: 0 }, "a permit is lost");
        upstream.Answer = _ => Ok;
        Assert.Equal([200], Answers(proxy, upstream, [new PlayedClient(proxy).Send(Get)]));
    });

    /// <summary>Clients come and go, servers answer, refuse and hang up; afterwards exactly the idle connections hold permits.</summary>
    [Fact]
    public Task H01_to_H03_no_permit_is_lost_whatever_ends_when() => Task.Run(() =>
    {
        for (ulong seed = 1; seed <= 40; seed++)
        {
            var random = new SeededRandom(seed * 7919);
            var configuration = Limit(1 + random.Next(3), 1 + random.Next(4), random.Next(2) == 0 ? "timeout: 0.05s" : "timeout: 0s, retry_policy: { retry_on: reset, num_retries: 2 }");
            using var proxy = new SimulatedProxy(seed, configuration: configuration);
            using var second = new SimulatedProxy(seed + 1, configuration: configuration, beside: proxy);
            SimulatedProxy[] loops = [proxy, second];
            PlayedUpstream[] upstreams = [new(proxy), new(second)];
            var clients = new List<PlayedClient>();
            for (var turn = 0; turn < 600; turn++)
            {
                var loop = random.Next(2);
                if (turn < 500 && random.Next(3) == 0)
                    clients.Add(new PlayedClient(loops[loop]).Send(Get));
                foreach (var connection in upstreams[loop].Connections)
                {
                    var luck = random.Next(30);
                    if (luck == 0 && !connection.Socket.IsClosed)
                        connection.Socket.Reset();
                    connection.Play(luck < 10 ? _ => Ok : null);
                }
                upstreams[loop].Refuses = random.Next(8) == 0 ? 1 : 0;
                foreach (var client in clients.Where(c => !c.Socket.IsClosed))
                {
                    client.Play();
                    if (random.Next(40) == 0)
                        client.Socket.Close();
                }
                if (random.Next(20) == 0)
                    loops[loop].Kernel.Advance(random.Next(200));
                loops[loop].Turn();
            }
            foreach (var loop in upstreams)
            {
                loop.Answer = _ => Ok;
                loop.Refuses = 0;
            }
            var waiting = clients.Where(c => !c.Socket.IsClosed).ToArray();
            for (var turn = 0; waiting.Any(c => c.Statuses.Count == 0 && !c.IsEnded); turn++)
            {
                Assert.True(turn < 5000, $"seed {seed}: {waiting.Count(c => c.Statuses.Count == 0)} clients wait for ever");
                foreach (var upstream in upstreams)
                    upstream.Play();
                foreach (var client in waiting)
                    client.Play();
                proxy.Turn();
                second.Turn();
            }
            int Open() => upstreams.Sum(u => u.Connections.Count(c => !c.Socket.IsClosed && !c.Socket.IsEnded && !c.Socket.IsReset));
            second.Until(() =>
            {
                proxy.Turn();
                foreach (var upstream in upstreams)
                    upstream.Play();
                return proxy.Breaker is { Pending: 0, Requests: 0, Retries: 0 } && proxy.Breaker.Connections == Open();
            }, () => $"seed {seed}: {proxy.Breaker.Connections} permits for {Open()} connections, {proxy.Breaker.Requests} requests", turnsMax: 5000);
            Assert.Equal(0, proxy.Loop.FaultCount + second.Loop.FaultCount);
        }
    });
}
