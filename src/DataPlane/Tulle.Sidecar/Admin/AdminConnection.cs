using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Tulle.Sidecar;

/// <summary>One connection of the admin port: a request, its answer, the end.</summary>
internal sealed class AdminConnection(Socket socket, AdminHandlers handlers) : IDisposable
{
    /// <summary>Bytes of a request's head; above it 431. Source: ours; no admin request needs 1 KiB.</summary>
    private const int HeadBytesMax = 16 * 1024;

    /// <summary>Bytes of a request's body that are read and ignored, so that the answer is not torn off by a reset.</summary>
    private const int BodyBytesMax = 64 * 1024;

    /// <summary>Seconds for the head, and for the whole exchange.</summary>
    private const int HeadSecondsMax = 10, ExchangeSecondsMax = 60;

    private const int PieceBytes = 32 * 1024;

    /// <summary>The head came: who has not even asked makes room first.</summary>
    public bool HasAsked { get; private set; }

    public async Task ServeAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(HeadSecondsMax));
        var (head, failure) = await ReadHeadAsync(limit.Token);
        if (head is null && failure is null)
            return;
        HasAsked = true;
        limit.CancelAfter(TimeSpan.FromSeconds(ExchangeSecondsMax));
        var line = head?.Split("\r\n")[0].Split(' ') ?? [];
        failure ??= Fault(head!, line);
        var reply = failure ?? await handlers.HandleAsync(line[0], line[1]);
        await SendAsync(reply, withBody: line.Length == 0 || line[0] != "HEAD", limit.Token);
        socket.Shutdown(SocketShutdown.Send);
        // What the asker still sends is read for a moment: closing over unread bytes is a reset, which can overtake the answer.
        var buffer = new byte[4096];
        limit.CancelAfter(1000);
        for (var read = 0; read < BodyBytesMax;)
        {
            var count = await socket.ReceiveAsync(buffer, limit.Token);
            if (count == 0)
                return;
            read += count;
        }
    }

    private async Task<(string? Head, AdminReply? Failure)> ReadHeadAsync(CancellationToken limit)
    {
        var buffer = new byte[1024];
        var length = 0;
        while (true)
        {
            if (length == HeadBytesMax)
                return (null, new AdminReply(431, $"the head of the request is over {HeadBytesMax} bytes\n"));
            if (length == buffer.Length)
                Array.Resize(ref buffer, Math.Min(buffer.Length * 4, HeadBytesMax));
            var count = await socket.ReceiveAsync(buffer.AsMemory(length), limit);
            if (count == 0)
                return (null, null);
            var from = Math.Max(0, length - 3);
            length += count;
            var end = buffer.AsSpan(from, length - from).IndexOf("\r\n\r\n"u8);
            if (end >= 0)
                return (Encoding.Latin1.GetString(buffer, 0, from + end), null);
        }
    }

    /// <summary>What makes a request none that is answered (RFC 9112 sections 3, 3.2 and 6.3); null when it is fine.</summary>
    private static AdminReply? Fault(string head, string[] line)
    {
        if (line.Length != 3 || !line[2].StartsWith("HTTP/1.", StringComparison.Ordinal) || line[0].Length == 0 || !line[1].StartsWith('/'))
            return new AdminReply(400, "bad request\n");
        var hosts = 0;
        var lengths = 0;
        var codings = 0;
        foreach (var field in head.Split("\r\n").Skip(1))
        {
            var colon = field.IndexOf(':');
            if (colon <= 0 || field.AsSpan(0, colon).ContainsAny(" \t\r\n\0"))
                return new AdminReply(400, "bad request\n");
            var name = field.AsSpan(0, colon);
            hosts += name.Equals("host", StringComparison.OrdinalIgnoreCase) ? 1 : 0;
            lengths += name.Equals("content-length", StringComparison.OrdinalIgnoreCase) ? 1 : 0;
            codings += name.Equals("transfer-encoding", StringComparison.OrdinalIgnoreCase) ? 1 : 0;
        }
        return hosts > 1 || (hosts == 0 && line[2] != "HTTP/1.0") || lengths > 1 || lengths + codings > 1 ? new AdminReply(400, "bad request\n") : null;
    }

    private async Task SendAsync(AdminReply reply, bool withBody, CancellationToken limit)
    {
        var body = reply.Parts is null ? Encoding.UTF8.GetBytes(reply.Text) : [];
        var framing = reply.Parts is null ? $"content-length: {body.Length}" : "transfer-encoding: chunked";
        await SendAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 {reply.Status} {(reply.Status == 200 ? "OK" : "Error")}\r\ncontent-type: {reply.ContentType}\r\n{framing}\r\n"
            + "cache-control: no-cache, max-age=0\r\nx-content-type-options: nosniff\r\nconnection: close\r\nserver: envoy\r\n\r\n"), limit);
        if (!withBody)
            return;
        if (reply.Parts is null)
        {
            await SendAsync(body, limit);
            return;
        }
        var piece = new StringBuilder(PieceBytes + 1024);
        foreach (var part in reply.Parts)
        {
            piece.Append(part);
            if (piece.Length < PieceBytes)
                continue;
            await SendChunkAsync(piece.ToString(), limit);
            piece.Clear();
        }
        if (piece.Length > 0)
            await SendChunkAsync(piece.ToString(), limit);
        await SendAsync("0\r\n\r\n"u8.ToArray(), limit);
    }

    private Task SendChunkAsync(string text, CancellationToken limit)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        return SendAsync([.. Encoding.ASCII.GetBytes(bytes.Length.ToString("x", CultureInfo.InvariantCulture) + "\r\n"), .. bytes, (byte)'\r', (byte)'\n'], limit);
    }

    private async Task SendAsync(byte[] bytes, CancellationToken limit)
    {
        for (var sent = 0; sent < bytes.Length;)
            sent += await socket.SendAsync(bytes.AsMemory(sent), limit);
    }

    public void Dispose() => socket.Dispose();
}

/// <summary>An answer of the admin port.</summary>
internal sealed record AdminReply(int Status, string Text, string ContentType = "text/plain; charset=UTF-8")
{
    /// <summary>The answer in pieces that are made while it is sent; null: <see cref="Text"/> is all of it.</summary>
    public IEnumerable<string>? Parts { get; private init; }

    public static AdminReply Streamed(IEnumerable<string> parts, string contentType = "text/plain; charset=UTF-8") => new(200, "", contentType) { Parts = parts };

    public static AdminReply Json(Base.Documents.Node node) => new(200, Base.Documents.NodeJson.Write(node, indented: true) + "\n", "application/json");
}
