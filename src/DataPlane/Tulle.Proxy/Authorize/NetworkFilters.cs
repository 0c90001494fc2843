using Tulle.Loop;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>Network filters before the terminal one: who may connect, and how many.</summary>
internal static class NetworkFilters
{
    /// <summary>False closes the connection. <paramref name="release"/> gives a connection_limit permit back at the end.</summary>
    public static bool Allow(ProxyWorker worker, FilterChainConfig chain, ConnectionFacts facts, TlsPeer? peer, out Action? release)
    {
        release = null;
        foreach (var filter in chain.Filters)
        {
            switch (filter.Kind)
            {
                case NetworkFilterKind.Rbac:
                    if (filter.Rbac is { } rules && !Rbac.Allows(rules, facts, peer))
                    {
                        release?.Invoke();
                        release = null;
                        return false;
                    }
                    break;
                case NetworkFilterKind.ConnectionLimit:
                    var active = worker.Shared.Stats.Gauge(StatScope.Server, "", $"connection_limit.{filter.StatPrefix}.active_connections");
                    if (active.Value >= filter.ConnectionsMax)
                    {
                        worker.Shared.Stats.Counter(StatScope.Server, "", $"connection_limit.{filter.StatPrefix}.limited_connections").Add(worker.Loop.Index);
                        return false;
                    }
                    active.Add(worker.Loop.Index);
                    release = () => active.Add(worker.Loop.Index, -1);
                    break;
            }
        }
        return true;
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
            case RbacRuleKind.DestinationIp:
                return facts.Local.InPrefix(rule.Prefix!.Address, rule.Prefix.Bits);
            case RbacRuleKind.DestinationPort:
                return facts.Local.Port == rule.Port;
            case RbacRuleKind.ServerName:
                return rule.Text!.IsMatch(facts.ServerName);
            case RbacRuleKind.Authenticated:
                return peer is { Certificate.Length: > 0 } && (rule.Text is null || (peer.Identity is { } id && rule.Text.IsMatch(id)));
            default:
                return false;
        }
    }
}
