using Tulle.Base.Documents;
using Tulle.Xds;

namespace Tulle.Sidecar;

/// <summary>
/// xDS from a file: a DiscoveryResponse in JSON or YAML, read at the start and again when something happens in its folder (inotify through
/// FileSystemWatcher). The folder, not the name: a ConfigMap's files are links over a link called ..data, and only that one is replaced.
/// </summary>
internal sealed class FileSource : IDisposable
{
    private readonly string _path;
    private readonly Action<XdsUpdate> _onUpdate;
    private readonly Action<string> _onError;
    private FileSystemWatcher? _watcher;
    private readonly Action<Action> _post;
    private string _lastText = "";
    private int _isPosted;

    /// <param name="path">The file.</param>
    /// <param name="post">Runs an action on the control thread.</param>
    /// <param name="onUpdate">Called on the control thread.</param>
    /// <param name="onError">Called on the control thread with what was wrong.</param>
    public FileSource(string path, Action<Action> post, Action<XdsUpdate> onUpdate, Action<string> onError)
    {
        _path = Path.GetFullPath(path);
        _post = post;
        _onUpdate = onUpdate;
        _onError = onError;
        Watch();
    }

    private void Watch()
    {
        try
        {
            _watcher = new FileSystemWatcher(Path.GetDirectoryName(_path)!)
            {
                NotifyFilter = NotifyFilters.FileName | NotifyFilters.DirectoryName | NotifyFilters.LastWrite | NotifyFilters.Size,
            };
            _watcher.Changed += (_, _) => PostRead();
            _watcher.Created += (_, _) => PostRead();
            _watcher.Renamed += (_, _) => PostRead();
            // Too many events for the kernel's queue, or the folder was replaced: what was missed is in the file.
            _watcher.Error += (_, _) => _post(WatchAgain);
            _watcher.EnableRaisingEvents = true;
        }
        catch (Exception error) when (error is ArgumentException or IOException or UnauthorizedAccessException)
        {
            _onError($"{_path} cannot be watched: {error.Message}; changes will not be seen");
        }
    }

    private void WatchAgain()
    {
        _watcher?.Dispose();
        Watch();
        Read();
    }

    /// <summary>However many events come, one look is enough.</summary>
    private void PostRead()
    {
        if (Interlocked.Exchange(ref _isPosted, 1) == 0)
            _post(Read);
    }

    /// <summary>Names that were asked of this file.</summary>
    public HashSet<string> Asked { get; } = new(StringComparer.Ordinal);

    private void Read() => Read(again: false);

    /// <summary>Reads now; control thread.</summary>
    /// <param name="again">Hand it over even when nothing changed: there is somebody new who asks.</param>
    public void Read(bool again)
    {
        Volatile.Write(ref _isPosted, 0);
        if (again)
            _lastText = "";
        string text;
        try
        {
            text = File.ReadAllText(_path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            _onError($"{_path} cannot be read: {error.Message}");
            return;
        }
        if (text == _lastText)
            return;
        // A half-written file is met with the next event; only what parses is remembered.
        try
        {
            var response = Bootstrap.Parse(text, _path);
            _lastText = text;
            _onUpdate(ToUpdate(response));
        }
        catch (DocumentException error)
        {
            _onError(error.Message);
        }
    }

    private static XdsUpdate ToUpdate(Node response)
    {
        var resources = new List<(string, string, Node)>();
        var type = response["type_url"]?.AsText ?? response["typeUrl"]?.AsText ?? "";
        var names = new HashSet<string>(StringComparer.Ordinal);
        string? malformed = null;
        foreach (var resource in response["resources"]?.Items ?? [])
        {
            var resourceType = resource["@type"]?.AsText ?? type;
            if (type.Length == 0)
                type = resourceType;
            var inner = resourceType.EndsWith("discovery.v3.Resource", StringComparison.Ordinal) ? resource["resource"] ?? resource : resource;
            var name = ConversionContext.Name(type, inner);
            if (!names.Add(name))
                malformed = $"resource {name} is there twice";
            resources.Add((name, "", inner.Without("@type")));
        }
        return new XdsUpdate(type, "", response["version_info"]?.AsText ?? "", resources, [], XdsTypes.IsWildcardType(type)) { Malformed = malformed };
    }

    public void Dispose() => _watcher?.Dispose();
}
