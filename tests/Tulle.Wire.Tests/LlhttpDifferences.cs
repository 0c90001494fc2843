namespace Tulle.Wire.Tests;

/// <summary>Vectors of llhttp where our verdict is another one on purpose.</summary>
internal static class LlhttpDifferences
{
    public static readonly IReadOnlyDictionary<string, string> Reasons = new Dictionary<string, string>(StringComparer.Ordinal)
    {
    };
}
