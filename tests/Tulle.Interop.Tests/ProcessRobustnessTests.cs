using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace Tulle.Interop.Tests;

/// <summary>What may happen to a process from outside: signals, full disks, blocked pipes, no descriptors. It goes on and says so.</summary>
public sealed class ProcessRobustnessTests
{
    [NeedsFact("bash")]
    public async Task H17_logs_can_be_reopened_under_traffic()
    {
        await using var proxy = new ProxyUnderTest();
        await proxy.StartAsync(proxy.Bootstrap(ProxyUnderTest.Log($"{proxy.Folder}/access.log")));
        using var stop = new CancellationTokenSource();
        // Pipelined, read and written apart: the writer of the log must be met in the middle of a write.
        var batch = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat($"GET /{new string('x', 500)} HTTP/1.1\r\nHost: a\r\n\r\n", 100)));
        var sockets = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => proxy.ConnectAsync()));
        var traffic = sockets.SelectMany(socket => new[]
        {
            Task.Run(async () =>
            {
                while (!stop.IsCancellationRequested && !proxy.Program.HasExited)
                    await socket.SendAsync(batch, stop.Token);
            }),
            Task.Run(async () =>
            {
                var buffer = new byte[65_536];
                while (await socket.ReceiveAsync(buffer, stop.Token) > 0)
                {
                }
            }),
        }).ToList();
        var signals = Program.RunAsync("bash", ["-c", $"for i in {{1..150000}}; do kill -USR1 {proxy.Program.Id} 2>/dev/null || exit 0; done"], 60);
        while (!signals.IsCompleted && !proxy.Program.HasExited)
            await Task.WhenAny(signals, Task.Delay(50));
        await signals;
        await stop.CancelAsync();
        await Task.WhenAll(traffic.Select(t => t.ContinueWith(_ => { }, TaskScheduler.Default)));
        Array.ForEach(sockets, s => s.Dispose());
        Assert.False(proxy.Program.HasExited, proxy.Program.Errors);
        File.Move($"{proxy.Folder}/access.log", $"{proxy.Folder}/old.log");
        await proxy.Program.SignalAsync("USR1");
        await Surroundings.UntilAsync("the log is written under its name again", async () =>
        {
            await proxy.GetAsync("/after");
            return File.Exists($"{proxy.Folder}/access.log") && (await File.ReadAllTextAsync($"{proxy.Folder}/access.log")).Contains("/after", StringComparison.Ordinal);
        });
    }

    [NeedsFact("bash")]
    public async Task X07_a_hangup_does_not_end_the_proxy()
    {
        await using var proxy = new ProxyUnderTest();
        await proxy.StartAsync(proxy.Bootstrap());
        await proxy.Program.SignalAsync("HUP");
        await proxy.Program.SignalAsync("HUP");
        Assert.Equal("here", await proxy.GetAsync());
        Assert.False(proxy.Program.HasExited, proxy.Program.Errors);
    }

    /// <summary>Idle clients take what the proxy gives away; connections that are open are served, and so is admin.</summary>
    [NeedsFact("bash")]
    public async Task H14_out_of_descriptors_the_proxy_goes_on()
    {
        await using var proxy = new ProxyUnderTest();
        await proxy.StartAsync(proxy.Bootstrap(ProxyUnderTest.Log($"{proxy.Folder}/access.log")), "-n 400");
        using var old = await proxy.ConnectAsync();
        var idle = new List<Socket>();
        try
        {
            for (var i = 0; i < 500; i++)
                idle.Add(await proxy.ConnectAsync());
            // Nothing was logged before, and nobody asked admin: what these need must be there already.
            Assert.StartsWith("HTTP/1.1 200", ProxyUnderTest.Ask(old, "/old"), StringComparison.Ordinal);
            Assert.Equal(200, (await proxy.AdminAsync("/ready")).Status);
            await Surroundings.UntilAsync("the refused connections are counted", async () => await proxy.StatAsync("server.descriptors_refused") > 0);
            await Surroundings.UntilAsync("the record is written", async () => (await File.ReadAllTextAsync($"{proxy.Folder}/access.log")).Contains("/old", StringComparison.Ordinal));
        }
        finally
        {
            idle.ForEach(s => s.Dispose());
        }
        Assert.False(proxy.Program.HasExited, proxy.Program.Errors);
        await Surroundings.UntilAsync("new clients are served again", async () =>
        {
            using var fresh = await proxy.ConnectAsync();
            return ProxyUnderTest.Ask(fresh).StartsWith("HTTP/1.1 200", StringComparison.Ordinal);
        });
    }

    /// <summary>A pipe that somebody holds and nobody reads.</summary>
    [NeedsFact("bash", "mkfifo")]
    public async Task X17_a_blocked_log_pipe_does_not_hold_the_end()
    {
        await using var proxy = new ProxyUnderTest();
        var pipe = $"{proxy.Folder}/pipe";
        await Program.RunAsync("mkfifo", [pipe]);
        await using var holder = new FileStream(pipe, FileMode.Open, FileAccess.ReadWrite);
        await proxy.StartAsync(proxy.Bootstrap(ProxyUnderTest.Log(pipe) + ", " + ProxyUnderTest.Log($"{proxy.Folder}/other.log")));
        using (var socket = await proxy.ConnectAsync())
        {
            // 64 KiB is what a pipe holds; 4 MiB is what waits in the proxy.
            for (var i = 0; i < 1200; i++)
                Assert.StartsWith("HTTP/1.1 200", ProxyUnderTest.Ask(socket, $"/{i}/{new string('x', 4000)}"), StringComparison.Ordinal);
        }
        await Surroundings.UntilAsync("lost records are counted", async () => await proxy.StatAsync("access_log.records_lost") > 0);
        await Surroundings.UntilAsync("the other log is written", async () => (await File.ReadAllTextAsync($"{proxy.Folder}/other.log")).Contains("/1199/", StringComparison.Ordinal));
        var watch = Stopwatch.StartNew();
        await proxy.Program.SignalAsync("TERM");
        Assert.Equal(0, await proxy.Program.EndAsync(8));
        Assert.True(watch.Elapsed.TotalSeconds < 7, $"{watch.Elapsed}");
    }

    [NeedsFact("bash")]
    public async Task X18_lost_records_are_counted_one_by_one_and_told_once()
    {
        await using var proxy = new ProxyUnderTest();
        await proxy.StartAsync(proxy.Bootstrap(ProxyUnderTest.Log("/dev/full")));
        using var socket = await proxy.ConnectAsync();
        for (var i = 0; i < 25; i++)
            ProxyUnderTest.Ask(socket);
        await Surroundings.UntilAsync("each lost record is counted", async () => await proxy.StatAsync("access_log.records_lost") == 25);
        Assert.True(await proxy.StatAsync("filesystem.write_failed") > 0);
        Assert.Equal(2, proxy.Program.Errors.Split("records are lost").Length);
    }

    [NeedsFact("bash")]
    public async Task H37_a_connection_that_is_open_at_the_end_is_logged_with_its_bytes()
    {
        await using var proxy = new ProxyUnderTest();
        var tcp = Surroundings.FreePort();
        using var upstream = new TcpListener(System.Net.IPAddress.Loopback, 0);
        upstream.Start();
        var port = ((System.Net.IPEndPoint)upstream.LocalEndpoint).Port;
        var log = ProxyUnderTest.Log($"{proxy.Folder}/tcp.log", "text_format_source: { inline_string: \"rx=%BYTES_RECEIVED% tx=%BYTES_SENT%\\n\" }");
        await proxy.StartAsync(proxy.Bootstrap(
            listeners: $$"""
              - name: tcp
                address: { socket_address: { address: 127.0.0.1, port_value: {{tcp}} } }
                filter_chains: [ { filters: [ { name: t, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: up, access_log: [ {{log}} ] } } ] } ]
            """,
            clusters: $$"""{ name: up, type: STATIC, load_assignment: { cluster_name: up, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: {{port}} } } } } ] } ] } }"""));
        using var client = await proxy.ConnectAsync(tcp);
        using var server = await upstream.AcceptSocketAsync();
        client.Send(new byte[500]);
        var got = 0;
        while (got < 500)
            got += server.Receive(new byte[1000]);
        server.Send(new byte[1000]);
        for (got = 0; got < 1000;)
            got += client.Receive(new byte[1000]);
        await proxy.Program.SignalAsync("TERM");
        await proxy.Program.EndAsync(10);
        Assert.Equal("rx=500 tx=1000\n", await File.ReadAllTextAsync($"{proxy.Folder}/tcp.log"));
    }

    [NeedsFact("bash")]
    public async Task H37_c_a_long_field_is_logged_whole()
    {
        await using var proxy = new ProxyUnderTest();
        await proxy.StartAsync(proxy.Bootstrap(ProxyUnderTest.Log($"{proxy.Folder}/access.log", "json_format: { path: \"%REQ(:PATH)%\", year: \"%START_TIME(%Y-%m)%\", twice: \"%REQ(:PATH)% %REQ(:PATH)%\" }")));
        using var socket = await proxy.ConnectAsync();
        var path = "/" + new string('a', 40_000) + "/end";
        Assert.StartsWith("HTTP/1.1 200", ProxyUnderTest.Ask(socket, path), StringComparison.Ordinal);
        var year = TimeProvider.System.GetUtcNow().ToString("yyyy-MM", System.Globalization.CultureInfo.InvariantCulture);
        await Surroundings.UntilAsync("the record is whole", async () =>
        {
            var text = await File.ReadAllTextAsync($"{proxy.Folder}/access.log");
            return text.Contains($"\"path\":\"{path}\"", StringComparison.Ordinal) && text.Contains($"\"twice\":\"{path} {path}\"", StringComparison.Ordinal) && text.Contains($"\"year\":\"{year}\"", StringComparison.Ordinal);
        });
    }
}
