using Tulle.Base;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>
/// Picks the filter chain of a connection. Criteria are tried in Envoy's order (destination port, destination address, server name, transport
/// protocol, application protocols, source); each keeps only the most specific of the chains that are left, without going back.
/// </summary>
internal static class ChainMatching
{
    public static FilterChainConfig? Find(ListenerConfig listener, ConnectionFacts facts)
    {
        if (listener.Chains.Count == 1 && ReferenceEquals(listener.Chains[0].Match, FilterChainMatchConfig.Any))
            return listener.Chains[0];
        Span<bool> alive = stackalloc bool[listener.Chains.Count];
        alive.Fill(true);
        var chains = listener.Chains;
        Keep(chains, alive, facts, static (m, f) => m.DestinationPort is { } port ? port == f.Local.Port ? 1 : -1 : 0);
        Keep(chains, alive, facts, static (m, f) => BestPrefix(m.DestinationPrefixes, f.Local));
        Keep(chains, alive, facts, static (m, f) => BestName(m.ServerNames, f.ServerName));
        Keep(chains, alive, facts, static (m, f) => m.TransportProtocol.Length == 0 ? 0 : m.TransportProtocol == f.TransportProtocol ? 1 : -1);
        Keep(chains, alive, facts, static (m, f) => BestProtocol(m.ApplicationProtocols, f.ApplicationProtocols));
        Keep(chains, alive, facts, static (m, f) => BestPrefix(m.DirectSourcePrefixes, f.DirectRemote));
        Keep(chains, alive, facts, static (m, f) => BestPrefix(m.SourcePrefixes, f.Remote));
        Keep(chains, alive, facts, static (m, f) => m.SourcePorts.Count == 0 ? 0 : m.SourcePorts.Contains(f.Remote.Port) ? 1 : -1);
        for (var i = 0; i < alive.Length; i++)
        {
            if (alive[i])
                return chains[i];
        }
        return listener.DefaultChain;
    }

    /// <summary>The score says how specific a chain fits: −1 not at all, 0 does not care, more is better.</summary>
    private static void Keep(IReadOnlyList<FilterChainConfig> chains, Span<bool> alive, ConnectionFacts facts, Func<FilterChainMatchConfig, ConnectionFacts, int> score)
    {
        var best = -1;
        Span<int> scores = stackalloc int[alive.Length];
        for (var i = 0; i < alive.Length; i++)
        {
            if (!alive[i])
                continue;
            scores[i] = score(chains[i].Match, facts);
            best = Math.Max(best, scores[i]);
        }
        for (var i = 0; i < alive.Length; i++)
            alive[i] &= best >= 0 && scores[i] == best;
    }

    private static int BestPrefix(IReadOnlyList<PrefixConfig> prefixes, in Address address)
    {
        if (prefixes.Count == 0)
            return 0;
        var best = -1;
        foreach (var prefix in prefixes)
        {
            if (address.InPrefix(prefix.Address, prefix.Bits))
                best = Math.Max(best, prefix.Bits + 1);
        }
        return best;
    }

    private static int BestName(IReadOnlyList<string> names, string name)
    {
        if (names.Count == 0)
            return 0;
        var best = -1;
        foreach (var wanted in names)
        {
            if (wanted == name && name.Length > 0)
                return int.MaxValue;
            if (wanted.StartsWith("*.", StringComparison.Ordinal) && name.Length > wanted.Length - 1 && name.EndsWith(wanted.AsSpan(1), StringComparison.Ordinal))
                best = Math.Max(best, wanted.Length);
        }
        return best;
    }

    private static int BestProtocol(IReadOnlyList<string> wanted, IReadOnlyList<string> offered)
    {
        if (wanted.Count == 0)
            return 0;
        // Envoy takes the chain of the first protocol that the client offers and some chain names.
        for (var i = 0; i < offered.Count; i++)
        {
            if (wanted.Contains(offered[i]))
                return 1000 - i;
        }
        return -1;
    }
}
