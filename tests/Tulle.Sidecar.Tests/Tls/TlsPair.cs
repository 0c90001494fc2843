using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Loop;
using Tulle.Native;
using Tulle.Proxy;
using Tulle.Sidecar.Fields;
using Tulle.Snapshot;
using Tulle.Wire.Tls;

namespace Tulle.Sidecar.Tests.Tls;

/// <summary>What came of one handshake, seen from both sides; a null refusal is consent.</summary>
internal sealed record HandshakeOutcome(string? ClientRefuses, string? ServerRefuses, string Version, string Cipher, bool Resumed, byte[] ServerCertificate, byte[] ClientCertificate, int CertificatesSent)
{
    public bool Succeeded => ClientRefuses is null && ServerRefuses is null;

    public override string ToString() => Succeeded ? $"{Version} {Cipher}{(Resumed ? " resumed" : "")}" : $"client: {ClientRefuses}; server: {ServerRefuses}";
}

/// <summary>Two TLS contexts written as configuration, converted as the proxy converts them, and real handshakes between them in memory.</summary>
internal sealed class TlsPair
{
    private readonly SslResumption _resumption = new();

    public TlsPair(string server, string client, params (string Name, string Yaml)[] secrets)
    {
        Server = (TlsServerConfig)Read(server, isServer: true, secrets)!;
        Client = (TlsClientConfig)Read(client, isServer: false, secrets)!;
    }

    public TlsServerConfig Server { get; }

    public TlsClientConfig Client { get; }

    /// <summary>Wall clock of the check of names and times; null for the machine's.</summary>
    public DateTimeOffset? Now { get; set; }

    /// <summary>The fields of a context, in flow form. Throws with what the converter found.</summary>
    public static TlsConfig? Read(string yaml, bool isServer, params (string Name, string Yaml)[] secrets)
    {
        var type = isServer ? "DownstreamTlsContext" : "UpstreamTlsContext";
        var known = new Dictionary<string, SecretConfig>(StringComparer.Ordinal);
        foreach (var (name, text) in secrets)
        {
            var inner = new ConversionContext("secret", _ => null);
            known[name] = TlsConverter.Secret(NodeYaml.ParseAll(text, "secret.yaml")[0], inner) ?? throw new InvalidOperationException("no secret");
            Throw(inner);
        }
        var context = new ConversionContext("tls", n => known.GetValueOrDefault(n.Name));
        var node = NodeYaml.ParseAll($"{{ name: tls, typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{type}, {yaml} }} }}", "tls.yaml")[0];
        var socket = context.Reader(node, isServer ? CoreFields.DownstreamSocket : CoreFields.UpstreamSocket);
        TlsConfig? config = isServer ? TlsConverter.Server(socket, context) : TlsConverter.Client(socket, context);
        Throw(context);
        return config;
    }

    private static void Throw(ConversionContext context)
    {
        if (context.Diagnostics.HasErrors)
            throw new InvalidDataException(context.Diagnostics.Summary());
    }

    public HandshakeOutcome Handshake(string? serverName = null, string requiredName = "", byte[]? ticketsFrom = null)
    {
        _ = ticketsFrom;
        var serverContext = TlsContexts.Prepare(Server);
        var name = serverName ?? Client.ServerName;
        using var client = new SslSession(TlsContexts.Prepare(Client).Inner, name, null, Client.Resumption ? _resumption : null);
        using var server = new SslSession(serverContext.Inner, null, null, null);
        var (clientStatus, serverStatus) = (HandshakeStatus.WantRead, HandshakeStatus.WantRead);
        for (var round = 0; round < 20 && (clientStatus == HandshakeStatus.WantRead || serverStatus == HandshakeStatus.WantRead); round++)
        {
            if (clientStatus == HandshakeStatus.WantRead)
                clientStatus = client.Handshake();
            Move(client, server);
            if (serverStatus == HandshakeStatus.WantRead)
                serverStatus = server.Handshake();
            Move(server, client);
        }
        if (clientStatus != HandshakeStatus.Done || serverStatus != HandshakeStatus.Done)
        {
            return new HandshakeOutcome(clientStatus == HandshakeStatus.Done ? null : client.Error, serverStatus == HandshakeStatus.Done ? null : server.Error, "", "", false, [], [], 0);
        }
        // Tickets of TLS 1.3 come behind the handshake.
        Span<byte> none = stackalloc byte[16];
        _ = client.Read(none);
        client.SaveTo(_resumption);
        var now = (Now ?? DateTimeOffset.UtcNow).ToUnixTimeMilliseconds() * 1000;
        var (clientPeer, serverPeer) = (Peer(client), Peer(server));
        return new HandshakeOutcome(PeerNames.Accepts(Client, clientPeer, requiredName, now), PeerNames.Accepts(Server, serverPeer, "", now), client.Version, client.CipherName,
            client.IsResumed, clientPeer.Certificate, serverPeer.Certificate, client.PeerChainLength);
    }

    private static TlsPeer Peer(SslSession session)
    {
        var certificate = session.PeerCertificate();
        return new TlsPeer { Certificate = certificate, Names = certificate.Length > 0 ? CertificateNames.TryRead(certificate) : null };
    }

    private static void Move(SslSession from, SslSession to)
    {
        Span<byte> buffer = stackalloc byte[16 * 1024];
        for (var count = from.Drain(buffer); count > 0; count = from.Drain(buffer))
            to.Feed(buffer[..count]);
    }
}
