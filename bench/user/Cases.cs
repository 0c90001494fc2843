using System.Text;
using Tulle.Wire.Istio;

namespace Tulle.Bench;

/// <summary>What is measured: 20 hosts with 5 prefixes each, a time-out, retries, counters; five fields in a request, 1 KB of body in the answer.</summary>
internal sealed record Case(string Configuration, string Request, string RequestEnd, string Answer, string AnswerEnd)
{
    private const string At = "type.googleapis.com/envoy";
    private const string End = "~end";

    private static readonly string s_body = new string('x', 1020) + End;
    private static readonly string s_answer = $"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 30 Nov 2026 10:00:00 GMT\r\nContent-Length: {s_body.Length}\r\n\r\n{s_body}";
    private const string Fields = "Host: h17.example.com\r\nUser-Agent: meter/1\r\nAccept: */*\r\nX-Trace: 0123456789abcdef\r\nCookie: a=b; c=d\r\n";
    private const string Get = $"GET /p3/cart HTTP/1.1\r\n{Fields}\r\n";

    public static readonly string[] Names = ["plain", "chunked", "post", "log", "istio"];

    public static Case Of(string name) => name switch
    {
        "plain" => new(Text(), Get, "\r\n\r\n", s_answer, End),
        "chunked" => new(Text(), Get, "\r\n\r\n", $"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n{s_body}\r\n0\r\n\r\n", "0\r\n\r\n"),
        "post" => new(Text(), $"POST /p3/cart HTTP/1.1\r\n{Fields}Content-Length: {s_body.Length}\r\n\r\n{s_body}", End, s_answer, End),
        "log" => new(Text(log: true), Get, "\r\n\r\n", s_answer, End),
        "istio" => new(Text(log: true, istio: true), $"GET /p3/cart HTTP/1.1\r\n{Fields}x-envoy-peer-metadata-id: sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local\r\nx-envoy-peer-metadata: {Told()}\r\n\r\n", "\r\n\r\n", s_answer, End),
        _ => throw new ArgumentException($"{name} is not a case; there are {string.Join(", ", Names)}"),
    };

    private static string Told() => Encoding.ASCII.GetString(WorkloadStruct.ToField(WorkloadStruct.Write([new("WORKLOAD_NAME", "web-v1"), new("NAMESPACE", "shop")], [new("app", "web")])));

    private static string Text(bool log = false, bool istio = false)
    {
        const string action = """{ cluster: u, timeout: 15s, retry_policy: { retry_on: "connect-failure,refused-stream", num_retries: 2 } }""";
        var routes = string.Join(", ", Enumerable.Range(0, 5).Select(p => $"{{ match: {{ prefix: /p{p} }}, route: {action} }}"));
        var hosts = string.Join(", ", Enumerable.Range(0, 20).Select(h => $"{{ name: h{h}, domains: [\"h{h}.example.com\"], routes: [ {routes} ] }}"));
        var logs = log ? $"access_log: [ {{ name: f, typed_config: {{ \"@type\": {At}.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null }} }} ]," : "";
        var filters = istio
            ? """
              { name: istio.metadata_exchange, typed_config: { "@type": type.googleapis.com/udpa.type.v1.TypedStruct, type_url: type.googleapis.com/io.istio.http.peer_metadata.Config, value: { downstream_discovery: [ { istio_headers: {} } ], downstream_propagation: [ { istio_headers: {} } ] } } }, { name: istio.stats, typed_config: { "@type": type.googleapis.com/udpa.type.v1.TypedStruct, type_url: type.googleapis.com/stats.PluginConfig, value: {} } },
              """.Trim()
            : "";
        return $$"""
            node: { id: "sidecar~10.0.0.2~cart-1.shop~shop.svc.cluster.local", metadata: { WORKLOAD_NAME: cart-v1, NAMESPACE: shop, LABELS: { app: cart } } }
            static_resources:
              listeners:
              - name: l0
                traffic_direction: {{(istio ? "INBOUND" : "UNSPECIFIED")}}
                address: { socket_address: { address: 10.0.0.2, port_value: 8080 } }
                filter_chains:
                - filters:
                  - name: h
                    typed_config: { "@type": {{At}}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: h, {{logs}}
                      route_config: { virtual_hosts: [ {{hosts}} ], request_headers_to_add: [ { header: { key: x-bench, value: "1" }, append_action: OVERWRITE_IF_EXISTS_OR_ADD } ] },
                      http_filters: [ {{filters}} { name: r, typed_config: { "@type": {{At}}.extensions.filters.http.router.v3.Router } } ] }
              clusters:
              - { name: u, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: u, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 10.0.0.3, port_value: 80 } } } } ] } ] } }
            """;
    }
}
