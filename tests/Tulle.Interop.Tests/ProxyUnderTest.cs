using System.Net.Sockets;
using System.Text;

namespace Tulle.Interop.Tests;

/// <summary>tulle-proxy with an admin port and one HTTP listener that answers by itself, for tests of the program around the data plane.</summary>
internal sealed class ProxyUnderTest : IAsyncDisposable
{
    private const string At = "type.googleapis.com/envoy.extensions";

    private static readonly HttpClient s_http = new(new SocketsHttpHandler { PooledConnectionLifetime = TimeSpan.Zero }) { Timeout = TimeSpan.FromSeconds(15) };

    public string Folder { get; } = Directory.CreateTempSubdirectory("tulle-host-").FullName;

    public int Listen { get; } = Surroundings.FreePort();

    public int Admin { get; } = Surroundings.FreePort();

    public Program Program { get; private set; } = null!;

    /// <summary>An access log of the manager in YAML flow form: path and format.</summary>
    public static string Log(string path, string format = "text_format_source: { inline_string: \"%REQ(:PATH)%\\n\" }") =>
        $$"""{ name: l, typed_config: { "@type": {{At}}.access_loggers.file.v3.FileAccessLog, path: {{path}}, log_format: { {{format}} } } }""";

    public string Bootstrap(string logs = "", string listeners = "", string clusters = "", string top = "", string listener = "") => $$"""
        admin: { address: { socket_address: { address: 127.0.0.1, port_value: {{Admin}} } } }
        {{top}}
        static_resources:
          listeners:
          - name: in
            address: { socket_address: { address: 127.0.0.1, port_value: {{Listen}} } }
            {{listener}}
            filter_chains:
            - filters:
              - name: h
                typed_config:
                  "@type": {{At}}.filters.network.http_connection_manager.v3.HttpConnectionManager
                  stat_prefix: in
                  access_log: [ {{logs}} ]
                  route_config: { virtual_hosts: [ { name: all, domains: ["*"], routes: [ { match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: here } } } ] } ] }
                  http_filters: [ { name: r, typed_config: { "@type": {{At}}.filters.http.router.v3.Router } } ]
        {{listeners}}
          clusters: [ {{clusters}} ]
        """;

    /// <param name="bootstrap">From <see cref="Bootstrap"/>.</param>
    /// <param name="limits">Words for ulimit, such as "-n 200"; empty: none.</param>
    /// <param name="more">More arguments.</param>
    public async Task StartAsync(string bootstrap, string limits = "", params string[] more)
    {
        var file = Path.Combine(Folder, "bootstrap.yaml");
        await File.WriteAllTextAsync(file, bootstrap);
        var set = limits.Length > 0 ? $"ulimit {limits}; " : "";
        Program = Program.Start("bash", ["-c", $"{set}exec \"$0\" \"$@\"", Surroundings.Proxy, "-c", file, "--concurrency", "1", "-l", "warning", "--file-flush-interval-msec", "20", .. more]);
        await Surroundings.UntilAsync($"the proxy accepts: {Program.Errors}", async () => await Surroundings.AcceptsAsync(Listen) && await Surroundings.AcceptsAsync(Admin));
    }

    public async Task<string> GetAsync(string path = "/") => await s_http.GetStringAsync($"http://127.0.0.1:{Listen}{path}");

    public async Task<(int Status, string Text)> AdminAsync(string path, bool post = false)
    {
        using var request = new HttpRequestMessage(post ? HttpMethod.Post : HttpMethod.Get, $"http://127.0.0.1:{Admin}{path}");
        using var response = await s_http.SendAsync(request);
        return ((int)response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    public async Task<long> StatAsync(string name)
    {
        var (_, text) = await AdminAsync("/stats?filter=" + Uri.EscapeDataString("^" + name.Replace(".", "\\.", StringComparison.Ordinal) + "$"));
        return text.Trim().Split(": ") is [_, var value] ? long.Parse(value, System.Globalization.CultureInfo.InvariantCulture) : -1;
    }

    public async Task<Socket> ConnectAsync(int port = 0)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 10_000, NoDelay = true };
        await socket.ConnectAsync("127.0.0.1", port == 0 ? Listen : port);
        return socket;
    }

    /// <summary>One request on an open connection; the head of the answer, empty when the connection was closed.</summary>
    public static string Ask(Socket socket, string path = "/")
    {
        socket.Send(Encoding.ASCII.GetBytes($"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        var heard = new StringBuilder();
        var buffer = new byte[4096];
        try
        {
            for (int count; !heard.ToString().Contains("\r\n\r\nhere", StringComparison.Ordinal) && (count = socket.Receive(buffer)) > 0;)
                heard.Append(Encoding.ASCII.GetString(buffer, 0, count));
        }
        catch (SocketException)
        {
            // Reset: closed as well.
        }
        return heard.ToString();
    }

    public async ValueTask DisposeAsync()
    {
        if (Program is not null)
            await Program.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
    }
}
