using Tulle.Base.Documents;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>Network filters other than the connection manager.</summary>
internal static class NetworkFilterConverter
{
    public static TcpProxyConfig TcpProxy(FieldReader tcp, ConversionContext context)
    {
        var clusters = new List<WeightedClusterConfig>();
        var subset = BalanceConverter.MetadataMatch(tcp);
        if (tcp.Text("cluster") is { } single)
            clusters.Add(new WeightedClusterConfig(single, 1) { SubsetMatch = subset });
        if (tcp.Child("weighted_clusters") is { } weighted)
        {
            foreach (var choice in weighted.Children("clusters"))
            {
                var own = BalanceConverter.MetadataMatch(choice);
                clusters.Add(new WeightedClusterConfig(choice.Required("name"), (int)choice.IntegerOr("weight", 1, 1, int.MaxValue)) { SubsetMatch = own.Over(subset) });
                choice.Done();
            }
            weighted.Done();
        }
        if (clusters.Count == 0)
            tcp.Fail("cluster", "one of cluster and weighted_clusters is needed");
        var result = new TcpProxyConfig
        {
            StatPrefix = tcp.Required("stat_prefix").TrimEnd(';'),
            Clusters = clusters,
            IdleTimeoutMs = (long)(tcp.DurationMs("idle_timeout") ?? 3_600_000),
            DurationMaxMs = (long)(tcp.DurationMs("max_downstream_connection_duration") ?? 0),
            ConnectAttemptsMax = (int)(tcp.Integer("max_connect_attempts", 1, 100) ?? 1),
            AccessLogs = AccessLogConverter.Convert(tcp, "access_log", context),
            SubsetMatch = subset,
        };
        tcp.Done("is not supported by this proxy");
        return result;
    }

    public static NetworkFilterConfig? Convert(string type, string name, FieldReader config, ConversionContext context)
    {
        switch (type)
        {
            case "envoy.tcp.metadataexchange.config.MetadataExchange":
                var exchange = new NetworkFilterConfig { Kind = NetworkFilterKind.MetadataExchange, ExchangeProtocol = config.Text("protocol", "") };
                config.Done("is not supported by this proxy");
                return exchange;
            case "stats.PluginConfig":
                config.Done();
                return new NetworkFilterConfig { Kind = NetworkFilterKind.Stats };
            case "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit":
                var enabled = true;
                if (config.Child("runtime_enabled") is { } flag)
                {
                    enabled = flag.Bool("default_value") ?? false;
                    flag.Done();
                }
                var limit = new NetworkFilterConfig
                {
                    Kind = NetworkFilterKind.ConnectionLimit,
                    StatPrefix = config.Required("stat_prefix"),
                    ConnectionsMax = (int)config.IntegerOr("max_connections", int.MaxValue, 1, int.MaxValue),
                    DelayMs = (long)(config.DurationMs("delay") ?? 0),
                    IsEnabled = enabled,
                };
                config.Done();
                return limit;
            case "envoy.extensions.filters.network.rbac.v3.RBAC":
                return Rbac(config, context);
            default:
                config.Fail("", $"network filter {(type.Length > 0 ? type : name)} is not supported by this proxy");
                return null;
        }
    }

    private static NetworkFilterConfig Rbac(FieldReader config, ConversionContext context)
    {
        var prefix = config.Text("stat_prefix", "");
        RbacConfig? rules = null;
        if (config.Child("rules") is { } given)
        {
            var policies = new List<RbacPolicyConfig>();
            var action = given.Choice("action", "ALLOW", "ALLOW", "DENY", "LOG");
            foreach (var (name, policy) in given.ChildMap("policies"))
            {
                policies.Add(new RbacPolicyConfig(name, Or(policy.Children("permissions").Select(p => Permission(p, context))), Or(policy.Children("principals").Select(p => Principal(p, context)))));
                policy.Done("is not supported by this proxy");
            }
            given.Done();
            rules = action == "LOG" ? null : new RbacConfig { IsDeny = action == "DENY", Policies = policies };
        }
        config.Done("is not supported by this proxy");
        return new NetworkFilterConfig { Kind = NetworkFilterKind.Rbac, StatPrefix = prefix, Rbac = rules };
    }

    private static RbacRule Or(IEnumerable<RbacRule> rules) => new() { Kind = RbacRuleKind.Or, Children = rules.ToList() };

    private static List<RbacRule> Set(FieldReader set, string field, Func<FieldReader, RbacRule> read)
    {
        var rules = set.Children(field).Select(read).ToList();
        set.Done();
        return rules;
    }

    private static RbacRule Permission(FieldReader rule, ConversionContext context)
    {
        RbacRule result;
        if (rule.Bool("any") is true)
            result = new RbacRule { Kind = RbacRuleKind.Any };
        else if (rule.Child("and_rules") is { } all)
            result = new RbacRule { Kind = RbacRuleKind.And, Children = Set(all, "rules", r => Permission(r, context)) };
        else if (rule.Child("or_rules") is { } any)
            result = Or(Set(any, "rules", r => Permission(r, context)));
        else if (rule.Child("not_rule") is { } not)
            result = new RbacRule { Kind = RbacRuleKind.Not, Children = [Permission(not, context)] };
        else if (rule.Integer("destination_port") is { } port)
            result = new RbacRule { Kind = RbacRuleKind.DestinationPort, Port = (int)port };
        else if (rule.Child("destination_ip") is { } ip)
            result = new RbacRule { Kind = RbacRuleKind.DestinationIp, Prefix = MatcherConverter.Prefix(ip) };
        else if (rule.Child("requested_server_name") is { } name)
            result = new RbacRule { Kind = RbacRuleKind.ServerName, Text = MatcherConverter.Text(name, context) };
        else
            result = Unsupported(rule);
        rule.Done("is not supported by this proxy");
        return result;
    }

    private static RbacRule Principal(FieldReader rule, ConversionContext context)
    {
        RbacRule result;
        if (rule.Bool("any") is true)
            result = new RbacRule { Kind = RbacRuleKind.Any };
        else if (rule.Child("and_ids") is { } all)
            result = new RbacRule { Kind = RbacRuleKind.And, Children = Set(all, "ids", r => Principal(r, context)) };
        else if (rule.Child("or_ids") is { } any)
            result = Or(Set(any, "ids", r => Principal(r, context)));
        else if (rule.Child("not_id") is { } not)
            result = new RbacRule { Kind = RbacRuleKind.Not, Children = [Principal(not, context)] };
        else if (rule.Child("direct_remote_ip") is { } direct)
            result = new RbacRule { Kind = RbacRuleKind.DirectSourceIp, Prefix = MatcherConverter.Prefix(direct) };
        else if ((rule.Child("remote_ip") ?? rule.Child("source_ip")) is { } ip)
            result = new RbacRule { Kind = RbacRuleKind.SourceIp, Prefix = MatcherConverter.Prefix(ip) };
        else if (rule.Child("authenticated") is { } authenticated)
        {
            result = new RbacRule { Kind = RbacRuleKind.Authenticated, Text = MatcherConverter.Text(authenticated.Child("principal_name"), context) };
            authenticated.Done();
        }
        else
            result = Unsupported(rule);
        rule.Done("is not supported by this proxy");
        return result;
    }

    private static RbacRule Unsupported(FieldReader rule)
    {
        rule.Fail("", "this kind of rule is not supported by this proxy");
        return new RbacRule { Kind = RbacRuleKind.Not, Children = [new RbacRule { Kind = RbacRuleKind.Any }] };
    }
}
