namespace Tulle.Snapshot;

/// <summary>The words of retry_on and of x-envoy-retry-on.</summary>
public static class RetryWords
{
    /// <summary>What a list of words asks for; false when a word is unknown.</summary>
    public static bool TryParse(ReadOnlySpan<char> list, out RetryOn on)
    {
        on = RetryOn.None;
        var allKnown = true;
        foreach (var range in list.Split(','))
        {
            var word = list[range].Trim();
            if (word.IsEmpty)
                continue;
            var one = Find(word);
            on |= one;
            allKnown &= one != RetryOn.None;
        }
        return allKnown;
    }

    private static RetryOn Find(ReadOnlySpan<char> word) => word switch
    {
        "5xx" => RetryOn.ServerError,
        "gateway-error" => RetryOn.GatewayError,
        "reset" => RetryOn.Reset,
        "connect-failure" => RetryOn.ConnectFailure,
        "refused-stream" => RetryOn.RefusedStream,
        "retriable-4xx" => RetryOn.Retriable4xx,
        "retriable-status-codes" => RetryOn.StatusCodes,
        "retriable-headers" => RetryOn.Headers,
        "reset-before-request" => RetryOn.ResetBeforeRequest,
        "envoy-ratelimited" => RetryOn.RateLimited,
        "http3-post-connect-failure" => RetryOn.Http3PostConnect,
        "cancelled" => RetryOn.GrpcCancelled,
        "deadline-exceeded" => RetryOn.GrpcDeadlineExceeded,
        "internal" => RetryOn.GrpcInternal,
        "resource-exhausted" => RetryOn.GrpcResourceExhausted,
        "unavailable" => RetryOn.GrpcUnavailable,
        _ => RetryOn.None,
    };
}
