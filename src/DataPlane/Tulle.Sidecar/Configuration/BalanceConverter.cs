using Tulle.Base.Documents;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>How a cluster chooses among its endpoints: policy, common settings, subsets.</summary>
internal static class BalanceConverter
{
    public static (BalancePolicy Policy, int Choices, double Bias) Balance(FieldReader cluster)
    {
        var choices = 2;
        cluster.Child("round_robin_lb_config")?.Done();
        double bias = 1;
        if (cluster.Child("least_request_lb_config") is { } least)
        {
            choices = (int)Math.Clamp(least.Integer("choice_count", 2, uint.MaxValue) ?? 2, 2, 1000);
            if (least.Child("active_request_bias") is { } weight)
            {
                bias = weight.Number("default_value") ?? 1;
                if (bias < 0)
                    weight.Fail("default_value", $"{bias} is negative: a busy host would get more");
                weight.Done();
            }
            least.Done();
        }
        var policy = cluster.Choice("lb_policy", "ROUND_ROBIN", "ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "CLUSTER_PROVIDED") switch
        {
            "LEAST_REQUEST" => BalancePolicy.LeastRequest,
            "RANDOM" => BalancePolicy.Random,
            "CLUSTER_PROVIDED" => BalancePolicy.ClusterProvided,
            _ => BalancePolicy.RoundRobin,
        };
        return (policy, choices, bias);
    }

    public static (double PanicPercent, bool IsLocalityWeighted, bool IgnoreNewHosts) Common(FieldReader cluster)
    {
        if (cluster.Child("common_lb_config") is not { } common)
            return (50, false, false);
        var weighted = common.Child("locality_weighted_lb_config");
        weighted?.Done();
        var threshold = common.Child("healthy_panic_threshold");
        var panic = threshold?.Number("value") ?? (threshold is null ? 50 : 0);
        threshold?.Done();
        var ignore = common.Bool("ignore_new_hosts_until_first_hc", false);
        common.Done();
        return (panic, weighted is not null, ignore);
    }

    public static SubsetsConfig Subsets(FieldReader cluster)
    {
        if (cluster.Child("lb_subset_config") is not { } subset)
            return SubsetsConfig.None;
        var selectors = new List<SubsetSelectorConfig>();
        foreach (var selector in subset.Children("subset_selectors"))
        {
            var keys = Keys(selector, "keys");
            var fallback = Policy(selector, "NOT_DEFINED", ["NOT_DEFINED", "NO_FALLBACK", "ANY_ENDPOINT", "DEFAULT_SUBSET", "KEYS_SUBSET"]);
            var fallbackKeys = Keys(selector, "fallback_keys_subset");
            if (fallback == SubsetFallback.KeysSubset && (fallbackKeys.Count == 0 || fallbackKeys.Count >= keys.Count || fallbackKeys.Except(keys).Any()))
                selector.Fail("fallback_keys_subset", "must be some, but not all, of the keys");
            selectors.Add(new SubsetSelectorConfig(keys, fallback, fallbackKeys));
            selector.Done();
        }
        var result = new SubsetsConfig
        {
            Selectors = selectors,
            Fallback = Policy(subset, "NO_FALLBACK", ["NO_FALLBACK", "ANY_ENDPOINT", "DEFAULT_SUBSET"]),
            Default = subset.Raw("default_subset") is { } pairs ? Match(pairs) : SubsetMatch.None,
            ListAsAny = subset.Bool("list_as_any", false),
            PanicModeAny = subset.Bool("panic_mode_any", false),
            LocalityWeightAware = subset.Bool("locality_weight_aware", false),
        };
        subset.Done();
        return result;
    }

    private static List<string> Keys(FieldReader holder, string field) => [.. holder.Texts(field).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];

    private static SubsetFallback Policy(FieldReader holder, string otherwise, string[] allowed) => holder.Choice("fallback_policy", otherwise, allowed) switch
    {
        "NO_FALLBACK" => SubsetFallback.NoFallback,
        "ANY_ENDPOINT" => SubsetFallback.AnyEndpoint,
        "DEFAULT_SUBSET" => SubsetFallback.DefaultSubset,
        "KEYS_SUBSET" => SubsetFallback.KeysSubset,
        _ => SubsetFallback.NotDefined,
    };

    /// <summary>A metadata_match of a route, a weighted cluster or a tcp_proxy: the pairs under envoy.lb.</summary>
    public static SubsetMatch MetadataMatch(FieldReader holder)
    {
        if (holder.Child("metadata_match") is not { } metadata)
            return SubsetMatch.None;
        var pairs = metadata.Raw("filter_metadata")?["envoy.lb"];
        metadata.Done();
        return pairs is null ? SubsetMatch.None : Match(pairs);
    }

    public static SubsetMatch Match(Node pairs) => new(pairs.Fields.Select(f => KeyValuePair.Create(f.Key, Value(f.Value).Whole)));

    /// <summary>A metadata value with its type: the text "1" and the number 1 are two values.</summary>
    public static SubsetValue Value(Node value) => value.Kind switch
    {
        NodeKind.List => new SubsetValue($"[{string.Join(',', value.Items.Select(i => Value(i).Whole))}]", [.. value.Items.Select(i => Value(i).Whole)]),
        NodeKind.Map => new SubsetValue($"{{{string.Join(',', value.Fields.OrderBy(f => f.Key, StringComparer.Ordinal).Select(f => $"{f.Key}={Value(f.Value).Whole}"))}}}", []),
        NodeKind.Bool => new SubsetValue($"b{value.AsText}", []),
        NodeKind.Integer or NodeKind.Float => new SubsetValue($"n{value.AsDouble.ToString("R", System.Globalization.CultureInfo.InvariantCulture)}", []),
        NodeKind.Null => new SubsetValue("0", []),
        _ => new SubsetValue($"s{value.AsText}", []),
    };
}
