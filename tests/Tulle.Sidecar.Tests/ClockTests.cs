namespace Tulle.Sidecar.Tests;

/// <summary>A turn of the loop may last: what begins at its end has its whole time all the same.</summary>
public class ClockTests
{
    private const string Get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    private const string Ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    private static SimulatedProxy Calm(string configuration) => new(1, 16 * 1024, isCalm: true, configuration);

    [Fact]
    public Task An_idle_connection_has_its_time_from_the_end_of_its_answer() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(manager: "common_http_protocol_options: { idle_timeout: 0.5s }", action: "direct_response: { status: 200 }"));
        var client = new PlayedClient(proxy).Send(Get);
        proxy.Kernel.OnSend = () => proxy.Kernel.Advance(400);
        proxy.Until(() => client.Statuses.Count == 1 || Plays(client), () => "no answer");
        proxy.Kernel.OnSend = null;
        proxy.Pass(300);
        client.Play();
        Assert.False(client.IsEnded);
        proxy.Pass(400);
        client.Play();
        Assert.True(client.IsEnded);
        Assert.Equal(1, proxy.Stat("http.h.downstream_cx_idle_timeout"));
    });

    [Fact]
    public Task H02_a_connect_that_began_late_in_a_turn_has_its_whole_time() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http());
        var upstream = new PlayedUpstream(proxy) { Answer = _ => Ok };
        var client = new PlayedClient(proxy);
        // More than the cluster's connect_timeout passes between the begin of the turn and the connect.
        upstream.OnNew = _ => proxy.Kernel.Advance(1500);
        client.Send(Get);
        upstream.Until(() => client.Statuses.Count == 1, "no answer", client);
        Assert.Equal([200], client.Statuses);
        Assert.Equal(0, proxy.Stat("cluster.u.upstream_cx_connect_timeout"));
    });

    [Fact]
    public Task A_pooled_connection_has_its_idle_time_from_its_release() => Task.Run(() =>
    {
        using var proxy = Calm(SimulatedProxy.Http(cluster: "common_http_protocol_options: { idle_timeout: 0.5s },"));
        var upstream = new PlayedUpstream(proxy) { Answer = _ => Ok };
        var client = new PlayedClient(proxy).Send(Get);
        upstream.Until(() => upstream.Connections is [{ Got.Length: > 0 }], "no request came", client);
        // The next send is the answer's.
        proxy.Kernel.OnSend = () => proxy.Kernel.Advance(400);
        upstream.Until(() => client.Statuses.Count == 1, "no answer", client);
        proxy.Kernel.OnSend = null;
        proxy.Pass(300);
        Assert.Equal(0, proxy.Stat("cluster.u.upstream_cx_idle_timeout"));
        proxy.Pass(400);
        Assert.Equal(1, proxy.Stat("cluster.u.upstream_cx_idle_timeout"));
    });

    private static bool Plays(PlayedClient client)
    {
        client.Play();
        return false;
    }
}
