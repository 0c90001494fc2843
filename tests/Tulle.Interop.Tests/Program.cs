using System.Diagnostics;
using System.Text;

namespace Tulle.Interop.Tests;

/// <summary>A real program that a test runs.</summary>
internal sealed class Program : IAsyncDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly StringBuilder _errors = new();

    private Program(ProcessStartInfo start)
    {
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, e) => Append(_output, e.Data);
        _process.ErrorDataReceived += (_, e) => Append(_errors, e.Data);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        _process.StandardInput.Close();
    }

    public string Output => Read(_output);

    public string Errors => Read(_errors);

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    private static string Read(StringBuilder text)
    {
        lock (text)
            return text.ToString();
    }

    private static void Append(StringBuilder text, string? line)
    {
        if (line is null)
            return;
        lock (text)
            text.AppendLine(line);
    }

    public static Program Start(string file, IEnumerable<string> arguments) => new(new ProcessStartInfo(file, arguments)
    {
        RedirectStandardOutput = true,
        RedirectStandardError = true,
        RedirectStandardInput = true,
        WorkingDirectory = Surroundings.Root,
    });

    public static async Task<(int Code, string Output, string Errors)> RunAsync(string file, IEnumerable<string> arguments, int seconds = 30)
    {
        await using var program = Start(file, arguments);
        return (await program.EndAsync(seconds), program.Output, program.Errors);
    }

    public async Task<int> EndAsync(int seconds)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        try
        {
            await _process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            Assert.Fail($"{_process.StartInfo.FileName} did not end within {seconds} s; it said: {Output}{Errors}");
        }
        return _process.ExitCode;
    }

    public async Task SignalAsync(string signal) => await RunAsync("kill", [$"-{signal}", $"{Id}"]);

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            await SignalAsync("TERM");
            using var limit = new CancellationTokenSource(8000);
            try
            {
                await _process.WaitForExitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                _process.Kill(entireProcessTree: true);
            }
        }
        _process.Dispose();
    }
}
