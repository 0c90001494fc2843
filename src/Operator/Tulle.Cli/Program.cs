using System.Runtime.InteropServices;
using Tulle.Base.Documents;
using Tulle.Cli;
using Tulle.LocalPods;

// Wiring only: which command, its flags, its exit code.
const string Overview = """
    tulle: a service mesh with Istio's APIs.

    Usage: tulle COMMAND [flags]

      up FOLDER          run a folder of YAML as a mesh on this machine, with live traffic
      echo               sample server: HTTP/1.1, h2c, TLS, TCP
      proxy-config       what a proxy was given (listener, route, cluster, endpoint, secret, all)
      proxy-status       which proxies are connected and in step
      completion SHELL   completion for bash, zsh or fish
      version            versions

    `tulle COMMAND --help` tells more, with an example.
    """;

using var stop = new CancellationTokenSource();

void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    stop.Cancel();
}

using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
try
{
    var command = args.Length > 0 ? args[0] : "--help";
    var rest = args.Skip(1).ToArray();
    var wantsHelp = rest.Contains("--help") || rest.Contains("-h");
    switch (command)
    {
        case "-h" or "--help" or "help":
            Console.WriteLine(Overview);
            return args.Length > 0 ? 0 : 64;
        case "up" when wantsHelp:
            Console.WriteLine(UpCommand.Help);
            return 0;
        case "up":
            return await UpCommand.RunAsync(new Arguments(rest, Completion.FlagsOf("up"), []), stop.Token);
        case "echo" when wantsHelp:
            Console.WriteLine(EchoCommand.Help);
            return 0;
        case "echo":
            return await EchoCommand.RunAsync(new Arguments(rest, Completion.FlagsOf("echo"), []), stop.Token);
        case "proxy-config" or "pc" when wantsHelp:
            Console.WriteLine(ProxyConfigCommand.Help);
            return 0;
        case "proxy-config" or "pc":
            return await ProxyConfigCommand.RunAsync(new Arguments(rest, Completion.FlagsOf("proxy-config"), []));
        case "proxy-status" or "ps" when wantsHelp:
            Console.WriteLine(ProxyStatusCommand.Help);
            return 0;
        case "proxy-status" or "ps":
            return await ProxyStatusCommand.RunAsync(new Arguments(rest, Completion.FlagsOf("proxy-status"), []));
        case "admin-get":
            using (var client = new HttpClient { Timeout = TimeSpan.FromSeconds(5) })
                Console.Write(await client.GetStringAsync("http://127.0.0.1:15000" + rest[0]));
            return 0;
        case "completion" when wantsHelp:
            Console.WriteLine(Completion.Help);
            return 0;
        case "completion":
            Console.WriteLine(Completion.Script(rest.Length == 1 ? rest[0] : ""));
            return 0;
        case "version" or "--version":
            var version = typeof(Arguments).Assembly.GetName().Version?.ToString(3);
            Table.Print(new Arguments(rest, Completion.FlagsOf("version"), []).Text("-o"), ["COMPONENT", "VERSION"], [["tulle", version ?? ""]], Node.Map(("tulle", version)));
            return 0;
        default:
            throw new UsageException($"{command} is not a command; see tulle --help");
    }
}
catch (UsageException error)
{
    Console.Error.WriteLine($"tulle: {error.Message}");
    return 64;
}
catch (DocumentException error)
{
    Console.Error.WriteLine($"tulle: {error.Message}");
    return 65;
}
catch (Exception error) when (error is CommandException or HttpRequestException or IOException or System.Net.Sockets.SocketException)
{
    Console.Error.WriteLine($"tulle: {error.Message}");
    return 1;
}
