using System.Buffers.Binary;
using System.Text;

namespace Tulle.Wire.Tls;

public enum SniffStatus : byte
{
    NeedMore,
    NotTls,
    Malformed,
    Done,
}

/// <summary>What a TLS client says of itself before anything is encrypted: the server name and the application protocols (RFC 8446 section 4.1.2).</summary>
/// <param name="ServerName">SNI in lower case; empty when absent.</param>
/// <param name="ApplicationProtocols">ALPN names in the client's order.</param>
public sealed record ClientHello(string ServerName, IReadOnlyList<string> ApplicationProtocols)
{
    /// <summary>Bytes of one hello that are looked at. Source: Envoy tls_inspector's default of 64 KiB is far above any real hello; post-quantum hellos reach about 2 KiB.</summary>
    public const int BytesMax = 16 * 1024;

    /// <summary>
    /// Records over which one hello may be spread. Source: real clients use one, or a few when a middlebox or a padding splits it; each further record is
    /// joined anew at every read, so many would cost the square of their number.
    /// </summary>
    private const int RecordsMax = 8;

    /// <summary>Reads a hello that begins at 0, also when it is cut into several records.</summary>
    public static SniffStatus Parse(ReadOnlySpan<byte> data, out ClientHello? hello)
    {
        hello = null;
        Span<byte> joined = stackalloc byte[0];
        byte[]? copy = null;
        var copied = 0;
        var at = 0;
        for (var records = 1; ; records++)
        {
            if (records > RecordsMax)
                return SniffStatus.Malformed;
            var rest = data[at..];
            // TLSPlaintext: type(1) version(2) length(2) fragment. Decide "not TLS" on the first byte that differs.
            if (rest.Length > 0 && rest[0] != 22)
                return copied == 0 ? SniffStatus.NotTls : SniffStatus.Malformed;
            // Once it began as TLS it is not plain text any more, whatever a later record says.
            if (rest.Length > 1 && rest[1] != 3)
                return copied == 0 ? SniffStatus.NotTls : SniffStatus.Malformed;
            if (rest.Length < 5)
                return SniffStatus.NeedMore;
            var length = BinaryPrimitives.ReadUInt16BigEndian(rest[3..]);
            if (length is 0 or > 16384)
                return SniffStatus.Malformed;
            var fragment = rest.Slice(5, Math.Min(length, rest.Length - 5));
            if (copied == 0 && fragment.Length > 0 && fragment[0] != 1)
                return SniffStatus.Malformed;
            if (copied == 0 && fragment.Length >= 4)
            {
                var wanted = (fragment[1] << 16) | (fragment[2] << 8) | fragment[3];
                if (wanted > BytesMax)
                    return SniffStatus.Malformed;
                if (fragment.Length >= wanted + 4)
                    return ParseBody(fragment.Slice(4, wanted), out hello);
            }
            if (fragment.Length < length)
                return data.Length > BytesMax ? SniffStatus.Malformed : SniffStatus.NeedMore;
            if (copied + fragment.Length > BytesMax + 4)
                return SniffStatus.Malformed;
            if (copy is null || copied + fragment.Length > copy.Length)
                Array.Resize(ref copy, Math.Min(BytesMax + 4, Math.Max(1024, (copied + fragment.Length) * 2)));
            fragment.CopyTo(copy.AsSpan(copied));
            copied += fragment.Length;
            joined = copy.AsSpan(0, copied);
            if (copied >= 4)
            {
                var wanted = (joined[1] << 16) | (joined[2] << 8) | joined[3];
                if (wanted > BytesMax)
                    return SniffStatus.Malformed;
                if (copied >= wanted + 4)
                    return ParseBody(joined.Slice(4, wanted), out hello);
            }
            at += 5 + length;
        }
    }

    private static SniffStatus ParseBody(ReadOnlySpan<byte> body, out ClientHello? hello)
    {
        hello = null;
        // legacy_version(2) random(32) session_id<0..32> cipher_suites<2..> compression<1..> extensions<8..>
        var at = 34;
        if (!Skip(body, ref at, 1) || !Skip(body, ref at, 2) || !Skip(body, ref at, 1))
            return SniffStatus.Malformed;
        var name = "";
        var protocols = new List<string>();
        if (at == body.Length)
        {
            hello = new ClientHello(name, protocols);
            return SniffStatus.Done;
        }
        if (body.Length - at < 2 || BinaryPrimitives.ReadUInt16BigEndian(body[at..]) != body.Length - at - 2)
            return SniffStatus.Malformed;
        at += 2;
        while (body.Length - at >= 4)
        {
            var type = BinaryPrimitives.ReadUInt16BigEndian(body[at..]);
            var length = BinaryPrimitives.ReadUInt16BigEndian(body[(at + 2)..]);
            at += 4;
            if (length > body.Length - at)
                return SniffStatus.Malformed;
            var extension = body.Slice(at, length);
            if (type == 0 && !ReadName(extension, out name))
                return SniffStatus.Malformed;
            if (type == 16 && !ReadProtocols(extension, protocols))
                return SniffStatus.Malformed;
            at += length;
        }
        if (at != body.Length)
            return SniffStatus.Malformed;
        hello = new ClientHello(name, protocols);
        return SniffStatus.Done;
    }

    /// <summary>server_name (RFC 6066 section 3): list length(2), type(1) = host_name, length(2), name.</summary>
    private static bool ReadName(ReadOnlySpan<byte> extension, out string name)
    {
        name = "";
        if (extension.Length < 5 || BinaryPrimitives.ReadUInt16BigEndian(extension) != extension.Length - 2 || extension[2] != 0)
            return extension.IsEmpty;
        var length = BinaryPrimitives.ReadUInt16BigEndian(extension[3..]);
        if (length > extension.Length - 5 || extension.Slice(5, length).IndexOf((byte)0) >= 0)
            return false;
        name = Encoding.ASCII.GetString(extension.Slice(5, length)).ToLowerInvariant();
        return true;
    }

    /// <summary>application_layer_protocol_negotiation (RFC 7301 section 3.1): list length(2), then length(1) and name each.</summary>
    private static bool ReadProtocols(ReadOnlySpan<byte> extension, List<string> protocols)
    {
        if (extension.Length < 2 || BinaryPrimitives.ReadUInt16BigEndian(extension) != extension.Length - 2)
            return false;
        for (var at = 2; at < extension.Length;)
        {
            var length = extension[at];
            if (length == 0 || length > extension.Length - at - 1)
                return false;
            protocols.Add(Encoding.ASCII.GetString(extension.Slice(at + 1, length)));
            at += length + 1;
        }
        return true;
    }

    private static bool Skip(ReadOnlySpan<byte> body, ref int at, int lengthBytes)
    {
        if (body.Length - at < lengthBytes)
            return false;
        var length = lengthBytes == 1 ? body[at] : BinaryPrimitives.ReadUInt16BigEndian(body[at..]);
        at += lengthBytes + length;
        return at <= body.Length;
    }
}
