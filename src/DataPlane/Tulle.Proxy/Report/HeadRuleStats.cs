namespace Tulle.Proxy;

/// <summary>What became of requests by headers_with_underscores_action, over all managers.</summary>
public sealed class HeadRuleStats(StatsStore store)
{
    public Stat DroppedUnderscores { get; } = store.Counter(StatScope.Server, "", "http1.dropped_headers_with_underscores");

    public Stat RejectedUnderscores { get; } = store.Counter(StatScope.Server, "", "http1.requests_rejected_with_underscores_in_headers");
}
