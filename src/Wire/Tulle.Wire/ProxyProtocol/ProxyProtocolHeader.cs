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

    /// <summary>Which version begins here: 1, 2, 0 for none; −1 while the bytes are too few to tell.</summary>
    public static int Version(ReadOnlySpan<byte> data)
    {
        var common = Math.Min(data.Length, 6);
        if (data[..common].SequenceEqual("PROXY "u8[..common]))
            return common == 6 ? 1 : -1;
        common = Math.Min(data.Length, 12);
        return !data[..common].SequenceEqual(V2Signature[..common]) ? 0 : common == 12 ? 2 : -1;
    }

    /// <summary>Reads a header at 0. Addresses stay empty for LOCAL and UNKNOWN.</summary>
    public static SniffStatus Parse(ReadOnlySpan<byte> data, out int length, out Address source, out Address destination)
    {
        length = 0;
        source = destination = default;
        switch (Version(data))
        {
            case 1:
                return ParseV1(data, out length, out source, out destination);
            case 2:
                return data.Length < 16 ? SniffStatus.NeedMore : ParseV2(data, out length, out source, out destination);
            default:
                return Version(data) < 0 ? SniffStatus.NeedMore : SniffStatus.Malformed;
        }
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
            && IsOf(parts[1], parts[2]) && IsOf(parts[1], parts[3])
            ? SniffStatus.Done : SniffStatus.Malformed;
    }

    /// <summary>The written form belongs to the family that the line names.</summary>
    private static bool IsOf(string family, string address) => (family == "TCP6") == address.Contains(':', StringComparison.Ordinal);

    private static SniffStatus ParseV2(ReadOnlySpan<byte> data, out int length, out Address source, out Address destination)
    {
        source = destination = default;
        var body = (data[14] << 8) | data[15];
        length = 16 + body;
        // Version 2; commands are LOCAL (0) and PROXY (1), and "receivers must drop connections presenting unexpected values".
        if (data[12] >> 4 != 2 || (data[12] & 15) > 1 || body > 4096)
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
