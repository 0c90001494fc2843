using System.Globalization;

namespace Tulle.Sidecar;

/// <summary>Envoy's command line. Flags that only tune Envoy are taken and have no effect here.</summary>
internal sealed class CommandLine
{
    public string ConfigPath { get; private set; } = "";

    public string ConfigYaml { get; private set; } = "";

    /// <summary>Loops; 0 means by the CPU quota.</summary>
    public int Concurrency { get; private set; }

    public bool ValidateOnly { get; private set; }

    public string LogLevel { get; private set; } = "info";

    public string ServiceNode { get; private set; } = "";

    public string ServiceCluster { get; private set; } = "";

    public long FlushIntervalMs { get; private set; } = 10_000;

    public long DrainTimeMs { get; private set; } = 600_000;

    /// <summary>--drain-strategy immediate: every answer asks its client to leave. Default gradual, as Envoy's.</summary>
    public bool DrainAtOnce { get; private set; }

    /// <summary>SO_MARK of connections to upstreams; 0 sets none. Ours: interception rules can let marked packets pass.</summary>
    public int UpstreamMark { get; private set; }

    /// <summary>The library that does the TLS handshakes: a file, or empty for libtulle-tls.so beside the program, else the system's libssl.so.3.</summary>
    public string TlsLibrary { get; private set; } = "";

    /// <summary>EC keys of OpenSSL 3.0 and 3.1 on libcrypto's older methods: a third less CPU per handshake. Default on; never with a FIPS provider.</summary>
    public bool TlsLegacyKeys { get; private set; } = true;

    public bool ShowVersion { get; private set; }

    public bool ShowHelp { get; private set; }

    /// <summary>Ours, not in the help: compares the program's own cipher code with libcrypto's, in the form that runs.</summary>
    public bool SelfTest { get; private set; }

    public string? Error { get; private set; }

    private static readonly HashSet<string> Switches = new(StringComparer.Ordinal)
    {
        "--disable-hot-restart", "--allow-unknown-static-fields", "--reject-unknown-dynamic-fields", "--allow-unknown-fields", "--ignore-unknown-dynamic-fields", "--enable-mutex-tracing",
        "--cpuset-threads", "--hot-restart-version", "--log-format-escaped", "--enable-fine-grain-logging", "--enable-core-dump", "--skip-hot-restart-on-no-parent", "--skip-hot-restart-parent-stats",
        "--skip-deprecated-logs", "--use-dynamic-base-id",
    };

    private static readonly HashSet<string> Ignored = new(StringComparer.Ordinal)
    {
        "--component-log-level", "--parent-shutdown-time-s", "--restart-epoch", "--base-id", "--base-id-path", "--local-address-ip-version", "--service-zone", "--log-format",
        "--log-path", "--max-obj-name-len", "--max-stats", "--disable-extensions", "--socket-path", "--socket-mode", "--stats-tag", "--admin-address-path", "--bootstrap-version",
        "--hot-restart-base-id", "--default-socket-interface",
    };

    public static CommandLine Parse(string[] arguments)
    {
        var result = new CommandLine();
        for (var i = 0; i < arguments.Length && result.Error is null; i++)
        {
            var name = arguments[i];
            string? inline = null;
            var equal = name.IndexOf('=');
            if (equal > 0 && name.StartsWith("--", StringComparison.Ordinal))
            {
                inline = name[(equal + 1)..];
                name = name[..equal];
            }
            if (name is "-h" or "--help")
                result.ShowHelp = true;
            else if (name == "--version")
                result.ShowVersion = true;
            else if (name == "--self-test")
                result.SelfTest = true;
            else if (Switches.Contains(name))
                continue;
            else if (inline is not null)
                result.Set(name, inline);
            else if (i + 1 < arguments.Length)
                result.Set(name, arguments[++i]);
            else
                result.Error = $"{name} needs a value, or is not a flag of this program; see --help";
        }
        if (result.Error is null && !result.ShowHelp && !result.ShowVersion && !result.SelfTest && result.ConfigPath.Length == 0 && result.ConfigYaml.Length == 0)
            result.Error = "a configuration is needed: -c FILE or --config-yaml TEXT";
        return result;
    }

