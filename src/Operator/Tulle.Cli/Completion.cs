using System.Text;

namespace Tulle.Cli;

/// <summary>The commands with their flags that take a value and their fixed words: what <see cref="Arguments"/> accepts and what shells offer.</summary>
internal static class Completion
{
    public static readonly IReadOnlyList<(string Name, string[] Flags, string[] Words)> Commands =
    [
        ("up", ["--for", "--proxy", "--control", "--state", "--rate", "--connections", "--url", "-o"], []),
        ("echo", ["--http", "--h2c", "--tls", "--tcp", "--name", "--call", "--delay", "--fail", "--bind"], []),
        ("proxy-config", ["-o", "--state"], ["listener", "route", "cluster", "endpoint", "secret", "all"]),
        ("proxy-status", ["-o", "--state"], []),
        ("completion", [], ["bash", "zsh", "fish"]),
        ("version", ["-o"], []),
    ];

    public const string Help = """
        tulle completion: prints a script that completes commands and flags.

        Usage: tulle completion {bash|zsh|fish}

        Example:
          source <(tulle completion bash)
          tulle completion fish >~/.config/fish/completions/tulle.fish
        """;

    public static string[] FlagsOf(string command) => Commands.First(c => c.Name == command).Flags;

    /// <exception cref="UsageException">Another shell.</exception>
    public static string Script(string shell) => shell switch
    {
        "bash" => Bash(),
        "zsh" => "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n" + Bash(),
        "fish" => Fish(),
        _ => throw new UsageException($"completion {shell}: bash, zsh or fish is expected"),
    };

    private static string Offers((string Name, string[] Flags, string[] Words) command) => string.Join(' ', command.Words.Concat(command.Flags).Append("--help"));

    private static string Bash()
    {
        var text = new StringBuilder("_tulle() {\n    local word=${COMP_WORDS[COMP_CWORD]} offers='--help'\n");
        text.Append("    if [ \"$COMP_CWORD\" = 1 ]; then\n        offers='").AppendJoin(' ', Commands.Select(c => c.Name)).Append(" --help'\n    else\n        case ${COMP_WORDS[1]} in\n");
        foreach (var command in Commands)
            text.Append("            ").Append(command.Name).Append(") offers='").Append(Offers(command)).Append("' ;;\n");
        text.Append("        esac\n    fi\n    COMPREPLY=($(compgen -W \"$offers\" -- \"$word\"))\n");
        // Folders and programs: the words that `up` and its flags take.
        text.Append("    if [ \"${COMP_WORDS[1]}\" = up ] && [ \"$COMP_CWORD\" -gt 1 ]; then\n        COMPREPLY+=($(compgen -f -- \"$word\"))\n    fi\n}\ncomplete -F _tulle tulle ./tulle");
        return text.ToString();
    }

    private static string Fish()
    {
        var text = new StringBuilder($"complete -c tulle -n __fish_use_subcommand -f -a '{string.Join(' ', Commands.Select(c => c.Name))}'\n");
        foreach (var command in Commands)
            text.Append("complete -c tulle -n '__fish_seen_subcommand_from ").Append(command.Name).Append("' ").Append(command.Name == "up" ? "" : "-f ").Append("-a '").Append(Offers(command)).Append("'\n");
        return text.ToString().TrimEnd('\n');
    }
}
