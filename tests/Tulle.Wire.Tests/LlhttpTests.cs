using Tulle.Testing;

namespace Tulle.Wire.Tests;

/// <summary>Every strict verdict of llhttp's suite, and the list of those where we decide otherwise, each with its reason.</summary>
public class LlhttpTests
{
    private static readonly IReadOnlyList<LlhttpVector> Vectors = LlhttpVector.ReadAll();

    [NeedsVectorsFact]
    public void Every_strict_verdict_is_ours_or_its_difference_has_a_reason()
    {
        var wrong = new List<string>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var vector in Vectors)
        {
            var reader = new MessageReader(vector.IsRequest);
            reader.Feed(vector.Input);
            // llhttp judges byte by byte, we judge whole heads: give an unfinished one its end, for it to be refused.
            if (vector.Error is not null && reader.IsInHead)
                reader.Feed("\r\n\r\n"u8);
            if ((reader.Error is null) == (vector.Error is null))
                continue;
            seen.Add(vector.Name);
            if (!LlhttpDifferences.Reasons.ContainsKey(vector.Name))
                wrong.Add($"{vector.Name}: llhttp {vector.Error ?? "accepts"}, we {reader.Error ?? "accept"}");
        }
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.True(Vectors.Count > 150, $"only {Vectors.Count} vectors were read");
        Assert.Empty(LlhttpDifferences.Reasons.Keys.Except(seen));
    }

    [NeedsVectorsFact]
    public void Any_way_of_cutting_a_vector_gives_the_same_result()
    {
        foreach (var vector in Vectors)
        {
            var whole = new MessageReader(vector.IsRequest);
            whole.Feed(vector.Input);
            for (var size = 1; size <= 7; size += 2)
            {
                var pieces = new MessageReader(vector.IsRequest);
                for (var at = 0; at < vector.Input.Length && pieces.Error is null; at += size)
                    pieces.Feed(vector.Input.AsSpan(at, Math.Min(size, vector.Input.Length - at)));
                Assert.True(whole.ToString() == pieces.ToString(), $"{vector.Name} in pieces of {size}: {pieces} instead of {whole}");
            }
        }
    }
}

/// <summary>A fact about vectors of another project, which are beside this one or not there.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class NeedsVectorsFactAttribute : FactAttribute
{
    public NeedsVectorsFactAttribute() => Skip = LlhttpVector.ReadAll().Count > 0 ? null! : "the folder shared/data/llhttp is not beside the project";
}
