using Tulle.Base.Documents;
using Tulle.Xds;

namespace Tulle.Sidecar;

/// <summary>
/// xDS from a file: a DiscoveryResponse in JSON or YAML, read at the start and again when the file is replaced (inotify through FileSystemWatcher).
/// </summary>
internal sealed class FileSource : IDisposable
{
    private readonly string _path;
    private readonly Action<XdsUpdate> _onUpdate;
    private readonly Action<string> _onError;
    private readonly FileSystemWatcher _watcher;
    private readonly Action<Action> _post;
    private string _lastText = "";

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
        _watcher = new FileSystemWatcher(Path.GetDirectoryName(_path)!, Path.GetFileName(_path)) { NotifyFilter = NotifyFilters.FileName | NotifyFilters.LastWrite | NotifyFilters.Size };
        _watcher.Changed += (_, _) => _post(Read);
        _watcher.Created += (_, _) => _post(Read);
        _watcher.Renamed += (_, _) => _post(Read);
        _watcher.EnableRaisingEvents = true;
    }

    /// <summary>Reads now; control thread.</summary>
    public void Read()
    {
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

    public void Dispose() => _watcher.Dispose();
}
