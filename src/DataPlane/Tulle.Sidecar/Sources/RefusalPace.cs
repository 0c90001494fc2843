using Tulle.Xds;

namespace Tulle.Sidecar;

/// <summary>
/// Answers to what was refused before. A server that sends again at once what was refused, and a proxy that refuses at once, keep each other busy: the
/// same content refused again is answered with a growing pause. Other content, and other types, are answered at once. One stream source; control thread.
/// </summary>
internal sealed class RefusalPace
{
    /// <summary>First and longest pause, milliseconds. Source: ours; a person who mends a resource waits at most the longest.</summary>
    public const int FirstMs = 100, LongestMs = 10_000;

    private readonly Dictionary<string, (ulong Content, int Times)> _refused = new(StringComparer.Ordinal);

    /// <summary>The last update of that type had this content and was refused.</summary>
    public bool IsRepeated(XdsUpdate update) => _refused.TryGetValue(update.Type, out var last) && last.Content == ContentOf(update);

    /// <summary>Milliseconds to wait with the answer.</summary>
    public int Note(XdsUpdate update, bool isRefused)
    {
        if (!isRefused)
        {
            _refused.Remove(update.Type);
            return 0;
        }
        var content = ContentOf(update);
        var times = _refused.TryGetValue(update.Type, out var last) && last.Content == content ? last.Times + 1 : 0;
        _refused[update.Type] = (content, times);
        return times == 0 ? 0 : Math.Min(LongestMs, FirstMs << Math.Min(times - 1, 10));
    }

    /// <summary>Names and content, not nonce and version: servers count these up.</summary>
    private static ulong ContentOf(XdsUpdate update)
    {
        var hash = 14695981039346656037UL;
        foreach (var (name, _, resource) in update.Resources)
            hash = ((hash * 31) + Base.Documents.Node.Of(name).ContentHash()) * 31 + resource.ContentHash();
        foreach (var name in update.Removed)
            hash = (hash * 31) + Base.Documents.Node.Of(name).ContentHash();
        return hash + Base.Documents.Node.Of(update.Malformed ?? "").ContentHash();
    }
}
