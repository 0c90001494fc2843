using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using Tulle.Loop;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>TLS contexts by configuration, shared by all loops. A changed secret makes a new configuration object, so a stale context can never be found.</summary>
public sealed class TlsContexts(int loops)
{
    private sealed class ClientEntry(TlsContext context, int loops)
    {
        public readonly TlsContext Context = context;
        public readonly TlsResumption[] Resumption = Enumerable.Range(0, loops).Select(_ => new TlsResumption()).ToArray();
    }

    /// <summary>Session tickets after a full handshake. Source: 2 as in OpenSSL and BoringSSL: one for the next connection, one for a race.</summary>
    private const int Tickets = 2;

    private readonly ConditionalWeakTable<TlsServerConfig, TlsContext> _servers = [];
    private readonly ConditionalWeakTable<TlsClientConfig, ClientEntry> _clients = [];
    private readonly ConditionalWeakTable<IReadOnlyList<string>, byte[]> _alpn = [];

    /// <exception cref="InvalidOperationException">OpenSSL refuses the certificate or a setting.</exception>
    public TlsContext Server(TlsServerConfig config) => _servers.GetValue(config, c => Make(c, isServer: true, c.RequireClientCertificate, c.Resumption ? Tickets : 0));

    public TlsContext Client(TlsClientConfig config) => Entry(config).Context;

    /// <summary>The ticket store of a loop for a client configuration, null when it shall not resume: bound to certificate, trust and names, because it lives and dies with them.</summary>
    public TlsResumption? Resumption(int loop, TlsClientConfig config) => config.Resumption ? Entry(config).Resumption[loop] : null;

    private ClientEntry Entry(TlsClientConfig config) => _clients.GetValue(config, c => new ClientEntry(Make(c, isServer: false, true, c.Resumption ? Tickets : 0), loops));

    public byte[] AlpnWire(TlsClientConfig config, IReadOnlyList<string> choice) =>
        _alpn.GetValue(choice.Count > 0 ? choice : config.Alpn, static protocols => TlsContext.AlpnWire(protocols));

    private static TlsContext Make(TlsConfig config, bool isServer, bool require, int tickets)
    {
        // What a resumed session skips is exactly what must be part of its context.
        var id = SHA256.HashData(Encoding.UTF8.GetBytes($"{config.ContentHash:x}|{config.Trust?.ContentHash:x}|{require}|{string.Join(',', config.Alpn)}"));
        return new TlsContext(new TlsContextOptions
        {
            IsServer = isServer,
            Certificates = config.Certificates.Select(c => (c.ChainPem, c.KeyPem)).ToList(),
            TrustedCaPem = config.Trust?.TrustedCaPem ?? [],
            RequirePeerCertificate = require && config.Trust is not null,
            MinVersion = config.MinVersion,
            MaxVersion = config.MaxVersion,
            Alpn = config.Alpn,
            Ciphers = config.Ciphers,
            TicketCount = tickets,
            SessionContextId = id,
        });
    }
}
