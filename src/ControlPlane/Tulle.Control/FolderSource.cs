using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Resources;

namespace Tulle.Control;

/// <summary>
/// Folders of YAML as the source of configuration. A file with an error is reported with line and field, and its last good text stays in force. Changes
/// are seen by inotify and taken at once: what comes while one change is worked on is taken together after it.
/// </summary>
internal sealed class FolderSource(ControlOptions options) : IDisposable
{
    /// <summary>Bytes of one file. Source: etcd takes objects of 1.5 MiB; a file holds a few.</summary>
    private const long FileBytesMax = 16 * 1024 * 1024;

    private readonly Dictionary<string, string> _good = new(StringComparer.Ordinal);
    private readonly List<FileSystemWatcher> _watchers = [];
    private readonly AddressAllocator _addresses = new();
    private readonly SemaphoreSlim _changed = new(0, 1);
    private string _lastReport = "";

    public Diagnostics Findings { get; private set; } = new();

    public void Watch()
    {
        foreach (var folder in options.Folders)
        {
            var watcher = new FileSystemWatcher(folder) { IncludeSubdirectories = true, NotifyFilter = NotifyFilters.FileName | NotifyFilters.LastWrite | NotifyFilters.DirectoryName };
            watcher.Changed += (_, _) => Signal();
            watcher.Created += (_, _) => Signal();
            watcher.Deleted += (_, _) => Signal();
            watcher.Renamed += (_, _) => Signal();
            watcher.Error += (_, _) => Signal();
            watcher.EnableRaisingEvents = true;
            _watchers.Add(watcher);
        }
    }

    private void Signal()
    {
        try
        {
            _changed.Release();
        }
        catch (SemaphoreFullException)
        {
            // One is pending already and will see this change too.
        }
    }

    public Task NextChangeAsync(CancellationToken stop) => _changed.WaitAsync(stop);

    private static IEnumerable<string> Files(string folder) => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
        .Where(f => f.EndsWith(".yaml", StringComparison.Ordinal) || f.EndsWith(".yml", StringComparison.Ordinal) || f.EndsWith(".json", StringComparison.Ordinal))
        .Where(f => !Path.GetFileName(f).StartsWith('.')).Order(StringComparer.Ordinal);

    /// <summary>Reads everything and builds the model.</summary>
    public MeshModel Read()
    {
        var findings = new Diagnostics();
        var texts = new List<(string File, string Text)>();
        var present = new HashSet<string>(StringComparer.Ordinal);
        foreach (var folder in options.Folders)
        {
            foreach (var file in Files(folder))
            {
                present.Add(file);
                if (GoodText(file, Shown(file), findings) is { } text)
                    texts.Add((Shown(file), text));
            }
        }
        foreach (var gone in _good.Keys.Where(f => !present.Contains(f)).ToList())
            _good.Remove(gone);
        var set = new ResourceSet();
        var reader = new ResourceReader(set, findings);
        foreach (var (file, text) in texts)
            reader.Read(text, file);
        var model = MeshModel.Build(set, new MeshSettings { TrustDomain = options.TrustDomain, SimulatePods = options.SimulatePods, AccessLog = new AccessLogSettings(options.AccessLog, options.AccessLogFormat, options.AccessLogIdentities) }, _addresses);
        ModelAnalysis.Run(model, findings);
        Findings = findings;
        Report(findings);
        return model;
    }

    /// <summary>Paths in messages are as the user would write them.</summary>
    private static string Shown(string file) => Path.GetRelativePath(Environment.CurrentDirectory, file) is var relative && !relative.StartsWith("../..", StringComparison.Ordinal) ? relative : file;

    private string? GoodText(string file, string shown, Diagnostics findings)
    {
        string text;
        try
        {
            if (new FileInfo(file).Length > FileBytesMax)
            {
                findings.Error(new SourcePosition(shown, 0, 0), "", "", $"is larger than {FileBytesMax} bytes and is not read; split it");
                return _good.GetValueOrDefault(file);
            }
            text = File.ReadAllText(file);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            findings.Error(new SourcePosition(shown, 0, 0), "", "", $"cannot be read: {error.Message}");
            return _good.GetValueOrDefault(file);
        }
        if (_good.TryGetValue(file, out var last) && last == text)
            return text;
        var trial = new Diagnostics();
        new ResourceReader(new ResourceSet(), trial).Read(text, shown);
        if (!trial.HasErrors)
        {
            _good[file] = text;
            return text;
        }
        foreach (var finding in trial.All.Where(f => f.Severity == Severity.Error))
            findings.Add(finding);
        if (last is null)
            return null;
        findings.Warn(new SourcePosition(shown, 0, 0), "", "", "has errors: its last good content stays in force");
        return last;
    }

    private void Report(Diagnostics findings)
    {
        var report = string.Join('\n', findings.All.Where(f => f.Severity != Severity.Info).Select(f => f.ToString()).Distinct(StringComparer.Ordinal));
        if (report == _lastReport)
            return;
        _lastReport = report;
        if (report.Length > 0)
            Console.Error.WriteLine(report);
        else
            Console.Error.WriteLine("configuration: no findings");
    }

    public void Dispose()
    {
        foreach (var watcher in _watchers)
            watcher.Dispose();
        _changed.Dispose();
    }
}
