namespace Tulle.Base.Documents;

/// <summary>What becomes of a field that somebody sets.</summary>
public enum FieldWord : byte
{
    /// <summary>It does what its documentation says.</summary>
    Obeyed,

    /// <summary>Whatever it says, what a user sees is the same; the reason says why.</summary>
    Harmless,

    /// <summary>It is not obeyed, traffic goes on without it, and a warning says so.</summary>
    Warned,

    /// <summary>It is not obeyed, and the whole resource is refused for it.</summary>
    Refused,
}

/// <summary>The entry of one field in a table of <see cref="MessageFields"/>.</summary>
public sealed class FieldRule
{
    private readonly Func<MessageFields?[]>? _messages;

    private FieldRule(FieldWord word, string reason, Func<MessageFields?[]>? messages = null)
    {
        Word = word;
        Reason = reason;
        _messages = messages;
    }

    /// <summary>A reader reads it. A field that holds a message says by <see cref="Of(Func{MessageFields?})"/> which one.</summary>
    public static FieldRule Obeyed { get; } = new(FieldWord.Obeyed, "");

    public FieldWord Word { get; }

    /// <summary>Why, as the user reads it; empty for an obeyed field.</summary>
    public string Reason { get; }

    /// <summary>The tables of the messages that the field may hold: one, or for an Any those that are understood there.</summary>
    public IReadOnlyList<MessageFields> Messages => _messages is null ? [] : [.. _messages().OfType<MessageFields>()];

    public static FieldRule Harmless(string why) => new(FieldWord.Harmless, why);

    public static FieldRule Warned(string why) => new(FieldWord.Warned, why);

    public static FieldRule Refused(string why) => new(FieldWord.Refused, why);

    /// <summary>The table of the message in this field. A function, because tables refer to each other in circles.</summary>
    public FieldRule Of(Func<MessageFields?> message) => new(Word, Reason, () => [message()]);

    /// <summary>The tables of the messages that this Any (or map of Any) may hold.</summary>
    public FieldRule Of(Func<MessageFields?[]> messages) => new(Word, Reason, messages);
}
