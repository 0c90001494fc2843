using System.Diagnostics;

namespace Tulle.LocalPods;

/// <summary>A command of the system failed; the message names it and what it said.</summary>
public sealed class CommandException(string message) : Exception(message);

/// <summary>Runs the system's own tools (ip, nft): they are the kernel's stable face.</summary>
internal static class Shell
{
    public static async Task<string> RunAsync(string program, string[] arguments, string? input = null, bool mayFail = false)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardInput = input is not null, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start) ?? throw new CommandException($"{program} cannot be started");
        if (input is not null)
        {
            await process.StandardInput.WriteAsync(input);
            process.StandardInput.Close();
        }
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0 && !mayFail)
            throw new CommandException($"{program} {string.Join(' ', arguments)} failed ({process.ExitCode}): {(await errors).Trim()}");
        return await output;
    }
}
