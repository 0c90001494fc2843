using System.Diagnostics;
using Tulle.Native;

namespace Tulle.Control;

/// <summary>
/// Tells that something below the folders changed, and which files are being written at this moment. A folder that is not there yet, or any more, and a
/// machine without free watches are no errors: those are looked at once a second.
/// </summary>
internal sealed class FolderWatch : IDisposable
{
    /// <summary>Milliseconds of quiet after a closed file, so that several files written together are taken together. A renamed file is whole and waits for none.</summary>
    public const int QuietMs = 10;

    /// <summary>Milliseconds after which a change is taken however busy the folder is.</summary>
    public const int QuietMsMax = 200;

    /// <summary>Milliseconds after which a file that somebody keeps open is read all the same.</summary>
    public const int WritingMsMax = 10_000;

    /// <summary>Milliseconds between looks where the kernel tells nothing.</summary>
    private const int PollMs = 1000;

    private readonly Lock _lock = new();
    private readonly Inotify? _inotify;
    private readonly IReadOnlyList<string> _roots;
    private readonly Dictionary<int, string> _folders = [];
    private readonly Dictionary<string, long> _writing = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim _changed = new(0, 1);
    private long _lastEvent;
    private bool _isWhole;
    private bool _mustPoll;

    public FolderWatch(IReadOnlyList<string> folders)
    {
        _roots = folders.Select(Path.GetFullPath).ToList();
        try
        {
            _inotify = new Inotify();
        }
        catch (IOException error)
        {
            Problem = error.Message;
            _mustPoll = true;
            return;
        }
        lock (_lock)
            AddRoots();
        new Thread(Follow) { IsBackground = true, Name = "folders" }.Start();
    }

    /// <summary>Why folders are looked at once a second instead of being watched; empty when they are watched.</summary>
    public string Problem { get; private set; } = "";

    /// <summary>Somebody has written to this file and not closed it yet.</summary>
    public bool IsBeingWritten(string file)
    {
        lock (_lock)
            return _writing.TryGetValue(file, out var since) && Stopwatch.GetElapsedTime(since).TotalMilliseconds < WritingMsMax;
    }

    /// <summary>Waits for a change, and then for a moment of quiet. Returns after <paramref name="atMost"/> in any case.</summary>
    public async Task NextAsync(TimeSpan atMost, CancellationToken stop)
    {
        if (_mustPoll && (atMost == Timeout.InfiniteTimeSpan || atMost.TotalMilliseconds > PollMs))
            atMost = TimeSpan.FromMilliseconds(PollMs);
        if (!await _changed.WaitAsync(atMost, stop))
        {
            lock (_lock)
                AddRoots();
            return;
        }
        var began = Stopwatch.GetTimestamp();
        while (!Volatile.Read(ref _isWhole) && Stopwatch.GetElapsedTime(began).TotalMilliseconds < QuietMsMax)
        {
            var rest = QuietMs - Stopwatch.GetElapsedTime(Interlocked.Read(ref _lastEvent)).TotalMilliseconds;
            if (rest <= 0)
                break;
            await Task.Delay(TimeSpan.FromMilliseconds(rest), stop);
        }
        Volatile.Write(ref _isWhole, false);
    }

    private void Signal(bool isWhole)
    {
        Interlocked.Exchange(ref _lastEvent, Stopwatch.GetTimestamp());
        if (isWhole)
            Volatile.Write(ref _isWhole, true);
        lock (_lock)
        {
            if (_changed.CurrentCount == 0)
                _changed.Release();
        }
    }

    private void AddRoots()
    {
        if (_inotify is null)
            return;
        _mustPoll = false;
        foreach (var root in _roots.Where(r => !_folders.ContainsValue(r)))
            Add(root);
    }

    private void Add(string folder)
    {
        var watch = _inotify!.Add(folder);
        if (watch < 0)
        {
            _mustPoll = true;
            Problem = $"{folder} cannot be watched (errno {-watch}{(watch == -28 ? "; fs.inotify.max_user_watches is used up" : "")})";
            return;
        }
        _folders[watch] = folder;
        try
        {
            foreach (var child in Directory.EnumerateDirectories(folder))
                Add(child);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Problem = error.Message;
        }
    }

    private void Follow()
    {
        var events = new List<FolderEvent>();
        while (_inotify!.Read(events))
        {
            foreach (var one in events)
                Take(one);
            events.Clear();
        }
    }

    private void Take(FolderEvent one)
    {
        if ((one.Mask & Inotify.QueueOverflow) != 0)
        {
            lock (_lock)
                _writing.Clear();
            Signal(isWhole: false);
            return;
        }
        bool isOpen;
        lock (_lock)
            isOpen = Note(one);
        if (!isOpen)
            Signal((one.Mask & Inotify.MovedTo) != 0);
    }

    /// <summary>Whether the event only says that somebody is still writing.</summary>
    private bool Note(FolderEvent one)
    {
        if (!_folders.TryGetValue(one.Watch, out var folder))
            return false;
        if ((one.Mask & (Inotify.Ignored | Inotify.DeleteSelf | Inotify.MoveSelf)) != 0)
        {
            _folders.Remove(one.Watch);
            _mustPoll |= _roots.Contains(folder);
            return false;
        }
        var path = Path.Combine(folder, one.Name);
        if ((one.Mask & Inotify.IsFolder) != 0)
        {
            if ((one.Mask & (Inotify.Create | Inotify.MovedTo | Inotify.Attributes)) != 0 && !_folders.ContainsValue(path))
                Add(path);
            return false;
        }
        if ((one.Mask & Inotify.Modify) != 0)
        {
            _writing.TryAdd(path, Stopwatch.GetTimestamp());
            return true;
        }
        _writing.Remove(path);
        return false;
    }

    public void Dispose() => _inotify?.Dispose();
}
