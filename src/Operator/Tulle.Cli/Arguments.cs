using System.Globalization;

namespace Tulle.Cli;

/// <summary>Wrong use of a command: exit code 64.</summary>
internal sealed class UsageException(string message) : Exception(message);

/// <summary>Words and flags of a command line: --name=value, --name value, or --name for a switch.</summary>
internal sealed class Arguments
{
    private readonly Dictionary<string, List<string>> _flags = new(StringComparer.Ordinal);

    /// <param name="arguments">What follows the command's name.</param>
    /// <param name="valued">Flags that take a value.</param>
    /// <param name="switches">Flags that take none.</param>
    public Arguments(IEnumerable<string> arguments, string[] valued, string[] switches)
    {
        var list = arguments.ToList();
        for (var i = 0; i < list.Count; i++)
        {
            var word = list[i];
            if (!word.StartsWith('-') || word == "-")
            {
                Words.Add(word);
                continue;
            }
            var equal = word.IndexOf('=');
            var name = equal < 0 ? word : word[..equal];
            if (switches.Contains(name) && equal < 0)
                Add(name, "true");
            else if (!valued.Contains(name))
                throw new UsageException($"{name} is not a flag of this command; known: {string.Join(" ", valued.Concat(switches))}");
            else if (equal >= 0)
                Add(name, word[(equal + 1)..]);
            else if (i + 1 < list.Count)
                Add(name, list[++i]);
            else
                throw new UsageException($"{name} needs a value");
        }
    }

    public List<string> Words { get; } = [];

    private void Add(string name, string value)
    {
        if (!_flags.TryGetValue(name, out var values))
            _flags[name] = values = [];
        values.Add(value);
    }

    public bool Has(string name) => _flags.ContainsKey(name);

    public string Text(string name, string otherwise = "") => _flags.TryGetValue(name, out var values) ? values[^1] : otherwise;

    public IReadOnlyList<string> All(string name) => _flags.TryGetValue(name, out var values) ? values : [];

    public int Number(string name, int otherwise, int min, int max)
    {
        if (!_flags.TryGetValue(name, out var values))
            return otherwise;
        return int.TryParse(values[^1], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max ? number
            : throw new UsageException($"{name}={values[^1]}: a whole number from {min} to {max} is expected");
    }
}
