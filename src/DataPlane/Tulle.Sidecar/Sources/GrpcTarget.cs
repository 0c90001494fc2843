using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Tulle.Base;
using Tulle.Base.Documents;

namespace Tulle.Sidecar;

/// <summary>Where a gRPC service is and how to reach it: taken from a static cluster of the bootstrap.</summary>
internal sealed class GrpcTarget
{
    private readonly List<Address> _addresses = [];
    private readonly List<(string Host, int Port)> _names = [];
    private readonly Node? _tls;
    private readonly TimeSpan _limit;
    private int _next;

    public GrpcTarget(Node cluster)
    {
        Name = cluster["name"]?.AsText ?? "";
        foreach (var group in cluster.At("load_assignment", "endpoints")?.Items ?? [])
        {
            foreach (var entry in group["lb_endpoints"]?.Items ?? [])
                AddEndpoint(entry.At("endpoint", "address"));
        }
        _tls = cluster["transport_socket"]?["typed_config"];
        // Default 5 s. Source: Envoy connect_timeout. It bounds connecting, the handshake and the server's first bytes, each by itself.
        _limit = TimeSpan.FromMilliseconds(Durations.TryParseMs(cluster["connect_timeout"]?.AsText ?? "", out var ms) && ms > 0 ? Math.Min(ms, 3_600_000) : 5000);
    }

    public string Name { get; }

    public string Describe => _addresses.Count > 0 ? _addresses[0].ToString() : _names.Count > 0 ? $"{_names[0].Host}:{_names[0].Port}" : "nowhere";

    private void AddEndpoint(Node? address)
    {
        if (address?["pipe"]?["path"]?.AsText is { } path)
        {
            _addresses.Add(Address.Pipe(path));
            return;
        }
        var host = address?["socket_address"]?["address"]?.AsText ?? "";
        var port = (int)(address?["socket_address"]?["port_value"]?.AsInteger ?? 0);
        if (Address.TryParseIp(host, port, out var ip))
            _addresses.Add(ip);
        else if (host.Length > 0)
            _names.Add((host, port));
    }

    /// <summary>Read for every connection: files are rotated, and the next connection must have the new ones.</summary>
    private static SslClientAuthenticationOptions ReadTls(Node tls)
    {
        var common = tls["common_tls_context"];
        var options = new SslClientAuthenticationOptions
        {
            TargetHost = tls["sni"]?.AsText ?? "",
            ApplicationProtocols = [SslApplicationProtocol.Http2],
        };
        var validation = common?["validation_context"];
        if (validation?.At("trusted_ca", "filename")?.AsText is { } caFile)
        {
            var roots = new X509Certificate2Collection();
            roots.ImportFromPemFile(caFile);
            options.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            options.CertificateChainPolicy.CustomTrustStore.AddRange(roots);
        }
        var sans = new ServerNames(validation);
        if (sans.Any)
        {
            // The list says who the server may be; the name of the connection then does not matter.
            options.RemoteCertificateValidationCallback = (_, certificate, _, errors) =>
                (errors & ~SslPolicyErrors.RemoteCertificateNameMismatch) == 0 && certificate is not null && sans.Accept(certificate.GetRawCertData());
        }
        var pair = common?["tls_certificates"]?.Items is { Count: > 0 } list ? list[0] : null;
        if (pair?.At("certificate_chain", "filename")?.AsText is { } chain && pair.At("private_key", "filename")?.AsText is { } key)
            options.ClientCertificates = [X509Certificate2.CreateFromPemFile(chain, key)];
        return options;
    }

    /// <summary>A connection to the next endpoint in turn. None of its steps waits for ever.</summary>
    public async ValueTask<Stream> ConnectAsync(CancellationToken stop)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stop);
        limit.CancelAfter(_limit);
        try
        {
            var stream = new NetworkStream(await ConnectSocketAsync(limit.Token), ownsSocket: true);
            if (_tls is null)
                return new FirstBytesStream(stream, _limit);
            limit.CancelAfter(_limit);
            return new FirstBytesStream(await HandshakeAsync(stream, _tls, limit.Token), _limit);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            throw new IOException($"no connection within {_limit.TotalSeconds:0.###} s (connect_timeout of cluster {Name})");
        }
    }

    private static async Task<Stream> HandshakeAsync(NetworkStream stream, Node tls, CancellationToken limit)
    {
        var secure = new SslStream(stream);
        try
        {
            await secure.AuthenticateAsClientAsync(ReadTls(tls), limit);
            return secure;
        }
        catch
        {
            await secure.DisposeAsync();
            throw;
        }
    }

    private async Task<Socket> ConnectSocketAsync(CancellationToken limit)
    {
        if (_addresses.Count + _names.Count == 0)
            throw new IOException($"cluster {Name} has no endpoint");
        var index = (int)((uint)Interlocked.Increment(ref _next) % (uint)(_addresses.Count > 0 ? _addresses.Count : _names.Count));
        var isPipe = _addresses.Count > 0 && _addresses[index].Kind == AddressKind.Pipe;
        var socket = isPipe ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) : new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            if (isPipe)
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(_addresses[index].Path!), limit);
            else if (_addresses.Count > 0)
                await socket.ConnectAsync(new IPEndPoint(IPAddress.Parse(_addresses[index].IpText()), _addresses[index].Port), limit);
            else
                await socket.ConnectAsync(_names[index].Host, _names[index].Port, limit);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
