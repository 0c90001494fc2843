using Tulle.Base;
using Tulle.Snapshot;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>Whether a retry policy covers what happened.</summary>
internal static class RetryRules
{
    /// <summary>No answer came.</summary>
    /// <param name="requestSent">A byte of the request was handed to the kernel before the failure: the upstream may have acted on it.</param>
    /// <param name="mayRepeat">
    /// The connection came from the pool and closed before a byte of an answer, which most likely raced with the upstream's keep-alive timeout, and the
    /// request may be repeated by anybody: an idempotent method without a body (RFC 9110 section 9.2.2).
    /// </param>
    public static bool OnReset(RetryConfig? retry, FailureReason reason, bool requestSent, bool mayRepeat)
    {
        if (retry is null)
            return false;
        var isConnect = reason is FailureReason.ConnectFailed or FailureReason.ConnectTimeout or FailureReason.TlsFailed;
        if ((retry.On & (RetryOn.ServerError | RetryOn.GatewayError | RetryOn.Reset)) != 0)
            return true;
        if (isConnect && (retry.On & (RetryOn.ConnectFailure | RetryOn.ResetBeforeRequest)) != 0)
            return true;
        return (retry.On & RetryOn.ResetBeforeRequest) != 0 && (!requestSent || mayRepeat);
    }

    /// <summary>Methods whose repetition has the effect of one (RFC 9110 section 9.2.2).</summary>
    public static bool IsIdempotent(RequestMethod method) =>
        method is RequestMethod.Get or RequestMethod.Head or RequestMethod.Options or RequestMethod.Trace or RequestMethod.Put or RequestMethod.Delete;

    public static bool OnResponse(RetryConfig? retry, HttpHead response)
    {
        if (retry is null)
            return false;
        var status = response.Status;
        // Another Envoy's rate limit: only the word that is made for it covers it.
        if (response.Find("x-envoy-ratelimited"u8) >= 0)
            return (retry.On & RetryOn.RateLimited) != 0;
        if ((retry.On & RetryOn.ServerError) != 0 && status is >= 500 and < 600)
            return true;
        if ((retry.On & RetryOn.GatewayError) != 0 && status is 502 or 503 or 504 && (retry.On & RetryOn.GatewayError) != 0)
            return true;
        if ((retry.On & RetryOn.Retriable4xx) != 0 && status == 409)
            return true;
        if ((retry.On & RetryOn.StatusCodes) != 0 && retry.StatusCodes.Contains(status))
            return true;
        if ((retry.On & RetryOn.Headers) != 0)
        {
            foreach (var matcher in retry.ResponseHeaders)
            {
                if (HeaderMatching.MatchesResponse(matcher, response))
                    return true;
            }
        }
        return (retry.On & RetryOn.AnyGrpc) != 0 && (retry.On & GrpcWord(response)) != 0;
    }

    /// <summary>The word for the gRPC status in an answer's head (a trailers-only answer); over HTTP/1 too.</summary>
    private static RetryOn GrpcWord(HttpHead response)
    {
        var at = response.Find("grpc-status"u8);
        if (at < 0)
            return RetryOn.None;
        return response.Value(at) switch
        {
            [(byte)'1'] => RetryOn.GrpcCancelled,
            [(byte)'4'] => RetryOn.GrpcDeadlineExceeded,
            [(byte)'8'] => RetryOn.GrpcResourceExhausted,
            [(byte)'1', (byte)'3'] => RetryOn.GrpcInternal,
            [(byte)'1', (byte)'4'] => RetryOn.GrpcUnavailable,
            _ => RetryOn.None,
        };
    }

    /// <summary>The policy restricts itself to some requests, and this is none of them.</summary>
    public static bool Excludes(RetryConfig retry, HttpHead request)
    {
        foreach (var matcher in retry.RequestHeaders)
        {
            if (HeaderMatching.Matches(matcher, request))
                return false;
        }
        return retry.RequestHeaders.Count > 0;
    }

    /// <summary>Milliseconds until the next attempt: what the answer asks for, else a fully jittered exponential back-off.</summary>
    public static long BackOffMs(RetryConfig retry, int attempts, HttpHead? response, long wallMicros, Base.SeededRandom random)
    {
        if (response is not null)
        {
            foreach (var header in retry.ResetHeaders)
            {
                if (AskedMs(header, response, wallMicros) is not ({ } asked and > 0))
                    continue;
                if (asked > retry.ResetMaxMs)
                    break;
                // Never earlier than asked, and not all at once: up to half as long again.
                return asked + random.Next((int)Math.Max(1, asked / 2));
            }
        }
        // A random time below base × (2^n − 1), at most the maximum.
        var ceiling = Math.Min(retry.BackOffMaxMs, retry.BackOffBaseMs * ((1L << Math.Min(attempts, 16)) - 1));
        return ceiling > 0 ? random.Next((int)Math.Min(ceiling, int.MaxValue)) : 0;
    }

    private static long? AskedMs(ResetHeaderConfig header, HttpHead response, long wallMicros)
    {
        var at = response.Find(header.Name);
        if (at < 0 || !System.Buffers.Text.Utf8Parser.TryParse(response.Value(at), out long number, out var used) || used != response.Value(at).Length || number < 0 || number > 1L << 40)
            return null;
        return header.IsTimestamp ? number * 1000 - wallMicros / 1000 : number * 1000;
    }
}
