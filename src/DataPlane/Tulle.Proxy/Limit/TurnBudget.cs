namespace Tulle.Proxy;

/// <summary>
/// What one connection may do in one wake-up before it goes on behind the others of its loop. Without it a peer that never pauses holds the loop, and
/// every deadline with it, for as long as it likes.
/// </summary>
internal struct TurnBudget
{
    /// <summary>Bytes read from both sides. Source: 256 KiB are some 0.1 ms of copying; four reads of the largest buffer.</summary>
    public const int BytesMax = 256 * 1024;

    /// <summary>Reads of both sides. Source: as many as a TCP relay has.</summary>
    public const int ReadsMax = 16;

    /// <summary>Requests begun. Source: at 3 µs for an answer of our own, 300 connections that pipeline without end make a turn of 7 ms.</summary>
    public const int RequestsMax = 8;

    private int _bytes, _reads, _requests;

    public readonly bool IsSpent => _bytes <= 0 || _reads <= 0 || _requests <= 0;

    public void Refill()
    {
        _bytes = BytesMax;
        _reads = ReadsMax;
        _requests = RequestsMax;
    }

    public void TakeRead(int bytes)
    {
        _bytes -= bytes;
        _reads--;
    }

    public void TakeRequest() => _requests--;
}
