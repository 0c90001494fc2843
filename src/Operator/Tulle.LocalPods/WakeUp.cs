namespace Tulle.LocalPods;

/// <summary>Wakes one waiter; any number of raises before it looks are one.</summary>
internal sealed class WakeUp : IDisposable
{
    private readonly SemaphoreSlim _raised = new(0);

    public void Raise()
    {
        try
        {
            if (_raised.CurrentCount == 0)
                _raised.Release();
        }
        catch (ObjectDisposedException)
        {
            // A pod that ends last tells nobody.
        }
    }

    /// <summary>True when it was raised before the time was over.</summary>
    public async Task<bool> WaitAsync(int milliseconds, CancellationToken stop)
    {
        var raised = await _raised.WaitAsync(milliseconds, stop);
        // Two raisers may both have seen zero.
        while (raised && await _raised.WaitAsync(0, stop))
        {
        }
        return raised;
    }

    public void Dispose() => _raised.Dispose();
}
