namespace Tulle.Interop.Tests;

/// <summary>The program tulle as people and shells call it.</summary>
public class CommandLineTests
{
    [NeedsFact("bash")]
    public async Task Bash_completes_commands_and_their_flags()
    {
        async Task<string[]> OfferedAsync(string words) => (await Program.RunAsync("bash", ["-c",
            $"source <('{Surroundings.Cli}' completion bash); COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _tulle; printf '%s\\n' \"${{COMPREPLY[@]}}\""])).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(["proxy-config", "proxy-status"], await OfferedAsync("tulle proxy"));
        Assert.Equal(["--for"], await OfferedAsync("tulle up --fo"));
        Assert.Equal(["listener"], await OfferedAsync("tulle proxy-config li"));
    }

    [Fact]
    public async Task Every_command_has_help_with_an_example_and_wrong_usage_is_64()
    {
        foreach (var command in new[] { "up", "echo", "proxy-config", "proxy-status", "completion" })
        {
            var (code, output, _) = await Program.RunAsync(Surroundings.Cli, [command, "--help"]);
            Assert.Equal(0, code);
            Assert.Contains("Example:", output, StringComparison.Ordinal);
        }
        Assert.Equal(64, (await Program.RunAsync(Surroundings.Cli, ["completion", "csh"])).Code);
        Assert.Equal(64, (await Program.RunAsync(Surroundings.Cli, ["upp"])).Code);
    }
}
