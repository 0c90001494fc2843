using System.Globalization;
using Tulle.Xds;

namespace Tulle.Control;

/// <summary>The gRPC side of one HTTP/2 request: messages in, messages and a status out.</summary>
internal static class GrpcCall
{
    public delegate void MessageHandler(ReadOnlySpan<byte> message);

    /// <summary>Ends a call, whether or not its response has begun.</summary>
    public static void End(HttpContext context, int status, string message = "")
    {
        if (context.RequestAborted.IsCancellationRequested)
            return;
        if (context.Response.HasStarted)
        {
            context.Response.AppendTrailer("grpc-status", status.ToString(CultureInfo.InvariantCulture));
            if (message.Length > 0)
                context.Response.AppendTrailer("grpc-message", Uri.EscapeDataString(message));
            return;
        }
        context.Response.ContentType = "application/grpc";
        context.Response.Headers["grpc-status"] = status.ToString(CultureInfo.InvariantCulture);
        context.Response.Headers["grpc-message"] = Uri.EscapeDataString(message);
    }

    /// <summary>Reads messages until the client ends its side. The first must come within <paramref name="firstWithin"/>.</summary>
    /// <exception cref="ProtoException">A message is compressed, too large or no message.</exception>
    /// <exception cref="TimeoutException">Nothing came.</exception>
    public static async Task ReadAsync(HttpContext context, TimeSpan firstWithin, MessageHandler onMessage)
    {
        var buffer = new byte[16 * 1024];
        var length = 0;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        limit.CancelAfter(firstWithin);
        var isFirst = true;
        while (true)
        {
            if (length == buffer.Length)
                Array.Resize(ref buffer, buffer.Length * 2);
            int count;
            try
            {
                count = await context.Request.Body.ReadAsync(buffer.AsMemory(length), isFirst ? limit.Token : context.RequestAborted);
            }
            catch (OperationCanceledException) when (isFirst && limit.IsCancellationRequested && !context.RequestAborted.IsCancellationRequested)
            {
                throw new TimeoutException($"no request came within {firstWithin.TotalSeconds:F0} s");
            }
            if (count == 0)
                return;
            var before = length + count;
            length = Take(buffer, before, onMessage);
            isFirst &= length == before;
        }
    }

    private static int Take(byte[] buffer, int length, MessageHandler onMessage)
    {
        ReadOnlySpan<byte> rest = buffer.AsSpan(0, length);
        while (GrpcFraming.TryTake(ref rest, out var message, GrpcFraming.RequestBytesMax))
            onMessage(message);
        rest.CopyTo(buffer);
        return rest.Length;
    }
}
