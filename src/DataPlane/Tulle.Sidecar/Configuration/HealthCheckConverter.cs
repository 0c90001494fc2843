using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>envoy.config.core.v3.HealthCheck.</summary>
internal static class HealthCheckConverter
{
    public static HealthCheckConfig? Convert(FieldReader cluster, string name, ConversionContext context)
    {
        HealthCheckConfig? result = null;
        foreach (var check in cluster.Children("health_checks"))
        {
            if (result is not null)
            {
                // As Envoy: which of two verdicts would count?
                cluster.Fail("health_checks", "more than one health check is not supported");
                continue;
            }
            result = One(check, name, context);
        }
        return result;
    }

    private static HealthCheckConfig One(FieldReader check, string name, ConversionContext context)
    {
        HttpCheckConfig? http = null;
        var tcp = TcpCheckConfig.ConnectOnly;
        if (check.Child("http_health_check") is { } asked)
            http = Http(asked, name, context);
        else if (check.Child("tcp_health_check") is { } exchanged)
            tcp = Tcp(exchanged);
        else
            check.Fail("", "only http_health_check and tcp_health_check are supported");
        List<string> alpn = [];
        if (check.Child("tls_options") is { } tls)
        {
            alpn = tls.Texts("alpn_protocols");
            tls.Done();
        }
        Dictionary<string, string>? match = null;
        if (check.Raw("transport_socket_match_criteria") is { } criteria)
            match = criteria.Fields.ToDictionary(f => f.Key, f => f.Value.AsText, StringComparer.Ordinal);
        var interval = Positive(check, "interval", null);
        var unhealthy = Positive(check, "unhealthy_interval", interval);
        var noTraffic = Positive(check, "no_traffic_interval", 60_000);
        var result = new HealthCheckConfig
        {
            Http = http,
            Tcp = tcp,
            TimeoutMs = Positive(check, "timeout", null),
            IntervalMs = interval,
            UnhealthyIntervalMs = unhealthy,
            UnhealthyEdgeIntervalMs = Positive(check, "unhealthy_edge_interval", unhealthy),
            HealthyEdgeIntervalMs = Positive(check, "healthy_edge_interval", interval),
            NoTrafficIntervalMs = noTraffic,
            NoTrafficHealthyIntervalMs = Positive(check, "no_traffic_healthy_interval", noTraffic),
            InitialJitterMs = (long)(check.DurationMs("initial_jitter") ?? 0),
            IntervalJitterMs = (long)(check.DurationMs("interval_jitter") ?? 0),
            IntervalJitterPercent = (int)check.IntegerOr("interval_jitter_percent", 0, 0, int.MaxValue),
            HealthyThreshold = Threshold(check, "healthy_threshold"),
            UnhealthyThreshold = Threshold(check, "unhealthy_threshold"),
            AlternatePort = (int)check.IntegerOr("alt_port", 0, 0, 65535),
            Alpn = alpn,
            TransportMatch = match,
            ContentHash = ConversionContext.Hash(check.Node),
        };
        check.Done("is not supported by this proxy");
        return result;
    }

    /// <summary>Required by Envoy; 0 is refused by it for times.</summary>
    private static long Positive(FieldReader check, string field, long? otherwise)
    {
        var value = check.DurationMs(field);
        if (value is null && otherwise is { } known)
            return known;
        if (value is null or <= 0)
            check.Fail(field, value is null ? "is required" : "must be longer than 0 s");
        return Math.Max(1, (long)(value ?? 1));
    }

    private static int Threshold(FieldReader check, string field)
    {
        var value = check.Integer(field, 0, uint.MaxValue);
        if (value is null)
            check.Fail(field, "is required");
        return (int)Math.Clamp(value ?? 1, 1, int.MaxValue);
    }

    private static HttpCheckConfig Http(FieldReader http, string name, ConversionContext context)
    {
        var method = http.Choice("method", "GET", "METHOD_UNSPECIFIED", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH");
        var result = new HttpCheckConfig
        {
            Path = Clean(http, "path", http.Required("path")),
            Host = Clean(http, "host", http.Text("host") is { Length: > 0 } text ? text : name),
            Method = method == "METHOD_UNSPECIFIED" ? "GET" : method,
            Service = MatcherConverter.Text(http.Child("service_name_matcher"), context),
            Retriable = Ranges(http, "retriable_statuses"),
        };
        var expected = Ranges(http, "expected_statuses");
        http.Done("is not supported by this proxy");
        return expected.Count > 0 ? result with { Expected = expected } : result;
    }

    /// <summary>Nothing that would end a line of the request.</summary>
    private static string Clean(FieldReader http, string field, string text)
    {
        if (text.AsSpan().IndexOfAnyInRange('\0', ' ') < 0 || (field == "host" && !text.AsSpan().ContainsAnyInRange('\0', '\u001F')))
            return text;
        http.Fail(field, "must not contain spaces or control characters");
        return "";
    }

    private static List<(int From, int To)> Ranges(FieldReader http, string field)
    {
        var result = new List<(int, int)>();
        foreach (var range in http.Children(field))
        {
            var from = (int)range.IntegerOr("start", 0, 100, 599);
            var to = (int)range.IntegerOr("end", 0, 101, 600);
            range.Done();
            if (from >= to)
                range.Fail("end", "must be greater than start: it is not part of the range");
            result.Add((from, to));
        }
        return result;
    }

    private static TcpCheckConfig Tcp(FieldReader tcp)
    {
        var send = tcp.Child("send") is { } payload ? Payload(payload) : [];
        var receive = new List<byte[]>();
        foreach (var block in tcp.Children("receive"))
            receive.Add(Payload(block));
        tcp.Done("is not supported by this proxy");
        return new TcpCheckConfig(send, receive);
    }

    /// <summary>Hexadecimal text or base64.</summary>
    private static byte[] Payload(FieldReader payload)
    {
        var text = payload.Text("text");
        var binary = payload.Text("binary");
        payload.Done();
        try
        {
            var bytes = text is not null ? System.Convert.FromHexString(text) : binary is not null ? System.Convert.FromBase64String(binary) : [];
            if (bytes.Length == 0)
                payload.Fail("", "holds no byte");
            return bytes;
        }
        catch (FormatException)
        {
            payload.Fail(text is not null ? "text" : "binary", text is not null ? "is not hexadecimal" : "is not base64");
            return [];
        }
    }

    /// <summary>envoy.config.endpoint.v3.Endpoint.HealthCheckConfig.</summary>
    public static EndpointCheckConfig? Endpoint(FieldReader? check, Address? endpoint, ConversionContext context)
    {
        if (check is null)
            return null;
        var port = (int)check.IntegerOr("port_value", 0, 0, 65535);
        var address = check.Child("address") is { } own ? context.SocketAddress(own) : null;
        if (address is null && port > 0)
            address = endpoint?.WithPort(port);
        var result = new EndpointCheckConfig(address, Clean(check, "host", check.Text("hostname", "")), check.Bool("disable_active_health_check", false));
        check.Done();
        return result;
    }
}
