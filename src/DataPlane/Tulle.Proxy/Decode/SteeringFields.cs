using System.Text;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>
/// Fields by which internal clients steer the router, and by which proxies tell each other what they did. From a client that is not internal the
/// former never reach the router or the upstream; at the edge the latter do not either. Source: Envoy, what it removes of requests that are not internal.
/// </summary>
internal static class SteeringFields
{
    /// <summary>Removes what a client that is not internal may not say.</summary>
    /// <param name="head">The request.</param>
    /// <param name="isEdge">The client is not behind another proxy of ours.</param>
    /// <param name="internalOnly">More names that only internal clients may send.</param>
    public static void Clean(HttpHead head, bool isEdge, IReadOnlyList<byte[]> internalOnly)
    {
        for (var i = 0; i < head.Count; i++)
        {
            if (!head.IsRemoved(i) && IsOurs(head.Name(i)) && (Steers(head.Name(i)[8..]) || (isEdge && TellsOfAProxy(head.Name(i)[8..]))))
                head.Remove(i);
        }
        for (var i = 0; i < internalOnly.Count; i++)
            head.Remove(internalOnly[i]);
    }

    private static bool IsOurs(ReadOnlySpan<byte> name) => name.Length > 8 && Ascii.EqualsIgnoreCase(name[..8], "x-envoy-"u8);

    private static bool Steers(ReadOnlySpan<byte> name) => name.Length switch
    {
        7 => Is(name, "ip-tags"u8),
        8 => Is(name, "retry-on"u8),
        11 => Is(name, "max-retries"u8) || Is(name, "force-trace"u8),
        12 => Is(name, "original-url"u8),
        13 => Is(name, "retry-grpc-on"u8),
        22 => Is(name, "upstream-alt-stat-name"u8) || Is(name, "upstream-rq-timeout-ms"u8) || Is(name, "retriable-status-codes"u8) || Is(name, "retriable-header-names"u8)
            || Is(name, "expected-rq-timeout-ms"u8),
        24 => Is(name, "hedge-on-per-try-timeout"u8),
        30 => Is(name, "upstream-rq-per-try-timeout-ms"u8),
        32 => Is(name, "upstream-rq-timeout-alt-response"u8),
        _ => false,
    };

    private static bool TellsOfAProxy(ReadOnlySpan<byte> name) => name.Length switch
    {
        13 => Is(name, "original-path"u8) || Is(name, "original-host"u8),
        19 => Is(name, "decorator-operation"u8),
        23 => Is(name, "downstream-service-node"u8),
        26 => Is(name, "downstream-service-cluster"u8),
        _ => false,
    };

    private static bool Is(ReadOnlySpan<byte> name, ReadOnlySpan<byte> lower) => Ascii.EqualsIgnoreCase(name, lower);
}
