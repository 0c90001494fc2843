using Tulle.Loop;
using Tulle.Snapshot;
using Tulle.Wire.Tls;

namespace Tulle.Proxy;

/// <summary>Network filters before the terminal one: who may connect, and how many.</summary>
internal static class NetworkFilters
{
    /// <summary>
    /// False closes the connection, after <paramref name="delayMs"/>. The permits of connection_limit filters that were passed are in the facts of the
    /// connection; <see cref="Release"/> gives them back, also those of a connection that a later filter refused.
    /// </summary>
    public static bool Allow(ProxyWorker worker, FilterChainConfig chain, ConnectionFacts facts, TlsPeer? peer, out long delayMs)
    {
        delayMs = 0;
        foreach (var filter in chain.Filters)
        {
            switch (filter.Kind)
            {
                case NetworkFilterKind.Rbac:
                    if (filter.Rbac is { } rules && !Rbac.Allows(rules, facts, peer))
                        return false;
                    break;
                case NetworkFilterKind.ConnectionLimit when filter.IsEnabled:
                    var limiter = worker.Shared.Limiter(filter);
                    if (!limiter.TryEnter(worker.Loop.Index))
                    {
                        delayMs = filter.DelayMs;
                        return false;
                    }
                    (facts.Permits ??= []).Add(limiter);
                    break;
            }
        }
        return true;
    }

    public static void Release(ProxyWorker worker, ConnectionFacts facts)
    {
        if (facts.Permits is not { } permits)
            return;
        facts.Permits = null;
        foreach (var limiter in permits)
            limiter.Leave(worker.Loop.Index);
    }
}

/// <summary>The count of one connection_limit filter over all loops: one number, so that two loops cannot both take the last permit.</summary>
public sealed class ConnectionLimiter(int connectionsMax, Stat active, Stat limited)
{
    private int _count; // Any loop, by Interlocked.

    public bool TryEnter(int loop)
    {
        if (Interlocked.Increment(ref _count) > connectionsMax)
        {
            Interlocked.Decrement(ref _count);
            limited.Add(loop);
            return false;
        }
        active.Add(loop);
        return true;
    }

    public void Leave(int loop)
    {
        Interlocked.Decrement(ref _count);
        active.Add(loop, -1);
    }
}

/// <summary>Evaluates RBAC rules over a connection (envoy.filters.network.rbac).</summary>
internal static class Rbac
{
    public static bool Allows(RbacConfig config, ConnectionFacts facts, TlsPeer? peer)
    {
        foreach (var policy in config.Policies)
        {
            if (Matches(policy.Permission, facts, peer) && Matches(policy.Principal, facts, peer))
                return !config.IsDeny;
        }
        return config.IsDeny;
    }

    private static bool Matches(RbacRule rule, ConnectionFacts facts, TlsPeer? peer)
    {
        switch (rule.Kind)
        {
            case RbacRuleKind.Any:
                return true;
            case RbacRuleKind.And:
                foreach (var child in rule.Children)
                {
                    if (!Matches(child, facts, peer))
                        return false;
                }
                return true;
            case RbacRuleKind.Or:
                foreach (var child in rule.Children)
                {
                    if (Matches(child, facts, peer))
                        return true;
                }
                return false;
            case RbacRuleKind.Not:
                return !Matches(rule.Children[0], facts, peer);
            case RbacRuleKind.SourceIp:
                return facts.Remote.InPrefix(rule.Prefix!.Address, rule.Prefix.Bits);
            case RbacRuleKind.DirectSourceIp:
                return facts.DirectRemote.InPrefix(rule.Prefix!.Address, rule.Prefix.Bits);
            case RbacRuleKind.DestinationIp:
                return facts.Local.InPrefix(rule.Prefix!.Address, rule.Prefix.Bits);
            case RbacRuleKind.DestinationPort:
                return facts.Local.Port == rule.Port;
            case RbacRuleKind.ServerName:
                return rule.Text!.IsMatch(facts.ServerName);
            case RbacRuleKind.Authenticated:
                return IsAuthenticated(rule.Text, peer);
            default:
                return false;
        }
    }

    /// <summary>As Envoy: encrypted is enough without a name; with one, any URI or DNS name of the certificate may match, else its subject.</summary>
    private static bool IsAuthenticated(TextMatcher? name, TlsPeer? peer)
    {
        if (peer is null || name is null)
            return peer is not null;
        if (peer.Names is not { } names)
            return name.IsMatch("");
        foreach (var (kind, value) in names.Sans)
        {
            if (kind is SanKind.Uri or SanKind.Dns && name.IsMatch(value))
                return true;
        }
        return name.IsMatch(names.Subject);
    }
}
