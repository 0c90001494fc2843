using Tulle.Base;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>The hosts of a cluster by metadata. Only the subsets that exist are kept; a request finds its own by one look-up.</summary>
internal sealed class SubsetIndex
{
    private readonly SubsetsConfig _config;
    private readonly Dictionary<string, HostSet> _subsets = new(StringComparer.Ordinal);
    private readonly HostSet _all;
    private readonly HostSet? _default;

    public SubsetIndex(SubsetsConfig config, List<HostState> hosts, HostSet all, Func<List<HostState>, HostSet> make)
    {
        _config = config;
        _all = all;
        var groups = new Dictionary<string, List<HostState>>(StringComparer.Ordinal);
        foreach (var selector in config.Selectors)
        {
            foreach (var host in hosts)
            {
                foreach (var key in KeysOf(selector, host.Config.Facts.Subset))
                {
                    if (!groups.TryGetValue(key, out var group))
                        groups[key] = group = [];
                    if (group.Count == 0 || !ReferenceEquals(group[^1], host))
                        group.Add(host);
                }
            }
        }
        foreach (var (key, group) in groups)
            _subsets[key] = make(group);
        if (config.Default.IsEmpty && config.Fallback != SubsetFallback.DefaultSubset)
            return;
        _default = make(hosts.FindAll(h => config.Default.Pairs.All(p => Values(h.Config.Facts.Subset, p.Key).Contains(p.Value, StringComparer.Ordinal))));
    }

    /// <summary>What a host's value stands for: with list_as_any every item of a list.</summary>
    private IReadOnlyList<string> Values(IReadOnlyDictionary<string, SubsetValue> facts, string key) =>
        !facts.TryGetValue(key, out var value) ? [] : _config.ListAsAny && value.Items.Count > 0 ? value.Items : [value.Whole];

    /// <summary>The subsets of one selector that a host belongs to: several when lists stand for their items.</summary>
    private List<string> KeysOf(SubsetSelectorConfig selector, IReadOnlyDictionary<string, SubsetValue> facts)
    {
        var found = new List<List<KeyValuePair<string, string>>> { new() };
        foreach (var key in selector.Keys)
        {
            var values = Values(facts, key);
            found = [.. found.SelectMany(begun => values.Select(v => new List<KeyValuePair<string, string>>(begun) { new(key, v) }))];
        }
        return [.. found.Select(SubsetMatch.KeyOf)];
    }

    public int Count => _subsets.Count;

    public void Refresh(SeededRandom random)
    {
        foreach (var subset in _subsets.Values)
            subset.Refresh(random);
        _default?.Refresh(random);
    }

    /// <summary>The hosts for what a route asks; null when there are none and none may stand in.</summary>
    public HostSet? Find(SubsetMatch match, ClusterStats stats, int loop, out bool isFallback)
    {
        isFallback = false;
        if (!match.IsEmpty && _subsets.TryGetValue(match.Key, out var found))
        {
            stats.SubsetsSelected.Add(loop);
            return found;
        }
        // A selector with exactly these keys may have a policy of its own.
        foreach (var selector in match.IsEmpty ? [] : _config.Selectors)
        {
            if (selector.Fallback == SubsetFallback.NotDefined || selector.Names != match.Names)
                continue;
            if (selector.Fallback == SubsetFallback.KeysSubset)
                return Find(match.Keep(selector.FallbackKeys), stats, loop, out isFallback);
            return Fallback(selector.Fallback, stats, loop, out isFallback);
        }
        return Fallback(_config.Fallback, stats, loop, out isFallback);
    }

    private HostSet? Fallback(SubsetFallback policy, ClusterStats stats, int loop, out bool isFallback)
    {
        var result = policy switch
        {
            SubsetFallback.AnyEndpoint => _all,
            SubsetFallback.DefaultSubset => _default,
            _ => null,
        };
        isFallback = result is not null;
        if (isFallback)
            stats.SubsetsFallback.Add(loop);
        return result;
    }
}
