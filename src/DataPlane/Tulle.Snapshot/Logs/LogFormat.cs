using System.Text;
using Tulle.Base.Documents;

namespace Tulle.Snapshot;

/// <summary>A command of Envoy's access-log language.</summary>
public enum LogOperator : byte
{
    Literal,
    StartTime,
    Request,
    Response,
    Protocol,
    ResponseCode,
    ResponseFlags,
    ResponseCodeDetails,
    ConnectionTerminationDetails,
    UpstreamTransportFailureReason,
    BytesReceived,
    BytesSent,
    Duration,
    ResponseDuration,
    RequestDuration,
    UpstreamHost,
    UpstreamCluster,
    UpstreamLocalAddress,
    DownstreamLocalAddress,
    DownstreamLocalPort,
    DownstreamRemoteAddress,
    DownstreamRemoteAddressWithoutPort,
    DownstreamDirectRemoteAddress,
    DownstreamDirectRemoteAddressWithoutPort,
    RequestedServerName,
    RouteName,
    Hostname,
    ConnectionId,
    AttemptCount,
    DownstreamPeerUri,
    DownstreamLocalUri,
    DownstreamTlsVersion,
    DownstreamTlsCipher,
    DownstreamPeerSubject,
    UpstreamPeerUri,
    FilterChainName,
    Empty,
}

/// <summary>One operator with its parameters.</summary>
public sealed record LogPart(LogOperator Operator, byte[] Text, string Name = "", string Alternative = "", int LengthMax = 0)
{
    /// <summary>The lower-case header names as bytes, made once.</summary>
    public byte[] NameBytes { get; } = Encoding.ASCII.GetBytes(Name);

    public byte[] AlternativeBytes { get; } = Encoding.ASCII.GetBytes(Alternative);
}

/// <summary>A format compiled to parts, or a JSON template whose leaves are parts.</summary>
public sealed class LogFormat
{
    public IReadOnlyList<LogPart> Parts { get; init; } = [];

    /// <summary>The template of a JSON format; null for text.</summary>
    public JsonTemplate? Json { get; init; }

    public bool OmitEmpty { get; init; }

    /// <summary>Envoy's default format.</summary>
    public const string DefaultText =
        "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
        + "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

    /// <summary>Compiles a text format; the first unknown operator is named in the error.</summary>
    public static bool TryCompile(string text, out List<LogPart> parts, out string error)
    {
        parts = [];
        error = "";
        var literal = new StringBuilder();
        for (var at = 0; at < text.Length;)
        {
            if (text[at] != '%')
            {
                literal.Append(text[at++]);
                continue;
            }
            if (at + 1 < text.Length && text[at + 1] == '%')
            {
                literal.Append('%');
                at += 2;
                continue;
            }
            var end = FindEnd(text, at + 1);
            if (end < 0)
            {
                error = $"the % at position {at} has no end";
                return false;
            }
            var command = text[(at + 1)..end];
            var part = ParseCommand(command);
            if (part is null)
            {
                error = $"%{command}% is not an operator that is known here";
                return false;
            }
            if (literal.Length > 0)
                parts.Add(new LogPart(LogOperator.Literal, Encoding.UTF8.GetBytes(literal.ToString())));
            literal.Clear();
            parts.Add(part);
            at = end + 1;
        }
        if (literal.Length > 0)
            parts.Add(new LogPart(LogOperator.Literal, Encoding.UTF8.GetBytes(literal.ToString())));
        return true;
    }

    private static int FindEnd(string text, int from)
    {
        var depth = 0;
        for (var i = from; i < text.Length; i++)
        {
            if (text[i] == '(')
                depth++;
            else if (text[i] == ')')
                depth--;
            else if (text[i] == '%' && depth <= 0)
                return i;
        }
        return -1;
    }

