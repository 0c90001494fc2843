using Tulle.Base.Documents;

namespace Tulle.Control;

/// <summary>What is known of one file: the text that was last taken, what it says, and since when it has been empty.</summary>
internal sealed class FileState
{
    /// <summary>Null before a text was taken for the first time.</summary>
    public string? Text { get; set; }

    /// <summary>Documents of <see cref="Text"/>.</summary>
    public IReadOnlyList<Node> Documents { get; set; } = [];

    /// <summary>Objects that the file had when it was last read without doubt.</summary>
    public HashSet<string> Keys { get; set; } = new(StringComparer.Ordinal);

    public DateTimeOffset? EmptySince { get; set; }
}
