using System.Text;
using Tulle.Testing;

namespace Tulle.Sidecar.Tests.Requests;

/// <summary>One request through a proxy with given options: what the upstream got and what the client got.</summary>
internal sealed record OneRequest(string Upstream, string Client)
{
    public const string Anything = "{ match: { prefix: / }, route: { cluster: u } }";

    public string Status => Client.Length > 12 ? Client[9..12] : "";

    /// <summary>Values of a field towards the upstream, or null.</summary>
    public string? Field(string name) => FieldOf(Upstream, name);

    public string? Answer(string name) => FieldOf(Client, name);

    private static string? FieldOf(string text, string name)
    {
        var head = text.Split("\r\n\r\n")[0];
        var values = head.Split("\r\n").Skip(1).Where(l => l.StartsWith(name + ": ", StringComparison.OrdinalIgnoreCase)).Select(l => l[(name.Length + 2)..]).ToList();
        return values.Count == 0 ? null : string.Join('|', values);
    }

    public string Path => Upstream.Split(' ') is { Length: > 1 } parts ? parts[1] : "";

    public static string Configuration(string manager, string routes, string table = "", string host = "", string router = "") => $$"""
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
                  {{manager.Replace("\n                  ", "\n          ", StringComparison.Ordinal)}}
                  route_config: { {{table}} virtual_hosts: [ { name: v, domains: ["*"], {{host}} routes: [ {{routes}} ] } ] }
                  http_filters: [ { name: r, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, {{router}} } } ]
          clusters:
          - { name: u, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: u, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 10.0.0.3, port_value: 80 } } } } ] } ] } }
        """;

    /// <summary>Sends the request and waits until an answer is complete or the connection ended.</summary>
    /// <remarks>On a thread of its own: xUnit's context would wait for every async void method to end, and connections that are left open never do.</remarks>
    public static OneRequest Send(string configuration, string request, string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    {
        OneRequest? result = null;
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                result = Exchange(configuration, request, answer);
            }
            catch (Exception error)
            {
                failure = error;
            }
        });
        thread.Start();
        thread.Join();
        return result ?? throw new InvalidOperationException(failure!.Message, failure);
    }

    private static OneRequest Exchange(string configuration, string request, string answer)
    {
        using var proxy = new SimulatedProxy(7, windowBytes: 200_000, isCalm: true, configuration);
        var upstream = new StringBuilder();
        SimulatedSocket? far = null;
        proxy.Kernel.OnConnect = (_, socket) =>
        {
            far = socket;
            return 0;
        };
        var client = proxy.Connect();
        var buffer = new byte[64 * 1024];
        var bytes = Encoding.Latin1.GetBytes(request);
        var (sent, answered) = (0, false);
        var got = new StringBuilder();
        proxy.Until(() =>
        {
            int count;
            if (sent < bytes.Length)
                sent += Math.Max(0, client.Write(bytes.AsSpan(sent)));
            while (far is not null && (count = far.ReadAll(buffer)) > 0)
                upstream.Append(Encoding.Latin1.GetString(buffer, 0, count));
            if (far is not null && !answered && upstream.ToString().Contains("\r\n\r\n", StringComparison.Ordinal))
            {
                answered = true;
                far.Write(Encoding.Latin1.GetBytes(answer));
            }
            while ((count = client.ReadAll(buffer)) > 0)
                got.Append(Encoding.Latin1.GetString(buffer, 0, count));
            return client.IsEnded || (got.ToString().Contains("\r\n\r\n", StringComparison.Ordinal) && (answered || far is null));
        }, () => $"no answer to {request}: upstream {upstream}, client {got}", turnsMax: 2000);
        return new OneRequest(upstream.ToString(), got.ToString());
    }

    public static OneRequest Through(string manager, string request, string routes = Anything, string table = "", string host = "", string router = "") =>
        Send(Configuration(manager, routes, table, host, router), request);

    public static string Get(string path, params string[] fields) => $"GET {path} HTTP/1.1\r\nHost: a\r\n{string.Concat(fields.Select(f => f + "\r\n"))}\r\n";
}
