using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Tulle.Native;

namespace Tulle.LocalPods;

/// <summary>The control plane's process of a local mesh: started, started again when it ends, listened to, ended.</summary>
internal sealed class ControlProcess(string folder, MeshPaths paths, Spawner spawner, Action<string> say) : IAsyncDisposable
{
    /// <summary>Milliseconds until the control plane must accept on its socket.</summary>
    private const int StartMs = 20_000;

    /// <summary>Milliseconds that it has to end by itself when asked to.</summary>
    private const int EndMs = 2000;

    private Process? _process;
    private long _told;

    public int Id => _process?.Id ?? 0;

    public bool HasExited => _process is { HasExited: true };

    private string Log => Path.Combine(paths.StateFolder, "control.log");

    public async Task StartAsync()
    {
        File.Delete(paths.XdsSocket);
        File.Delete(paths.CaSocket);
        _process = await spawner.StartAsync(Log,
            [paths.ControlProgram, "--files", folder, "--files", paths.PodsFolder, "--xds", $"unix:{paths.XdsSocket}", "--ca-socket", $"unix:{paths.CaSocket}", "--ca", Path.Combine(paths.StateFolder, "ca"), "--access-log", "/dev/stdout", "--access-log-identities"],
            folder: Environment.CurrentDirectory);
        var deadline = Environment.TickCount64 + StartMs;
        while (!await AcceptsAsync(paths.XdsSocket))
        {
            if (_process.HasExited)
                throw new CommandException($"the control plane ended with {_process.ExitCode}: {string.Join(" | ", (await File.ReadAllLinesAsync(Log)).TakeLast(3))}");
            if (Environment.TickCount64 > deadline)
                throw new CommandException($"the control plane did not start within {StartMs / 1000} s; its log is {Log}");
            await Task.Delay(10);
        }
        _ = Libc.ChangeOwner(paths.XdsSocket, 1337, 1337);
    }

    private static async Task<bool> AcceptsAsync(string path)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>What it says of the folder reaches the person who edits it.</summary>
    public async Task RelayFindingsAsync()
    {
        await using var stream = new FileStream(Log, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        if (stream.Length <= _told)
            return;
        stream.Position = _told;
        using var reader = new StreamReader(stream);
        var text = await reader.ReadToEndAsync();
        _told = stream.Position;
        foreach (var line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.Contains("error: ", StringComparison.Ordinal) || line.Contains("warning: ", StringComparison.Ordinal) || line.StartsWith("xds:", StringComparison.Ordinal))
                say(line);
        }
    }

    /// <summary>HTTP/2 over its socket.</summary>
    public HttpClient Client() => new(new SocketsHttpHandler
    {
        ConnectCallback = async (_, stop) =>
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(paths.XdsSocket), stop);
            return new NetworkStream(socket, ownsSocket: true);
        },
    })
    { DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact, Timeout = TimeSpan.FromSeconds(5) };

    public async ValueTask DisposeAsync()
    {
        if (_process is not { HasExited: false } process)
            return;
        _ = Libc.Kill(process.Id, 15);
        using var limit = new CancellationTokenSource(EndMs);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            _ = Libc.Kill(process.Id, 9);
        }
    }
}
