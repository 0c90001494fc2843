namespace Tulle.Sidecar;

/// <summary>
/// How long a start waits for what was asked for and does not come (initial_fetch_timeout): each resource has one time limit, from when it was first
/// asked for. Control thread.
/// </summary>
internal sealed class InitialFetches
{
    /// <summary>Stands for all resources of CDS or LDS.</summary>
    public static readonly ResourceKey All = new("", "*");

    private readonly Dictionary<(string Type, ResourceKey Key), State> _all = [];

    private sealed class State
    {
        public bool IsOver;
    }

    /// <summary>Nothing waits for that resource any more.</summary>
    public bool IsOver(string type, ResourceKey key) => _all.TryGetValue((type, key), out var state) && state.IsOver;

    /// <summary>The resource is not there; false when that was known.</summary>
    public bool GiveUp(string type, ResourceKey key)
    {
        if (!_all.TryGetValue((type, key), out var state))
            _all[(type, key)] = state = new State();
        var isNew = !state.IsOver;
        state.IsOver = true;
        return isNew;
    }

    /// <summary>Begins the time limit of a resource, unless it has begun. 0 milliseconds wait for ever.</summary>
    public void Begin(string type, ResourceKey key, long milliseconds, Action<Action> post, Action onGivenUp)
    {
        if (milliseconds <= 0 || !_all.TryAdd((type, key), new State()))
            return;
        var begun = _all[(type, key)];
        _ = Task.Delay(TimeSpan.FromMilliseconds(Math.Min(milliseconds, int.MaxValue))).ContinueWith(_ => post(() =>
        {
            // Forgotten meanwhile, and perhaps asked for anew: that has a time of its own.
            if (!_all.TryGetValue((type, key), out var now) || !ReferenceEquals(now, begun) || begun.IsOver)
                return;
            begun.IsOver = true;
            onGivenUp();
        }), TaskScheduler.Default);
    }

    public void Forget(Func<string, ResourceKey, bool> isWanted)
    {
        foreach (var (type, key) in _all.Keys.ToList())
        {
            if (!isWanted(type, key))
                _all.Remove((type, key));
        }
    }
}
