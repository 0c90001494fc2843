namespace Tulle.Model;

/// <summary>Protocol selection: appProtocol, else the port's name up to the first dash, else well-known ports, else recognised at run time.</summary>
public static class ProtocolNames
{
    public static PortProtocol Of(string portName, int port, string appProtocol, string transport)
    {
        if (transport == "UDP")
            return PortProtocol.Udp;
        if (appProtocol.Length > 0 && FromWord(appProtocol switch { "kubernetes.io/h2c" => "http2", "kubernetes.io/ws" => "http", "kubernetes.io/wss" => "https", _ => appProtocol }) is { } declared)
            return declared;
        var dash = portName.IndexOf('-');
        if (portName.StartsWith("grpc-web", StringComparison.OrdinalIgnoreCase))
            return PortProtocol.Http;
        if (FromWord(dash < 0 ? portName : portName[..dash]) is { } named)
            return named;
        return port is 25 or 53 or 3306 or 27017 ? PortProtocol.Tcp : PortProtocol.Auto;
    }

    public static PortProtocol? FromWord(string word) => word.ToUpperInvariant() switch
    {
        "HTTP" or "GRPC-WEB" => PortProtocol.Http,
        "HTTP2" or "GRPC" => PortProtocol.Http2,
        "TCP" or "MONGO" or "REDIS" or "MYSQL" => PortProtocol.Tcp,
        "TLS" or "HTTPS" => PortProtocol.Tls,
        "UDP" => PortProtocol.Udp,
        _ => null,
    };
}