    private void Set(string name, string value)
    {
        switch (name)
        {
            case "-c" or "--config-path":
                ConfigPath = value;
                break;
            case "--config-yaml":
                ConfigYaml = value;
                break;
            case "--concurrency":
                Concurrency = (int)Number(name, value, 0, 1024);
                break;
            case "--mode":
                if (value is not ("serve" or "validate" or "init_only"))
                    Error = $"--mode {value} is not one of serve, validate, init_only";
                ValidateOnly = value != "serve";
                break;
            case "-l" or "--log-level":
                if (!Log.TrySetLevel(value))
                    Error = $"-l {value} is not one of trace, debug, info, warning, error, critical, off";
                LogLevel = value;
                break;
            case "--service-node":
                ServiceNode = value;
                break;
            case "--service-cluster":
                ServiceCluster = value;
                break;
            case "--file-flush-interval-msec":
                FlushIntervalMs = Number(name, value, 1, 3_600_000);
                break;
            case "--drain-time-s":
                DrainTimeMs = Number(name, value, 0, 86_400) * 1000;
                break;
            case "--drain-strategy":
                if (value is not ("gradual" or "immediate"))
                    Error = $"--drain-strategy {value} is not one of gradual, immediate";
                DrainAtOnce = value == "immediate";
                break;
            case "--upstream-mark":
                UpstreamMark = (int)Number(name, value, 0, int.MaxValue);
                break;
            case "--tls-library":
                TlsLibrary = value;
                break;
            case "--tls-legacy-keys":
                if (value is not ("on" or "off"))
                    Error = $"--tls-legacy-keys {value} is not one of on, off";
                TlsLegacyKeys = value != "off";
                break;
            default:
                if (!Ignored.Contains(name))
                    Error = $"{name} is not a flag of this program; see --help";
                break;
        }
    }

    private long Number(string name, string value, long min, long max)
    {
        if (long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max)
            return number;
        Error = $"{name} {value}: a whole number from {min} to {max} is expected";
        return min;
    }

    public const string Help = """
        tulle-proxy: one small fast proxy per workload. Takes Envoy's bootstrap and Envoy's flags.

        Usage: tulle-proxy -c envoy.yaml [--concurrency N] [--mode serve|validate] [-l LEVEL]

          -c, --config-path FILE          bootstrap, YAML or JSON
          --config-yaml TEXT              bootstrap as text, laid over the file
          --concurrency N                 loops (threads of the data plane); default: the CPU quota
          --mode serve|validate           validate: check the configuration and exit
          -l, --log-level LEVEL           trace, debug, info, warning, error, critical, off
          --service-node ID               node id towards the control plane
          --service-cluster NAME          node cluster towards the control plane
          --file-flush-interval-msec N    how long an access-log record may wait (default 10000)
          --drain-time-s N                how long draining takes, and connections of a removed listener live on (default 600)
          --drain-strategy gradual|immediate  while draining, a growing share of answers, or every one, says close
          --upstream-mark N               packet mark of connections to upstreams (needs CAP_NET_ADMIN)
          --tls-library FILE              does the TLS handshakes: a libssl of OpenSSL 3, BoringSSL or AWS-LC
                                          (default: libtulle-tls.so beside the program, else libssl.so.3)
          --tls-legacy-keys on|off        EC keys of OpenSSL 3.0 and 3.1 on its older, quicker methods (default on)
          --version                       print the version, and which TLS library runs

        Example:
          tulle-proxy -c envoy.yaml --mode validate && tulle-proxy -c envoy.yaml -l warning

        Exit codes: 0 fine, 64 wrong usage, 65 bad configuration, 1 could not start.
        """;
}
