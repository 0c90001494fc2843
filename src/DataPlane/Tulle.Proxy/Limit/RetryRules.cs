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
        return false;
    }
}
