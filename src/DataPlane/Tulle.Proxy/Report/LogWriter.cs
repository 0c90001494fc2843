using System.Globalization;
using System.Text;
using Tulle.Base;
using Tulle.Snapshot;
using Tulle.Wire;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>Writes records in a compiled format. Allocates nothing for text formats.</summary>
public static class LogWriter
{
    private static readonly string s_hostName = Environment.MachineName;

    public static void WriteText(ref ByteWriter writer, LogFormat format, RequestRecord record)
    {
        foreach (var part in format.Parts)
            WritePart(ref writer, part, record, "-"u8);
    }

    /// <summary>One operator; what is missing becomes the given text.</summary>
    public static void WritePart(ref ByteWriter writer, LogPart part, RequestRecord record, ReadOnlySpan<byte> missing)
    {
        var before = writer.Length;
        switch (part.Operator)
        {
            case LogOperator.Literal:
                writer.Add(part.Text);
                return;
            case LogOperator.StartTime:
                TimeFormat.Write(ref writer, part.Text, record.StartMicros);
                return;
            case LogOperator.Request:
                WriteRequestHeader(ref writer, part, record);
                break;
            case LogOperator.Response:
                if (record.Response is { } response)
                    WriteHeader(ref writer, response, part);
                break;
            case LogOperator.Protocol:
                writer.AddText(record.Protocol);
                break;
            case LogOperator.ResponseCode:
                writer.AddNumber(record.Status);
                return;
            case LogOperator.ResponseFlags:
                WriteFlags(ref writer, record);
                return;
            case LogOperator.ResponseCodeDetails:
                writer.AddText(record.Details);
                break;
            case LogOperator.ConnectionTerminationDetails:
                writer.AddText(record.TerminationDetails);
                break;
            case LogOperator.UpstreamTransportFailureReason:
                writer.AddText(record.TransportFailure);
                break;
            case LogOperator.BytesReceived:
                writer.AddNumber(record.BytesReceived);
                return;
            case LogOperator.BytesSent:
                writer.AddNumber(record.BytesSent);
                return;
            case LogOperator.Duration:
                writer.AddNumber((record.EndMicros - record.StartMicros) / 1000);
                return;
            case LogOperator.RequestDuration:
                if (record.RequestEndMicros > 0)
                    writer.AddNumber((record.RequestEndMicros - record.StartMicros) / 1000);
                break;
            case LogOperator.ResponseDuration:
                if (record.ResponseStartMicros > 0)
                    writer.AddNumber((record.ResponseStartMicros - record.StartMicros) / 1000);
                break;
            case LogOperator.UpstreamHost:
                AddAddress(ref writer, record.UpstreamHost);
                break;
            case LogOperator.UpstreamCluster:
                writer.AddText(record.ClusterName);
                break;
            case LogOperator.UpstreamLocalAddress:
                AddAddress(ref writer, record.UpstreamLocal);
                break;
            case LogOperator.DownstreamLocalAddress:
                AddAddress(ref writer, record.DownstreamLocal);
                break;
            case LogOperator.DownstreamLocalPort:
                writer.AddNumber(record.DownstreamLocal.Port);
                break;
            case LogOperator.DownstreamRemoteAddress:
                AddAddress(ref writer, record.DownstreamRemote);
                break;
            case LogOperator.DownstreamRemoteAddressWithoutPort:
                Span<byte> ip = stackalloc byte[64];
                writer.Add(ip[..record.DownstreamRemote.FormatIp(ip)]);
                break;
            case LogOperator.DownstreamDirectRemoteAddress:
                AddAddress(ref writer, record.DownstreamDirectRemote);
                break;
            case LogOperator.DownstreamDirectRemoteAddressWithoutPort:
                Span<byte> direct = stackalloc byte[64];
                writer.Add(direct[..record.DownstreamDirectRemote.FormatIp(direct)]);
                break;
            case LogOperator.RequestedServerName:
                writer.AddText(record.ServerName);
                break;
            case LogOperator.RouteName:
                writer.Add(record.RouteName);
                break;
            case LogOperator.Hostname:
                writer.AddText(s_hostName);
                break;
            case LogOperator.ConnectionId:
                writer.AddNumber((long)record.ConnectionId);
                break;
            case LogOperator.AttemptCount:
                writer.AddNumber(record.Attempts);
                break;
            case LogOperator.DownstreamPeerUri:
                writer.AddText(record.Peer?.Identity);
                break;
            case LogOperator.DownstreamLocalUri:
                writer.AddText(record.Peer?.LocalIdentity);
                break;
            case LogOperator.DownstreamTlsVersion:
                writer.AddText(record.Peer?.Version);
                break;
            case LogOperator.DownstreamTlsCipher:
                writer.AddText(record.Peer?.Cipher);
                break;
            case LogOperator.DownstreamPeerSubject:
                writer.AddText(record.Peer?.Names?.Subject);
                break;
            case LogOperator.UpstreamPeerUri:
                writer.AddText(record.UpstreamPeer?.Identity);
                break;
            case LogOperator.FilterChainName:
                writer.AddText(record.ChainName);
                break;
        }
        if (writer.Length == before)
            writer.Add(missing);
    }

