using Tulle.Xds;

namespace Tulle.Translate;

/// <summary>What was made of one type for one proxy.</summary>
/// <param name="Resources">By name.</param>
/// <param name="Failures">What could not be made, each with its reason: these are errors of translation, the rest is good.</param>
public sealed record TranslatedResources(IReadOnlyDictionary<string, XdsResource> Resources, IReadOnlyList<string> Failures)
{
    /// <summary>Something is missing: nothing that a proxy has may be taken away because it is absent here.</summary>
    public bool IsIncomplete => Failures.Count > 0;
}
