using Tulle.Base.Documents;
using Tulle.Resources;

namespace Tulle.LocalPods;

/// <summary>
/// The folder of YAML as the local pods read it. A broken file changes nothing: the pods of its last good text go on. Neither does a file that is empty
/// for a moment: `cp` and many editors truncate before they write, and that must not end pods.
/// </summary>
internal sealed class MeshFolder(string folder)
{
    /// <summary>Milliseconds for which a file that had objects must stay empty before that is believed.</summary>
    public const int EmptyMs = 2000;

    private readonly Dictionary<string, string> _lastGood = new(StringComparer.Ordinal);

    /// <summary>What is in the folder, and whether to look again soon although nothing more may happen in it.</summary>
    public (ResourceSet Set, bool LookAgain) Read()
    {
        var set = new ResourceSet();
        var reader = new ResourceReader(set, new Diagnostics());
        var lookAgain = false;
        foreach (var file in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(IsYaml).Order(StringComparer.Ordinal))
        {
            var text = File.ReadAllText(file);
            if (string.IsNullOrWhiteSpace(text) && _lastGood.TryGetValue(file, out var before) && (TimeProvider.System.GetUtcNow() - File.GetLastWriteTimeUtc(file)).TotalMilliseconds < EmptyMs)
            {
                lookAgain = true;
                reader.Read(before, file);
                continue;
            }
            var findings = new Diagnostics();
            new ResourceReader(new ResourceSet(), findings).Read(text, file);
            if (!findings.HasErrors)
                _lastGood[file] = text;
            if (_lastGood.TryGetValue(file, out var good))
                reader.Read(good, file);
        }
        return (set, lookAgain);
    }

    private static bool IsYaml(string file) => file.EndsWith(".yaml", StringComparison.Ordinal) || file.EndsWith(".yml", StringComparison.Ordinal);
}
