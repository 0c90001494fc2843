using System.Net.Sockets;
using Tulle.Loop;
using Tulle.Native;

namespace Tulle.Interop.Tests;

/// <summary>A TLS 1.3 client that sends what no TLS library would.</summary>
internal static class RawTls
{
    /// <summary>A TLS 1.3 handshake up to the Finished, which is not sent yet, with the keys for what follows it.</summary>
    public static async Task<(Socket Socket, byte[] Finished, RecordLayer Records)> HandshakeAsync(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { SendBufferSize = 1 << 20, NoDelay = true };
        await socket.ConnectAsync("127.0.0.1", port);
        using var session = new SslSession(new SslContext(new SslContextOptions { IsServer = false, MinVersion = 0x0304 }), "shop", null, null);
        var buffer = new byte[32 * 1024];
        while (true)
        {
            var status = session.Handshake();
            var drained = new List<byte>();
            while (session.DrainPending > 0)
                drained.AddRange(buffer.AsSpan(0, session.Drain(buffer)));
            Assert.NotEqual(HandshakeStatus.Failed, status);
            if (status == HandshakeStatus.Done)
                return (socket, [.. drained], RecordLayer.Create(session.CipherSuite, session.ServerSecret, session.ClientSecret, 0)!);
            await socket.SendAsync(drained.ToArray());
            var count = await socket.ReceiveAsync(buffer);
            Assert.True(count > 0, "closed during the handshake");
            session.Feed(buffer.AsSpan(0, count));
        }
    }

    public static async Task ReceiveAsync(Socket socket, Memory<byte> target, CancellationToken limit)
    {
        while (target.Length > 0)
        {
            var count = await socket.ReceiveAsync(target, limit);
            Assert.True(count > 0, "the proxy closed the connection, or ended");
            target = target[count..];
        }
    }

    public static byte[] Seal(RecordLayer layer, ReadOnlySpan<byte> content, byte type = 23)
    {
        var record = new byte[content.Length + 64];
        return record[..layer.Seal(content, type, record)];
    }

    /// <summary>Reads records until the connection is over; the last alert, or null when there was none, and whether it was reset.</summary>
    public static async Task<(int? Alert, List<byte> Data)> ReadToEndAsync(Socket socket, RecordLayer layer, int seconds = 20)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        var received = new List<byte>();
        var buffer = new byte[64 * 1024];
        try
        {
            for (int count; (count = await socket.ReceiveAsync(buffer, limit.Token)) > 0;)
                received.AddRange(buffer.AsSpan(0, count));
        }
        catch (SocketException)
        {
            // A reset is an end too; what came before it counts.
        }
        catch (OperationCanceledException)
        {
            Assert.Fail($"the proxy keeps the connection ({received.Count} bytes came)");
        }
        int? alert = null;
        var data = new List<byte>();
        var rest = received.ToArray().AsSpan();
        while (rest.Length >= 5 && rest.Length >= 5 + RecordLayer.BodyLength(rest))
        {
            var length = 5 + RecordLayer.BodyLength(rest);
            switch (layer.Open(rest[..length], out var content))
            {
                case RecordContent.ApplicationData:
                    data.AddRange(content);
                    break;
                case RecordContent.CloseNotify:
                    alert = 0;
                    break;
                case RecordContent.Handshake when content[0] == 24:
                    layer.UpdateReadKey();
                    break;
                case RecordContent.Invalid:
                    alert = layer.Error.StartsWith("the peer sent alert ", StringComparison.Ordinal) ? int.Parse(layer.Error[20..]) : -1;
                    break;
            }
            rest = rest[length..];
        }
        return (alert, data);
    }
}
