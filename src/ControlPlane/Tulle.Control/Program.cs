using System.Runtime.InteropServices;
using Tulle.Base.Documents;
using Tulle.Control;

// Wiring only: options, source, authority, server.
var options = ControlOptions.Parse(args);
if (options.Error is not null)
{
    Console.Error.WriteLine($"tulle-control: {options.Error}");
    return 64;
}
if (options.ShowHelp)
{
    Console.WriteLine(ControlOptions.Help);
    return 0;
}
if (options.ShowVersion)
{
    Console.WriteLine($"tulle-control {typeof(ControlOptions).Assembly.GetName().Version?.ToString(3)}");
    return 0;
}
using var source = new FolderSource(options);
if (options.CheckOnly)
{
    source.Read();
    return source.Findings.All.Any(f => f.Severity == Severity.Error) ? 79 : 0;
}
using var authority = CertificateAuthority.Open(options.CaFolder, options.TrustDomain, TimeProvider.System);
var server = new ControlServer(options, authority);
using var stop = new CancellationTokenSource();

void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    stop.Cancel();
}

using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
source.Watch();
server.Publish(source.Read());
var serving = server.RunAsync(source, stop.Token);
try
{
    while (!stop.IsCancellationRequested)
    {
        var change = source.NextChangeAsync(stop.Token);
        if (await Task.WhenAny(change, serving) == serving)
            break;
        await change;
        server.Publish(source.Read());
    }
}
catch (OperationCanceledException)
{
    // Asked to stop.
}
try
{
    await serving;
    return 0;
}
catch (IOException error)
{
    Console.Error.WriteLine($"tulle-control: cannot serve: {error.Message}; is the address in use?");
    return 1;
}
