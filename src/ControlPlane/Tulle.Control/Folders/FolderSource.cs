using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Resources;

namespace Tulle.Control;

/// <summary>
/// Folders of YAML as the source of configuration. An object with an error is told with line and field and keeps its last valid form; a file that cannot be
/// read or parsed keeps all of its objects. What a file loses it loses only when it was written to its end.
/// </summary>
internal sealed class FolderSource(ControlOptions options, TimeProvider time)
{
    /// <summary>Bytes of one file. Source: etcd takes objects of 1.5 MiB; a file holds a few.</summary>
    private const long FileBytesMax = 16 * 1024 * 1024;

    /// <summary>
    /// Milliseconds for which a file that had objects and is empty now still counts as it was. Source: kubectl get needs some hundred milliseconds between the
    /// shell's truncation and its first byte; programs that write and then append need less.
    /// </summary>
    public const int EmptyMs = 2000;

    private readonly Dictionary<string, FileState> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Node> _lastValid = new(StringComparer.Ordinal);
    private readonly AddressAllocator _addresses = new();
    private string _lastReport = "";

    public Diagnostics Findings { get; private set; } = new();

    /// <summary>Something was put off: it must be looked at again by then even if nothing changes.</summary>
    public TimeSpan LookAgainAfter { get; private set; } = Timeout.InfiniteTimeSpan;

    /// <summary>Which files are being written; nobody's before the folders are watched.</summary>
    public Func<string, bool> IsBeingWritten { get; set; } = _ => false;

    /// <summary>Reads everything and builds the model. Whatever the folders look like, there is a model.</summary>
    public MeshModel Read()
    {
        var findings = new Diagnostics();
        LookAgainAfter = Timeout.InfiniteTimeSpan;
        var set = new ResourceSet();
        var reader = new ResourceReader(set, findings, _lastValid);
        var present = new HashSet<string>(StringComparer.Ordinal);
        foreach (var folder in options.Folders)
        {
            foreach (var file in FilesOf(folder, findings))
            {
                if (present.Add(file))
                    ReadFile(reader, file, findings);
            }
        }
        foreach (var gone in _files.Keys.Where(f => !present.Contains(f)).ToList())
            _files.Remove(gone);
        foreach (var gone in _lastValid.Keys.Where(k => !reader.Seen.ContainsKey(k)).ToList())
            _lastValid.Remove(gone);
        var model = MeshModel.Build(set, Settings(), _addresses);
        ModelAnalysis.Run(model, findings);
        Findings = findings;
        Report(findings);
        return model;
    }

    private MeshSettings Settings() => new()
    {
        TrustDomain = options.TrustDomain,
        SimulatePods = options.SimulatePods,
        AllowUnenforcedPolicies = options.AllowUnenforcedPolicies,
        AccessLog = new AccessLogSettings(options.AccessLog, options.AccessLogFormat, options.AccessLogIdentities),
    };

    private static bool IsRead(string file) => !Path.GetFileName(file).StartsWith('.')
        && (file.EndsWith(".yaml", StringComparison.Ordinal) || file.EndsWith(".yml", StringComparison.Ordinal) || file.EndsWith(".json", StringComparison.Ordinal));

    /// <summary>A folder that cannot be listed keeps the files that it had.</summary>
    private List<string> FilesOf(string folder, Diagnostics findings)
    {
        var full = Path.GetFullPath(folder);
        var result = new List<string>();
        var open = new Stack<string>([full]);
        while (open.TryPop(out var one))
        {
            try
            {
                result.AddRange(Directory.EnumerateFiles(one).Where(IsRead));
                foreach (var child in Directory.EnumerateDirectories(one))
                    open.Push(child);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // What was removed together with its folder, inside the folder that we were given, is gone; what cannot be looked at is not.
                if (error is DirectoryNotFoundException && one != full)
                    continue;
                var kept = _files.Keys.Where(f => f.StartsWith(one + "/", StringComparison.Ordinal) && !result.Contains(f)).ToList();
                findings.Error(new SourcePosition(Shown(one), 0, 0), "", "", $"cannot be listed: {error.Message}; {kept.Count} files that were read there before stay in force");
                result.AddRange(kept);
                LookAgainAfter = TimeSpan.FromSeconds(1);
            }
        }
        result.Sort(StringComparer.Ordinal);
        return result;
    }