    private static LogPart? ParseCommand(string command)
    {
        var open = command.IndexOf('(');
        var close = command.LastIndexOf(')');
        var name = open < 0 ? command.Split(':')[0] : command[..open];
        var argument = open < 0 || close < open ? "" : command[(open + 1)..close];
        var tail = open < 0 ? command[name.Length..] : command[(close + 1)..];
        var length = tail.StartsWith(':') && int.TryParse(tail.AsSpan(1), out var max) ? max : 0;
        var choices = argument.Split('?', 2);
        LogPart Simple(LogOperator op) => new(op, Encoding.UTF8.GetBytes(argument), LengthMax: length);
        LogPart Header(LogOperator op) => new(op, [], choices[0].ToLowerInvariant(), choices.Length > 1 ? choices[1].ToLowerInvariant() : "", length);
        return name switch
        {
            "REQ" => Header(LogOperator.Request),
            "RESP" => Header(LogOperator.Response),
            "START_TIME" => Simple(LogOperator.StartTime),
            "PROTOCOL" => Simple(LogOperator.Protocol),
            "RESPONSE_CODE" => Simple(LogOperator.ResponseCode),
            "RESPONSE_FLAGS" => Simple(LogOperator.ResponseFlags),
            "RESPONSE_CODE_DETAILS" => Simple(LogOperator.ResponseCodeDetails),
            "CONNECTION_TERMINATION_DETAILS" => Simple(LogOperator.ConnectionTerminationDetails),
            "UPSTREAM_TRANSPORT_FAILURE_REASON" => Simple(LogOperator.UpstreamTransportFailureReason),
            "BYTES_RECEIVED" => Simple(LogOperator.BytesReceived),
            "BYTES_SENT" => Simple(LogOperator.BytesSent),
            "DURATION" => Simple(LogOperator.Duration),
            "RESPONSE_DURATION" => Simple(LogOperator.ResponseDuration),
            "REQUEST_DURATION" => Simple(LogOperator.RequestDuration),
            "UPSTREAM_HOST" or "UPSTREAM_REMOTE_ADDRESS" => Simple(LogOperator.UpstreamHost),
            "UPSTREAM_CLUSTER" or "UPSTREAM_CLUSTER_RAW" => Simple(LogOperator.UpstreamCluster),
            "UPSTREAM_LOCAL_ADDRESS" => Simple(LogOperator.UpstreamLocalAddress),
            "DOWNSTREAM_LOCAL_ADDRESS" => Simple(LogOperator.DownstreamLocalAddress),
            "DOWNSTREAM_LOCAL_PORT" => Simple(LogOperator.DownstreamLocalPort),
            "DOWNSTREAM_REMOTE_ADDRESS" => Simple(LogOperator.DownstreamRemoteAddress),
            "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Simple(LogOperator.DownstreamRemoteAddressWithoutPort),
            "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => Simple(LogOperator.DownstreamDirectRemoteAddress),
            "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => Simple(LogOperator.DownstreamDirectRemoteAddressWithoutPort),
            "REQUESTED_SERVER_NAME" => Simple(LogOperator.RequestedServerName),
            "ROUTE_NAME" => Simple(LogOperator.RouteName),
            "HOSTNAME" => Simple(LogOperator.Hostname),
            "CONNECTION_ID" => Simple(LogOperator.ConnectionId),
            "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Simple(LogOperator.AttemptCount),
            "DOWNSTREAM_PEER_URI_SAN" => Simple(LogOperator.DownstreamPeerUri),
            "DOWNSTREAM_LOCAL_URI_SAN" => Simple(LogOperator.DownstreamLocalUri),
            "DOWNSTREAM_TLS_VERSION" => Simple(LogOperator.DownstreamTlsVersion),
            "DOWNSTREAM_TLS_CIPHER" => Simple(LogOperator.DownstreamTlsCipher),
            "DOWNSTREAM_PEER_SUBJECT" => Simple(LogOperator.DownstreamPeerSubject),
            "UPSTREAM_PEER_URI_SAN" => Simple(LogOperator.UpstreamPeerUri),
            "FILTER_CHAIN_NAME" => Simple(LogOperator.FilterChainName),
            "DYNAMIC_METADATA" or "FILTER_STATE" or "CLUSTER_METADATA" or "UPSTREAM_METADATA" or "TRAILER" or "GRPC_STATUS" or "ROUTE_METADATA" => Simple(LogOperator.Empty),
            _ => null,
        };
    }

    /// <summary>Compiles a JSON template.</summary>
    public static JsonTemplate? CompileJson(Node node, ref string error)
    {
        switch (node.Kind)
        {
            case NodeKind.Map:
                var fields = new List<(string, JsonTemplate)>();
                foreach (var field in node.Fields)
                {
                    var child = CompileJson(field.Value, ref error);
                    if (child is null)
                        return null;
                    fields.Add((field.Key, child));
                }
                return new JsonTemplate { Fields = fields };
            case NodeKind.List:
                var items = new List<JsonTemplate>();
                foreach (var item in node.Items)
                {
                    var child = CompileJson(item, ref error);
                    if (child is null)
                        return null;
                    items.Add(child);
                }
                return new JsonTemplate { Items = items };
            case NodeKind.String:
                return TryCompile(node.AsText, out var parts, out error) ? new JsonTemplate { Parts = parts } : null;
            default:
                return new JsonTemplate { Raw = Encoding.UTF8.GetBytes(NodeJson.Write(node)) };
        }
    }
}

/// <summary>A node of a JSON log format; exactly one property is set.</summary>
public sealed class JsonTemplate
{
    public List<(string Name, JsonTemplate Value)>? Fields { get; init; }

    public List<JsonTemplate>? Items { get; init; }

    public List<LogPart>? Parts { get; init; }

    public byte[]? Raw { get; init; }
}
