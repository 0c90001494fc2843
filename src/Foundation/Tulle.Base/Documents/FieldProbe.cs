#if DEBUG
namespace Tulle.Base.Documents;

/// <summary>
/// For `./test --suite fields`, in debug builds only: writes down which fields were set and read, and can hide one as if the line that reads it were
/// not there. A table that calls a field obeyed must be able to lose that line and be caught.
/// </summary>
public static class FieldProbe
{
    private static readonly HashSet<string> s_hidden =
        new((Environment.GetEnvironmentVariable("TULLE_FIELDS_HIDE") ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries), StringComparer.Ordinal);

    private static readonly string? s_file = Environment.GetEnvironmentVariable("TULLE_FIELDS_SEEN");
    private static readonly HashSet<string> s_seen = new(StringComparer.Ordinal);
    private static readonly Lock s_lock = new();

    /// <summary>Whether readers are to find nothing under this name ("message.field").</summary>
    public static bool Hides(MessageFields? fields, string name) => s_hidden.Count > 0 && fields is not null && s_hidden.Contains($"{fields.Name}.{name}");

    /// <summary>A field was read and says something.</summary>
    public static void Saw(MessageFields? fields, string name, Node value)
    {
        if (s_file is null || fields is null || fields.IsUnset(name, value))
            return;
        lock (s_lock)
        {
            if (s_seen.Add($"{fields.Name}.{name}"))
                File.AppendAllText(s_file, $"{fields.Name}.{name}\n");
        }
    }
}
#endif