    private void ReadFile(ResourceReader reader, string file, Diagnostics findings)
    {
        if (!_files.TryGetValue(file, out var state))
            _files[file] = state = new FileState();
        var shown = Shown(file);
        var isCertain = TryTake(file, shown, state, findings);
        var keys = new HashSet<string>(StringComparer.Ordinal);
        foreach (var document in state.Documents)
        {
            if (reader.ReadObject(document) is { } key)
                keys.Add(key);
            else
                isCertain = false;
        }
        if (isCertain)
        {
            state.Keys = keys;
            return;
        }
        // Which object a damaged document was cannot be told: none that the file had is lost.
        state.Keys.UnionWith(keys);
        foreach (var key in state.Keys.Where(k => !keys.Contains(k)))
            reader.Keep(key);
    }

    /// <summary>Takes the file's present text if it is one; false when the last one stays for now.</summary>
    private bool TryTake(string file, string shown, FileState state, Diagnostics findings)
    {
        if (IsBeingWritten(file))
        {
            LookAgainSoon(FolderWatch.WritingMsMax);
            return false;
        }
        string text;
        try
        {
            if (new FileInfo(file).Length > FileBytesMax)
            {
                findings.Error(new SourcePosition(shown, 0, 0), "", "", $"is larger than {FileBytesMax} bytes and is not read; split it");
                return false;
            }
            text = File.ReadAllText(file);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            findings.Error(new SourcePosition(shown, 0, 0), "", "", $"cannot be read: {error.Message}{(state.Text is null ? "" : "; what it said before stays in force")}");
            return false;
        }
        if (text == state.Text)
        {
            state.EmptySince = null;
            return true;
        }
        return TryParse(text, shown, state, findings);
    }

    private bool TryParse(string text, string shown, FileState state, Diagnostics findings)
    {
        List<Node> documents;
        try
        {
            documents = ResourceReader.Documents(text, shown);
        }
        catch (DocumentException error)
        {
            findings.Error(error.Position, "", "", error.Reason);
            if (state.Text is not null)
                findings.Warn(new SourcePosition(shown, 0, 0), "", "", "has errors: its last good content stays in force");
            return false;
        }
        if (documents.Count == 0 && state.Documents.Count > 0)
        {
            state.EmptySince ??= time.GetUtcNow();
            var left = EmptyMs - (time.GetUtcNow() - state.EmptySince.Value).TotalMilliseconds;
            if (left > 0)
            {
                LookAgainSoon((int)Math.Ceiling(left));
                return false;
            }
        }
        (state.Text, state.Documents, state.EmptySince) = (text, documents, null);
        return true;
    }

    private void LookAgainSoon(int milliseconds)
    {
        var wait = TimeSpan.FromMilliseconds(milliseconds);
        if (LookAgainAfter == Timeout.InfiniteTimeSpan || wait < LookAgainAfter)
            LookAgainAfter = wait;
    }

    /// <summary>Paths in messages are as the user would write them.</summary>
    private static string Shown(string file) => Path.GetRelativePath(Environment.CurrentDirectory, file) is var relative && !relative.StartsWith("../..", StringComparison.Ordinal) ? relative : file;

    private void Report(Diagnostics findings)
    {
        var report = string.Join('\n', findings.All.Where(f => f.Severity != Severity.Info).Select(f => f.ToString()).Distinct(StringComparer.Ordinal));
        if (report == _lastReport)
            return;
        _lastReport = report;
        Console.Error.WriteLine(report.Length > 0 ? report : "configuration: no findings");
    }
}
