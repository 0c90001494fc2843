using System.Buffers.Binary;
using System.Globalization;
using System.Net.Sockets;

namespace Tulle.Control;

/// <summary>What the kernel knows of the process at the other end of a unix socket.</summary>
internal static class PeerCredentials
{
    private const int SolSocket = 1;
    private const int SoPeerCred = 17;

    /// <summary>Process and user that connected; null when the socket is none of this kind.</summary>
    public static (int Pid, int UserId)? Of(Socket socket)
    {
        Span<byte> credentials = stackalloc byte[12];
        try
        {
            if (socket.GetRawSocketOption(SolSocket, SoPeerCred, credentials) < 12)
                return null;
        }
        catch (SocketException)
        {
            return null;
        }
        return (BinaryPrimitives.ReadInt32LittleEndian(credentials), BinaryPrimitives.ReadInt32LittleEndian(credentials[4..]));
    }

    /// <summary>Number of a process's network namespace ("net:[4026531840]"); 0 when it cannot be read.</summary>
    public static ulong NetworkNamespaceOf(int pid)
    {
        try
        {
            var target = new FileInfo(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/ns/net")).LinkTarget ?? "";
            var open = target.IndexOf('[');
            return open > 0 && ulong.TryParse(target.AsSpan(open + 1).TrimEnd(']'), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }
}
