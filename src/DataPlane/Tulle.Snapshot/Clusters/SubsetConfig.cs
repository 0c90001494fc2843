namespace Tulle.Snapshot;

/// <summary>What happens to a request whose subset has no host.</summary>
public enum SubsetFallback : byte
{
    /// <summary>Only of a selector: the cluster's own policy decides.</summary>
    NotDefined,
    NoFallback,
    AnyEndpoint,
    DefaultSubset,

    /// <summary>Only of a selector: the same search with fewer keys.</summary>
    KeysSubset,
}

/// <summary>Endpoint metadata that a route asks for: pairs sorted by key, and the same as one text, made once.</summary>
public sealed class SubsetMatch
{
    public static SubsetMatch None { get; } = new([]);

    /// <summary>Pairs of key and value; a value is written with its type, so that "1" and 1 differ.</summary>
    public SubsetMatch(IEnumerable<KeyValuePair<string, string>> pairs)
    {
        Pairs = [.. pairs.OrderBy(p => p.Key, StringComparer.Ordinal)];
        Key = KeyOf(Pairs);
        Names = string.Join('\u0001', Pairs.Select(p => p.Key));
    }

    public IReadOnlyList<KeyValuePair<string, string>> Pairs { get; }

    public bool IsEmpty => Pairs.Count == 0;

    /// <summary>All pairs as one text: finds the subset.</summary>
    public string Key { get; }

    /// <summary>All keys as one text: finds the selector.</summary>
    public string Names { get; }

    public static string KeyOf(IEnumerable<KeyValuePair<string, string>> sorted) => string.Join('\u0002', sorted.Select(p => $"{p.Key}\u0001{p.Value}"));

    /// <summary>This over an outer one, key by key (a weighted cluster's over its route's).</summary>
    public SubsetMatch Over(SubsetMatch outer)
    {
        if (outer.IsEmpty)
            return this;
        if (IsEmpty)
            return outer;
        var merged = outer.Pairs.ToDictionary(StringComparer.Ordinal);
        foreach (var (key, value) in Pairs)
            merged[key] = value;
        return new SubsetMatch(merged);
    }

    /// <summary>Only these keys.</summary>
    public SubsetMatch Keep(IReadOnlyList<string> keys) => new(Pairs.Where(p => keys.Contains(p.Key, StringComparer.Ordinal)));
}

/// <summary>Keys by which hosts are grouped.</summary>
/// <param name="Keys">Sorted.</param>
/// <param name="Fallback">Own policy; <see cref="SubsetFallback.NotDefined"/> leaves it to the cluster.</param>
/// <param name="FallbackKeys">Of <see cref="SubsetFallback.KeysSubset"/>: a proper part of the keys.</param>
public sealed record SubsetSelectorConfig(IReadOnlyList<string> Keys, SubsetFallback Fallback, IReadOnlyList<string> FallbackKeys)
{
    public string Names { get; } = string.Join('\u0001', Keys);
}

/// <summary>Envoy's lb_subset_config; it is on when there is a selector.</summary>
public sealed record SubsetsConfig
{
    public static SubsetsConfig None { get; } = new();

    public IReadOnlyList<SubsetSelectorConfig> Selectors { get; init; } = [];

    public SubsetFallback Fallback { get; init; } = SubsetFallback.NoFallback;

    /// <summary>Hosts of the default subset have all of these.</summary>
    public SubsetMatch Default { get; init; } = SubsetMatch.None;

    /// <summary>A list in the metadata stands for each of its items. Default false: for itself.</summary>
    public bool ListAsAny { get; init; }

    /// <summary>When nothing fits, any host of the cluster. Default false.</summary>
    public bool PanicModeAny { get; init; }

    /// <summary>Locality weights count within subsets too. Default false.</summary>
    public bool LocalityWeightAware { get; init; }
}
