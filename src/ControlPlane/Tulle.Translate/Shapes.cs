using Tulle.Base.Documents;
using Tulle.Model;

namespace Tulle.Translate;

/// <summary>Small pieces of xDS that occur everywhere.</summary>
internal static class Shapes
{
    public const string Types = "type.googleapis.com/";

    public static Node Socket(string address, int port) => Node.Map(("socket_address", Node.Map(("address", address), ("port_value", port))));

    public static Node Ads { get; } = Node.Map(("ads", Node.Map()), ("initial_fetch_timeout", "0s"), ("resource_api_version", "V3"));

    public static Node Typed(string name, string type, params ReadOnlySpan<(string Name, Node? Value)> fields)
    {
        var config = new List<KeyValuePair<string, Node>> { new("@type", Types + type) };
        foreach (var (field, value) in fields)
        {
            if (value is not null)
                config.Add(new(field, value));
        }
        return Node.Map(("name", name), ("typed_config", Node.Map(config)));
    }

    public static Node Struct(string name, string type, Node value) => Node.Map(("name", name),
        ("typed_config", Node.Map(("@type", Types + "udpa.type.v1.TypedStruct"), ("type_url", Types + type), ("value", value))));

    public static Node Strings(IEnumerable<string> values) => Node.List(values.Select(Node.FromString).ToList());

    public static Node? StringsOrNull(IReadOnlyCollection<string> values) => values.Count == 0 ? null : Strings(values);

    public static Node MetadataExchange() => Struct("istio.metadata_exchange", "envoy.tcp.metadataexchange.config.MetadataExchange",
        Node.Map(("enable_discovery", true), ("protocol", "istio-peer-exchange")));

    public static Node Stats(bool disableHostFallback) => Typed("istio.stats", "stats.PluginConfig", ("disable_host_header_fallback", disableHostFallback ? Node.Of(true) : null));

    public static Node TcpProxy(string cluster, Node? accessLog) => Typed("envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        ("stat_prefix", cluster), ("cluster", cluster), ("access_log", accessLog));

    /// <summary>Metadata that names the object a resource was made from.</summary>
    public static Node ConfigMetadata(string kindPath, string space, string name) => Node.Map(("filter_metadata", Node.Map(("istio", Node.Map(
        ("config", $"/apis/networking.istio.io/v1/namespaces/{space}/{kindPath}/{name}"))))));

    /// <summary>Istio's text format, with every operator in its place.</summary>
    public const string AccessLogFormat =
        "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
        + "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
        + "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
        + "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

    /// <summary>Who is at the other end, both ways: what Istio's default line leaves out.</summary>
    private const string Identities = " %DOWNSTREAM_PEER_URI_SAN% %UPSTREAM_PEER_URI_SAN%\n";

    public static Node? AccessLog(AccessLogSettings log) => log.Path.Length == 0 ? null : Node.List(Typed("envoy.access_loggers.file", "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        ("path", log.Path), ("log_format", Node.Map(("text_format_source", Node.Map(("inline_string", log.Format.Length > 0 ? log.Format + "\n" : log.WithIdentities ? AccessLogFormat[..^1] + Identities : AccessLogFormat)))))));
}
