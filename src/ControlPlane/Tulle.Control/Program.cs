using System.Runtime.InteropServices;
using Tulle.Base.Documents;
using Tulle.Control;
using Tulle.Native;

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
var source = new FolderSource(options, TimeProvider.System);
if (options.CheckOnly)
{
    source.Read();
    return source.Findings.All.Any(f => f.Severity == Severity.Error) ? 79 : 0;
}
// Sockets and keys are this user's alone from their first moment on.
Files.KeepNewFilesPrivate();
try
{
    using var authority = CertificateAuthority.Open(options.CaFolder, options.TrustDomain, TimeProvider.System);
    using var stop = new CancellationTokenSource();

    void Stop(PosixSignalContext context)
    {
        context.Cancel = true;
        stop.Cancel();
    }

    using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
    using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
    await ControlPlane.RunAsync(options, source, authority, stop.Token);
    return 0;
}
catch (InvalidDataException error)
{
    Console.Error.WriteLine($"tulle-control: {error.Message}");
    return 65;
}
catch (IOException error)
{
    Console.Error.WriteLine($"tulle-control: cannot serve: {error.Message}");
    return 1;
}
