namespace Tulle.Sidecar;

/// <summary>Where resources come from: envoy.config.core.v3.ConfigSource.</summary>
/// <param name="Key">"static", "ads", "file:PATH", "grpc:CLUSTER" or "delta:CLUSTER".</param>
/// <param name="InitialFetchMs">
/// Milliseconds that a start waits for a resource that does not come (initial_fetch_timeout). 0 waits for ever. Default 15,000. Source: Envoy.
/// </param>
internal sealed record ConfigSource(string Key, long InitialFetchMs)
{
    public const long DefaultInitialFetchMs = 15_000;

    public static ConfigSource Static { get; } = new("static", 0);
}

/// <summary>A resource belongs to the source that delivers it: two sources may have one of the same name.</summary>
internal readonly record struct ResourceKey(string Source, string Name)
{
    public override string ToString() => $"{Name} from {Source}";
}
