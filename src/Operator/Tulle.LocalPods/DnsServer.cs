using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Tulle.LocalPods;

/// <summary>Names of services for local pods: A records out of a table, NXDOMAIN for every other name (the pods have no way out).</summary>
public sealed class DnsServer : IDisposable
{
    private readonly UdpClient _socket;
    private volatile Dictionary<string, IPAddress> _names = new(StringComparer.OrdinalIgnoreCase);

    public DnsServer(IPAddress address, int port = 53) => _socket = new UdpClient(new IPEndPoint(address, port));

    /// <summary>The names there are from now on; what is not among them is gone. Gives back those whose address is none: they are left out.</summary>
    public IReadOnlyList<(string Name, string Address)> Replace(IEnumerable<(string Name, string Address)> names)
    {
        var next = new Dictionary<string, IPAddress>(StringComparer.OrdinalIgnoreCase);
        var bad = new List<(string, string)>();
        foreach (var (name, text) in names)
        {
            if (IPAddress.TryParse(text, out var address))
                next[name] = address;
            else
                bad.Add((name, text));
        }
        _names = next;
        return bad;
    }

    public void Start() => _ = Task.Run(ServeAsync);

    private async Task ServeAsync()
    {
        while (true)
        {
            try
            {
                var received = await _socket.ReceiveAsync();
                if (Answer(received.Buffer) is { } reply)
                    await _socket.SendAsync(reply, received.RemoteEndPoint);
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                // A client that went away before its answer; the next one counts.
            }
        }
    }

    /// <summary>RFC 1035: header(12), one question; the reply repeats the question. Null when it is no question.</summary>
    public byte[]? Answer(ReadOnlySpan<byte> query)
    {
        if (query.Length < 17 || (query[2] & 0x80) != 0 || BinaryPrimitives.ReadUInt16BigEndian(query[4..]) != 1)
            return null;
        var name = new StringBuilder();
        var at = 12;
        while (at < query.Length && query[at] != 0)
        {
            int length = query[at];
            if (length > 63 || at + 1 + length >= query.Length)
                return null;
            name.Append(Encoding.ASCII.GetString(query.Slice(at + 1, length))).Append('.');
            at += length + 1;
        }
        at++;
        if (at + 4 > query.Length)
            return null;
        var type = BinaryPrimitives.ReadUInt16BigEndian(query[at..]);
        var question = query[12..(at + 4)];
        var text = name.ToString().TrimEnd('.');
        var known = _names.TryGetValue(text, out var address);
        var hasAnswer = known && type == 1 && address!.AddressFamily == AddressFamily.InterNetwork;
        var reply = new byte[12 + question.Length + (hasAnswer ? 16 : 0)];
        query[..2].CopyTo(reply);
        reply[2] = (byte)(0x84 | (query[2] & 1));
        // NXDOMAIN lets the resolver go on with its search list.
        reply[3] = (byte)(0x80 | (known ? 0 : 3));
        reply[5] = 1;
        question.CopyTo(reply.AsSpan(12));
        if (hasAnswer)
        {
            reply[7] = 1;
            var record = reply.AsSpan(12 + question.Length);
            BinaryPrimitives.WriteUInt16BigEndian(record, 0xC00C);
            BinaryPrimitives.WriteUInt16BigEndian(record[2..], 1);
            BinaryPrimitives.WriteUInt16BigEndian(record[4..], 1);
            BinaryPrimitives.WriteUInt32BigEndian(record[6..], 5);
            BinaryPrimitives.WriteUInt16BigEndian(record[10..], 4);
            address!.GetAddressBytes().CopyTo(record[12..]);
        }
        return reply;
    }

    public void Dispose() => _socket.Dispose();
}
