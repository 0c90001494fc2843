using System.Runtime.InteropServices;
using Tulle.Base.Documents;
using Tulle.Loop;
using Tulle.Native;
using Tulle.Sidecar;

// Wiring only: command line, bootstrap, host, signals.
var options = CommandLine.Parse(args);
if (options.Error is not null)
{
    Console.Error.WriteLine($"tulle-proxy: {options.Error}");
    return 64;
}
if (options.ShowHelp)
{
    Console.WriteLine(CommandLine.Help);
    return 0;
}
TlsLibrary.UsesLegacyKeyMethods = options.TlsLegacyKeys;
if (options.TlsLibrary.Length > 0 && TlsLibrary.Choose(options.TlsLibrary) is { } unusable)
{
    Console.Error.WriteLine($"tulle-proxy: --tls-library: {unusable}");
    return 64;
}
if (options.ShowVersion)
{
    Console.WriteLine($"tulle-proxy  version: {ProxyVersion.Text}");
    Console.WriteLine($"TLS library: {TlsLibrary.Version} ({TlsLibrary.Path})");
    return 0;
}
if (options.SelfTest)
{
    var wrong = CipherSelfTest.Run(out var summary);
    Console.WriteLine(wrong ?? summary);
    return wrong is null ? 0 : 1;
}
GcmChoice.OnMade = chosen => Tulle.Sidecar.Log.Write("info", "main", chosen);

var diagnostics = new Diagnostics();
Bootstrap bootstrap;
try
{
    var raw = options.ConfigPath.Length > 0 ? Bootstrap.ReadFile(options.ConfigPath) : Node.Map();
    if (options.ConfigYaml.Length > 0)
        raw = Bootstrap.Merge(raw, Bootstrap.Parse(options.ConfigYaml, "--config-yaml"));
    bootstrap = Bootstrap.Read(raw, diagnostics, options.ServiceNode, options.ServiceCluster);
}
catch (DocumentException error)
{
    Console.Error.WriteLine($"tulle-proxy: {error.Message}");
    return 65;
}
catch (Exception error) when (error is IOException or UnauthorizedAccessException)
{
    Console.Error.WriteLine($"tulle-proxy: {options.ConfigPath} cannot be read: {error.Message}");
    return 65;
}

Libc.RaiseFileLimit();
using var host = new ProxyHost(options, bootstrap, options.Concurrency > 0 ? options.Concurrency : CpuQuota.Loops());
host.Store.LoadStatic(diagnostics);
foreach (var finding in diagnostics.All)
    Console.Error.WriteLine($"tulle-proxy: {finding}");
if (diagnostics.HasErrors)
{
    Console.Error.WriteLine($"tulle-proxy: {diagnostics.ErrorCount} error(s) in the configuration; nothing was started");
    return 65;
}
if (options.ValidateOnly)
{
    Console.WriteLine($"configuration '{options.ConfigPath}' OK");
    return 0;
}

void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    host.Exit.TrySetResult(0);
}

using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
// A terminal that closes or a log rotation must not take the pod's network away; Envoy goes on as well.
using var hangup = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context => context.Cancel = true);
using var reopen = PosixSignalRegistration.Create((PosixSignal)10, context =>
{
    context.Cancel = true;
    host.Shared.Logs.ReopenAll();
});
Log.Start();
if (!host.Start())
{
    Log.Stop();
    return 1;
}

using var admin = bootstrap.Admin is { } address ? AdminServer.Start(host, address) : null;
if (bootstrap.Admin is not null && admin is null)
{
    Log.Stop();
    return 1;
}
Descriptors.Reserve();

Log.Write("info", "main", $"tulle-proxy {ProxyVersion.Text}: {host.Workers.Count} loop(s), {host.Store.Current.Listeners.Count} listener(s), admin {bootstrap.Admin?.ToString() ?? "off"}");
var code = host.Exit.Task.GetAwaiter().GetResult();
host.Dispose();
Log.Stop();
return code;
