using Tulle.Base.Documents;
using Tulle.Proxy;

namespace Tulle.Sidecar;

/// <summary>
/// Warnings about fields that are not obeyed: each is counted (<c>config.fields_warned</c>, once per resource and update) and logged the first time
/// only, because a control plane sends the same field with every resource.
/// </summary>
internal sealed class FieldWarnings(StatsStore stats)
{
    /// <summary>Kinds of warnings that are remembered: a bound for paths that name what a user chose. Beyond it they are counted only.</summary>
    private const int KindsMax = 1000;

    private readonly HashSet<(string Field, string Message)> _told = [];

    public void Tell(Diagnostics diagnostics)
    {
        foreach (var finding in diagnostics.All)
        {
            if (finding.Severity != Severity.Warning)
                continue;
            stats.Counter(StatScope.Server, "", "config.fields_warned").AddShared();
            if (_told.Count < KindsMax && _told.Add((finding.Path[(finding.Path.LastIndexOf('.') + 1)..], finding.Message)))
                Log.Write("warning", "config", $"{finding} (said once for this field)");
        }
    }
}
