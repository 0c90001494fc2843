using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using Tulle.Loop;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>
/// TLS contexts by configuration, shared by all loops. They are made on the control thread when a configuration is taken (<see cref="Prepare"/>), so
/// that what the library refuses is refused with the configuration. A changed secret makes a new configuration object, so a stale context can never be found.
/// </summary>
public sealed class TlsContexts(int loops)
{
    /// <summary>Session tickets after a full handshake. Source: 2 as in OpenSSL and BoringSSL: one for the next connection, one for a race.</summary>
    private const int Tickets = 2;

    private static readonly Lock s_gate = new();

    // Clusters that differ only in the names they ask for share one context: 5,000 of them, once per rotation, would be seconds and 100 MB.
    private static readonly Dictionary<string, WeakReference<TlsContext>> s_shared = new(StringComparer.Ordinal);
    private static int s_sweepAt = 64;

    private readonly ConditionalWeakTable<TlsClientConfig, TlsNames[]> _names = [];
    private readonly ConditionalWeakTable<IReadOnlyList<string>, byte[]> _alpn = [];

    /// <summary>Makes the context of a configuration, or finds the one of the same content.</summary>
    /// <exception cref="InvalidOperationException">The library refuses the certificate or a setting.</exception>
    public static TlsContext Prepare(TlsConfig config)
    {
        if (config.Context is TlsContext made)
            return made;
        var options = Options(config);
        var key = KeyOf(options);
        TlsContext? context = null;
        lock (s_gate)
        {
            if (s_shared.TryGetValue(key, out var known))
                known.TryGetTarget(out context);
        }
        context ??= new TlsContext(options);
        lock (s_gate)
        {
            if (s_shared.Count >= s_sweepAt)
                Sweep();
            s_shared[key] = new WeakReference<TlsContext>(context);
        }
        config.Context = context;
        return context;
    }

    /// <exception cref="InvalidOperationException">The library refuses the certificate or a setting.</exception>
    public TlsContext Server(TlsServerConfig config) => Prepare(config);

    /// <exception cref="InvalidOperationException">The library refuses the certificate or a setting.</exception>
    public TlsContext Client(TlsClientConfig config) => Prepare(config);

    /// <summary>
    /// The ticket store of a loop for a server name under a client configuration, null when it shall not resume: bound to certificate, trust and names,
    /// because it lives and dies with them.
    /// </summary>
    public TlsResumption? Resumption(int loop, TlsClientConfig config, string serverName) => config.Resumption
        ? _names.GetValue(config, _ => Enumerable.Range(0, loops).Select(_ => new TlsNames()).ToArray())[loop].For(serverName) : null;

    public byte[] AlpnWire(TlsClientConfig config, IReadOnlyList<string> choice) =>
        _alpn.GetValue(choice.Count > 0 ? choice : config.Alpn, static protocols => TlsContext.AlpnWire(protocols));

    private static void Sweep()
    {
        foreach (var (key, reference) in s_shared)
        {
            if (!reference.TryGetTarget(out _))
                s_shared.Remove(key);
        }
        s_sweepAt = Math.Max(64, s_shared.Count * 2);
    }

    private static TlsContextOptions Options(TlsConfig config)
    {
        var server = config as TlsServerConfig;
        var client = config as TlsClientConfig;
        var trust = config.Trust;
        return new TlsContextOptions
        {
            IsServer = server is not null,
            Certificates = config.Certificates.Select(c => (c.ChainPem, c.KeyPem, c.Password)).ToList(),
            ScansAllOnMismatch = server?.ScansAllOnMismatch ?? false,
            TrustedCaPem = trust?.TrustedCaPem ?? [],
            RevocationPem = trust?.RevocationPem ?? [],
            RevocationOfLeafOnly = trust?.RevocationOfLeafOnly ?? false,
            AllowsExpired = trust?.AllowsExpired ?? false,
            NamesNoAuthorities = trust?.NamesNoAuthorities ?? false,
            DepthMax = trust?.DepthMax,
            RequirePeerCertificate = trust is not null && (server is null || server.RequireClientCertificate),
            EnforcesRsaKeyUsage = client?.EnforcesRsaKeyUsage ?? false,
            MinVersion = config.MinVersion,
            MaxVersion = config.MaxVersion,
            // A client offers its list by connection.
            Alpn = server is null ? [] : config.Alpn,
            Ciphers = config.Ciphers,
            Groups = config.Groups,
            SignatureAlgorithms = config.SignatureAlgorithms,
            Fips = config.Fips,
            PrefersClientCiphers = server?.PrefersClientCiphers ?? false,
            TicketCount = (server?.Resumption ?? client!.Resumption) ? Tickets : 0,
            SessionSeconds = server?.SessionSeconds ?? 0,
            TicketKey = server?.TicketKey ?? [],
            // What a resumed session skips is exactly what must be part of its context.
            SessionContextId = server is null ? [] : SHA256.HashData(Encoding.UTF8.GetBytes(
                $"{config.ContentHash:x}|{trust?.ContentHash:x}|{server.RequireClientCertificate}|{string.Join(',', config.Alpn)}")),
        };
    }

    /// <summary>A hash over all that a context is made from.</summary>
    private static string KeyOf(TlsContextOptions o)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        void Add(byte[] part)
        {
            hash.AppendData(BitConverter.GetBytes(part.Length));
            hash.AppendData(part);
        }
        void AddTexts(IReadOnlyList<string> texts)
        {
            hash.AppendData(BitConverter.GetBytes(texts.Count));
            foreach (var text in texts)
                Add(Encoding.UTF8.GetBytes(text));
        }
        foreach (var (chain, key, password) in o.Certificates)
        {
            Add(chain);
            Add(key);
            Add(Encoding.UTF8.GetBytes(password));
        }
        Add(o.TrustedCaPem);
        Add(o.RevocationPem);
        Add(o.TicketKey);
        Add(o.SessionContextId);
        AddTexts(o.Alpn);
        AddTexts(o.Ciphers);
        AddTexts(o.Groups);
        AddTexts(o.SignatureAlgorithms);
        AddTexts([$"{o.IsServer}|{o.ScansAllOnMismatch}|{o.RevocationOfLeafOnly}|{o.AllowsExpired}|{o.NamesNoAuthorities}|{o.DepthMax}|{o.RequirePeerCertificate}|{o.EnforcesRsaKeyUsage}",
            $"{o.MinVersion}|{o.MaxVersion}|{o.Fips}|{o.PrefersClientCiphers}|{o.TicketCount}|{o.SessionSeconds}"]);
        return Convert.ToHexString(hash.GetHashAndReset());
    }
}

/// <summary>The tickets of one loop under one client configuration, by server name: a session is resumed only towards the name it was made for.</summary>
internal sealed class TlsNames
{
    /// <summary>Names, when requests choose them; more begin anew: that costs full handshakes, no more. Source: what one loop meets at a time.</summary>
    private const int NamesMax = 256;

    private readonly Dictionary<string, TlsResumption> _byName = new(StringComparer.OrdinalIgnoreCase);
    private string _lastName = "";
    private TlsResumption? _last;

    public TlsResumption For(string name)
    {
        if (_last is not null && name.Equals(_lastName, StringComparison.Ordinal))
            return _last;
        if (!_byName.TryGetValue(name, out var found))
        {
            if (_byName.Count >= NamesMax)
                _byName.Clear();
            _byName[name] = found = new TlsResumption();
        }
        (_lastName, _last) = (name, found);
        return found;
    }
}