    private static void WriteFlags(ref ByteWriter writer, RequestRecord record)
    {
        // In the order in which they came about: the retries were used up before the request was given up.
        if (record.ExtraReason != FailureReason.None)
        {
            writer.AddText(Failures.Flag(record.ExtraReason));
            writer.Add((byte)',');
        }
        writer.AddText(Failures.Flag(record.Reason));
    }

    private static void WriteRequestHeader(ref ByteWriter writer, LogPart part, RequestRecord record)
    {
        if (record.Request is not { } request)
            return;
        var before = writer.Length;
        WriteRequestName(ref writer, request, part.Name, part.NameBytes, part.LengthMax);
        if (writer.Length == before && part.Alternative.Length > 0)
            WriteRequestName(ref writer, request, part.Alternative, part.AlternativeBytes, part.LengthMax);
    }

    private static void WriteRequestName(ref ByteWriter writer, HttpHead request, string name, byte[] bytes, int max)
    {
        var value = name switch
        {
            ":method" => request.MethodText,
            ":path" or "path" when name[0] == ':' => request.Path,
            ":authority" => request.Authority,
            ":scheme" => request.Scheme,
            // The alternative of X-ENVOY-ORIGINAL-PATH is written with the colon: REQ(X-ENVOY-ORIGINAL-PATH?:PATH).
            _ => request.Find(bytes) is var i and >= 0 ? request.Value(i) : default,
        };
        writer.Add(max > 0 && value.Length > max ? value[..max] : value);
    }

    private static void WriteHeader(ref ByteWriter writer, HttpHead head, LogPart part)
    {
        var index = head.Find(part.NameBytes);
        if (index < 0 && part.AlternativeBytes.Length > 0)
            index = head.Find(part.AlternativeBytes);
        if (index >= 0)
            writer.Add(head.Value(index));
    }

    private static void AddAddress(ref ByteWriter writer, in Address address)
    {
        Span<byte> text = stackalloc byte[128];
        writer.Add(text[..address.Format(text)]);
    }

    public static void WriteJson(StringBuilder json, JsonTemplate template, RequestRecord record)
    {
        if (template.Fields is not null)
        {
            json.Append('{');
            var first = true;
            foreach (var (name, value) in template.Fields)
            {
                if (!first)
                    json.Append(',');
                first = false;
                AppendQuoted(json, name);
                json.Append(':');
                WriteJson(json, value, record);
            }
            json.Append('}');
        }
        else if (template.Items is not null)
        {
            json.Append('[');
            for (var i = 0; i < template.Items.Count; i++)
            {
                if (i > 0)
                    json.Append(',');
                WriteJson(json, template.Items[i], record);
            }
            json.Append(']');
        }
        else if (template.Raw is not null)
        {
            json.Append(Encoding.UTF8.GetString(template.Raw));
        }
        else
        {
            WriteJsonLeaf(json, template.Parts!, record);
        }
    }

    private static void WriteJsonLeaf(StringBuilder json, List<LogPart> parts, RequestRecord record)
    {
        var text = LeafText(parts, record);
        if (parts.Count == 1 && parts[0].Operator != LogOperator.Literal)
        {
            if (text.Length == 0 || (text == "-" && parts[0].Operator != LogOperator.ResponseFlags))
            {
                json.Append("null");
                return;
            }
            if (parts[0].Operator is LogOperator.ResponseCode or LogOperator.BytesReceived or LogOperator.BytesSent or LogOperator.Duration
                or LogOperator.RequestDuration or LogOperator.ResponseDuration or LogOperator.ConnectionId or LogOperator.AttemptCount)
            {
                json.Append(text);
                return;
            }
        }
        AppendQuoted(json, text);
    }

    private static string LeafText(List<LogPart> parts, RequestRecord record)
    {
        Span<byte> buffer = stackalloc byte[4096];
        byte[]? larger = null;
        while (true)
        {
            var writer = new ByteWriter(larger ?? buffer);
            foreach (var part in parts)
                WritePart(ref writer, part, record, parts.Count == 1 ? default : "-"u8);
            // Longer fields are rare, and what a client asked for must not vanish from the log by being long.
            if (!writer.Overflowed || (larger?.Length ?? 0) >= LogSink.RecordBytesMax)
                return Encoding.UTF8.GetString(writer.Written);
            larger = new byte[(larger?.Length ?? 16 * 1024) * 4];
        }
    }

    private static void AppendQuoted(StringBuilder json, string text)
    {
        json.Append('"');
        foreach (var c in text)
        {
            if (c is '"' or '\\')
                json.Append('\\').Append(c);
            else if (c < 32)
                json.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture));
            else
                json.Append(c);
        }
        json.Append('"');
    }
}
