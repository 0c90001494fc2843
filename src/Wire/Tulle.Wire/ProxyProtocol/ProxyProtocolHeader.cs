using System.Globalization;
using System.Text;
using Tulle.Base;
using Tulle.Wire.Tls;

namespace Tulle.Wire.ProxyProtocol;

/// <summary>PROXY protocol, version 1 (text) and 2 (binary), as haproxy's proxy-protocol.txt has them.</summary>
public static class ProxyProtocolHeader
{
    /// <summary>Longest version 1 line, by the document: 107 bytes with CRLF.</summary>
    private const int V1BytesMax = 107;

    private static ReadOnlySpan<byte> V2Signature => [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A];

    /// <summary>Reads a header at 0. Addresses stay empty for LOCAL and UNKNOWN.</summary>
    public static SniffStatus Parse(ReadOnlySpan<byte> data, out int length, out Address source, out Address destination)
    {
        length = 0;
        source = destination = default;
        var common = Math.Min(data.Length, 6);
        if (data[..common].SequenceEqual("PROXY "u8[..common]))
            return data.Length < 6 ? SniffStatus.NeedMore : ParseV1(data, out length, out source, out destination);
        common = Math.Min(data.Length, 12);
        if (!data[..common].SequenceEqual(V2Signature[..common]))
            return SniffStatus.Malformed;
        return data.Length < 16 ? SniffStatus.NeedMore : ParseV2(data, out length, out source, out destination);
    }

    private static SniffStatus ParseV1(ReadOnlySpan<byte> data, out int length, out Address source, out Address destination)
    {
        source = destination = default;
        length = 0;
        var end = data[..Math.Min(data.Length, V1BytesMax)].IndexOf("\r\n"u8);
        if (end < 0)
            return data.Length >= V1BytesMax ? SniffStatus.Malformed : SniffStatus.NeedMore;
        length = end + 2;
        var parts = Encoding.ASCII.GetString(data[..end]).Split(' ');
        if (parts.Length >= 2 && parts[1] == "UNKNOWN")
            return SniffStatus.Done;
        return parts.Length == 6 && parts[1] is "TCP4" or "TCP6"
            && ushort.TryParse(parts[4], NumberStyles.None, CultureInfo.InvariantCulture, out var sourcePort)
            && ushort.TryParse(parts[5], NumberStyles.None, CultureInfo.InvariantCulture, out var destinationPort)
            && Address.TryParseIp(parts[2], sourcePort, out source) && Address.TryParseIp(parts[3], destinationPort, out destination)
            ? SniffStatus.Done : SniffStatus.Malformed;
    }

    private static SniffStatus ParseV2(ReadOnlySpan<byte> data, out int length, out Address source, out Address destination)
    {
        source = destination = default;
        var body = (data[14] << 8) | data[15];
        length = 16 + body;
        if (data[12] >> 4 != 2 || body > 4096)
            return SniffStatus.Malformed;
        if (data.Length < length)
            return SniffStatus.NeedMore;
        if ((data[12] & 15) == 0)
            return SniffStatus.Done;
        var bytes = (data[13] >> 4) switch { 1 => 4, 2 => 16, _ => 0 };
        if (bytes == 0)
            return SniffStatus.Done;
        if (body < bytes * 2 + 4)
            return SniffStatus.Malformed;
        var ports = data[(16 + bytes * 2)..];
        source = Address.FromBytes(data.Slice(16, bytes), (ports[0] << 8) | ports[1]);
        destination = Address.FromBytes(data.Slice(16 + bytes, bytes), (ports[2] << 8) | ports[3]);
        return SniffStatus.Done;
    }
}
