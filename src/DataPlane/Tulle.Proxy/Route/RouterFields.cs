using System.Globalization;
using System.Text;
using Tulle.Snapshot;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>
/// The x-envoy-* fields by which an internal client steers the router: retries, time-outs, the answer at a time-out. They are obeyed and not forwarded;
/// of other clients nothing of it comes here (see <see cref="SteeringFields"/>).
/// </summary>
internal static class RouterFields
{
    private static ReadOnlySpan<byte> Prefix => "x-envoy-"u8;

    /// <summary>The route's action as the request wants it; the same object when the request wants nothing.</summary>
    public static RouteActionConfig Take(RouteActionConfig action, HttpHead head, bool respectsExpected)
    {
        var result = action;
        for (var i = 0; i < head.Count; i++)
        {
            if (head.IsRemoved(i) || head.Name(i).Length <= 8 || !Ascii.EqualsIgnoreCase(head.Name(i)[..8], Prefix))
                continue;
            var name = head.Name(i)[8..];
            var value = head.Value(i);
            if (Is(name, "upstream-rq-timeout-ms"u8))
            {
                // What the other proxy expects comes before what its client asked for.
                if (TryNumber(value, out var total) && !(respectsExpected && head.Find(KnownHeader.EnvoyExpectedTimeout) >= 0))
                    result = result with { TimeoutMs = total };
            }
            else if (respectsExpected && Is(name, "expected-rq-timeout-ms"u8))
            {
                if (TryNumber(value, out var expected))
                    result = result with { TimeoutMs = expected };
                continue;
            }
            else if (!TakeRetry(ref result, name, value))
            {
                continue;
            }
            head.Remove(i);
        }
        if (!ReferenceEquals(result, action) && result.Retry is { PerTryTimeoutMs: > 0 } retry && result.TimeoutMs > 0 && retry.PerTryTimeoutMs >= result.TimeoutMs)
            result = result with { Retry = retry with { PerTryTimeoutMs = 0 } };
        return result;
    }

    /// <summary>False when the field is none of those.</summary>
    private static bool TakeRetry(ref RouteActionConfig action, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        var retry = action.Retry ?? new RetryConfig();
        if (Is(name, "upstream-rq-timeout-alt-response"u8))
        {
            action = action with { TimeoutStatus = 204 };
            return true;
        }
        if (Is(name, "upstream-rq-per-try-timeout-ms"u8))
            retry = TryNumber(value, out var perTry) ? retry with { PerTryTimeoutMs = perTry } : retry;
        else if (Is(name, "retry-on"u8))
            retry = retry with { On = retry.On | Words(value) };
        else if (Is(name, "retry-grpc-on"u8))
            retry = retry with { On = retry.On | Words(value) };
        else if (Is(name, "max-retries"u8))
            retry = TryNumber(value, out var times) ? retry with { RetriesMax = (int)Math.Min(times, int.MaxValue) } : retry;
        else if (Is(name, "retriable-status-codes"u8))
            retry = retry with { StatusCodes = [.. retry.StatusCodes, .. Codes(value)] };
        else if (Is(name, "retriable-header-names"u8))
            retry = retry with { ResponseHeaders = [.. retry.ResponseHeaders, .. Names(value)] };
        else
            return Is(name, "hedge-on-per-try-timeout"u8) || Is(name, "upstream-alt-stat-name"u8);
        action = action with { Retry = retry };
        return true;
    }

    private static RetryOn Words(ReadOnlySpan<byte> value)
    {
        _ = RetryWords.TryParse(Encoding.Latin1.GetString(value), out var on);
        return on;
    }

    private static List<int> Codes(ReadOnlySpan<byte> value)
    {
        var result = new List<int>();
        foreach (var range in value.Split((byte)','))
        {
            if (TryNumber(value[range].Trim(" "u8), out var code) && code < 1000)
                result.Add((int)code);
        }
        return result;
    }

    private static List<HeaderMatcher> Names(ReadOnlySpan<byte> value)
    {
        var result = new List<HeaderMatcher>();
        foreach (var range in value.Split((byte)','))
        {
            var name = Encoding.Latin1.GetString(value[range].Trim(" "u8)).ToLowerInvariant();
            if (name.Length > 0)
                result.Add(new HeaderMatcher { Name = name, NameBytes = Encoding.Latin1.GetBytes(name) });
        }
        return result;
    }

    /// <summary>strict_check_headers: the index of the first field among those that does not say what it should, or −1.</summary>
    public static int FindInvalid(IReadOnlyList<byte[]> names, HttpHead head)
    {
        for (var i = 0; i < names.Count; i++)
        {
            var index = head.Find(names[i]);
            if (index < 0)
                continue;
            var isWords = names[i].AsSpan().EndsWith("-on"u8);
            if (isWords ? !RetryWords.TryParse(Encoding.Latin1.GetString(head.Value(index)), out _) : !TryNumber(head.Value(index), out _))
                return index;
        }
        return -1;
    }

    private static bool TryNumber(ReadOnlySpan<byte> value, out long number) =>
        long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number <= uint.MaxValue;

    private static bool Is(ReadOnlySpan<byte> name, ReadOnlySpan<byte> lower) => Ascii.EqualsIgnoreCase(name, lower);
}
