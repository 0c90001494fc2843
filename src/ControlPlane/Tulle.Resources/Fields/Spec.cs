using Tulle.Base.Documents;

namespace Tulle.Resources;

/// <summary>What may stand in a field.</summary>
internal enum SpecType : byte
{
    Text,
    Whole,
    Number,
    Flag,
    Time,
    Choice,
    Object,
}

/// <summary>How often.</summary>
internal enum SpecShape : byte
{
    One,
    List,
    Map,
}

/// <summary>
/// The table of one message of Istio's API: every field of its CRD with what may stand in it and what becomes of it. <see cref="SpecCheck"/> holds an object
/// to it before anything is read, so that neither a mistyped nor a disobeyed field gets further without a word.
/// </summary>
internal sealed class Spec(string name)
{
    private readonly Dictionary<string, SpecField> _fields = new(StringComparer.Ordinal);

    /// <summary>The message's name, as Istio's reference has it.</summary>
    public string Name { get; } = name;

    public IReadOnlyDictionary<string, SpecField> Fields => _fields;

    /// <summary>For the table itself; a name that is there twice is a mistake.</summary>
    public SpecField this[string field]
    {
        set => _fields.Add(field, value);
    }
}

/// <summary>One field.</summary>
/// <param name="Type">What may stand in it.</param>
internal sealed record SpecField(SpecType Type)
{
    public SpecShape Shape { get; init; }

    /// <summary>The message that stands in it.</summary>
    public Spec? Message { get; init; }

    /// <summary>The words that may stand in it.</summary>
    public IReadOnlyList<string> Choices { get; init; } = [];

    public long Min { get; init; } = long.MinValue;

    public long Max { get; init; } = long.MaxValue;

    public FieldWord Word { get; init; } = FieldWord.Obeyed;

    /// <summary>Why it is not obeyed, as the user reads it.</summary>
    public string Reason { get; init; } = "";

    public static SpecField Text { get; } = new(SpecType.Text);

    public static SpecField Texts { get; } = Text with { Shape = SpecShape.List };

    public static SpecField TextMap { get; } = Text with { Shape = SpecShape.Map };

    public static SpecField Flag { get; } = new(SpecType.Flag);

    public static SpecField Number { get; } = new(SpecType.Number);

    public static SpecField Time { get; } = new(SpecType.Time);

    public static SpecField Port { get; } = new(SpecType.Whole) { Min = 1, Max = 65535 };

    /// <summary>uint32 in the CRD.</summary>
    public static SpecField Whole { get; } = new(SpecType.Whole) { Min = 0, Max = uint.MaxValue };

    public static SpecField Signed { get; } = new(SpecType.Whole) { Min = int.MinValue, Max = int.MaxValue };

    public static SpecField Of(Spec message) => new(SpecType.Object) { Message = message };

    public static SpecField ListOf(Spec message) => Of(message) with { Shape = SpecShape.List };

    public static SpecField MapOf(Spec message) => Of(message) with { Shape = SpecShape.Map };

    public static SpecField OneOf(params IReadOnlyList<string> choices) => new(SpecType.Choice) { Choices = choices };

    /// <summary>Whatever it says, what a user sees is the same.</summary>
    public SpecField Harmless(string why) => this with { Word = FieldWord.Harmless, Reason = why };

    /// <summary>Traffic goes on without it, and a warning says so.</summary>
    public SpecField Warned(string why) => this with { Word = FieldWord.Warned, Reason = why };

    /// <summary>It decides who may talk or where traffic goes, and is not obeyed: the object is refused.</summary>
    public SpecField Refused(string why) => this with { Word = FieldWord.Refused, Reason = why };
}
