using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Tulle.Native;

namespace Tulle.Control;

/// <summary>HOST:PORT or unix:PATH, as the command line has it.</summary>
/// <param name="EndPoint">Address and port; null for a unix socket.</param>
/// <param name="SocketPath">Path of a unix socket; empty for TCP.</param>
internal sealed record ListenAddress(IPEndPoint? EndPoint, string SocketPath)
{
    /// <summary>sun_path holds 108 bytes with its end.</summary>
    private const int SocketPathMax = 107;

    /// <summary>The address, or a sentence that says what is wrong with it.</summary>
    public static (ListenAddress? Address, string Error) Parse(string text, bool mayBeSocket)
    {
        if (text.StartsWith("unix:", StringComparison.Ordinal))
        {
            if (!mayBeSocket)
                return (null, $"{text}: HOST:PORT is expected here");
            var path = text[5..];
            return path.Length == 0 || System.Text.Encoding.UTF8.GetByteCount(path) > SocketPathMax
                ? (null, $"{text}: a path of 1 to {SocketPathMax} bytes is expected after unix:") : (new ListenAddress(null, Path.GetFullPath(path)), "");
        }
        var colon = text.LastIndexOf(':');
        if (colon < 0)
            return (null, $"{text}: HOST:PORT{(mayBeSocket ? " or unix:PATH" : "")} is expected");
        var host = text[..colon].Trim('[', ']');
        if (!int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port is < 1 or > 65535)
            return (null, $"{text}: {text[(colon + 1)..]} is not a port, 1 to 65535 is");
        if (host.Length == 0)
            return (new ListenAddress(new IPEndPoint(IPAddress.Any, port), ""), "");
        if (!IPAddress.TryParse(host == "localhost" ? "127.0.0.1" : host, out var address))
            return (null, $"{text}: {host} is not an IP address; the control plane listens on addresses, not on names");
        return (new ListenAddress(new IPEndPoint(address, port), ""), "");
    }

    /// <summary>Takes away what a control plane that was killed left behind; anything else at the path is left alone.</summary>
    /// <exception cref="IOException">Something else is there, or somebody serves there.</exception>
    public void ClearSocket()
    {
        if (!Path.Exists(SocketPath))
            return;
        if (!Files.IsSocket(SocketPath))
            throw new IOException($"{SocketPath} is not a socket; it is left alone, choose another path");
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(SocketPath));
        }
        catch (SocketException)
        {
            File.Delete(SocketPath);
            return;
        }
        throw new IOException($"{SocketPath} is in use: another program serves there");
    }
}
