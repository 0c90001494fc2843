namespace Tulle.Control;

/// <summary>The command line of tulle-control.</summary>
internal sealed class ControlOptions
{
    public List<string> Folders { get; } = [];

    /// <summary>Plain xDS and certificates: HOST:PORT, or unix:PATH.</summary>
    public List<string> Xds { get; } = [];

    /// <summary>xDS and certificates over TLS; clients show a certificate of this mesh.</summary>
    public string XdsTls { get; private set; } = "";

    public string Debug { get; private set; } = "";

    /// <summary>Where the node agent of this machine has certificates signed: a unix socket that only this process's user may open.</summary>
    public string CaSocket { get; private set; } = "";

    /// <summary>Keys of gateways are sent to callers of whom nothing is proven. Default: no.</summary>
    public bool PlaintextSecrets { get; private set; }

    /// <summary>Policies that cannot be enforced yet have no effect instead of closing what they select. Default: no.</summary>
    public bool AllowUnenforcedPolicies { get; private set; }

    public string CaFolder { get; private set; } = "";

    public string TrustDomain { get; private set; } = "cluster.local";

    public string AccessLog { get; private set; } = "";

    public string AccessLogFormat { get; private set; } = "";

    public bool AccessLogIdentities { get; private set; }

    public bool SimulatePods { get; private set; }

    public bool ShowHelp { get; private set; }

    public bool ShowVersion { get; private set; }

    public bool CheckOnly { get; private set; }

    public bool DieWithParent { get; private set; }

    public string? Error { get; private set; }

    public static ControlOptions Parse(string[] arguments)
    {
        var result = new ControlOptions();
        for (var i = 0; i < arguments.Length && result.Error is null; i++)
        {
            var name = arguments[i];
            string Value()
            {
                if (i + 1 < arguments.Length)
                    return arguments[++i];
                result.Error = $"{name} needs a value; see --help";
                return "";
            }
            switch (name)
            {
                case "--files":
                    result.Folders.Add(Value());
                    break;
                case "--xds":
                    result.Xds.Add(Value());
                    break;
                case "--xds-tls":
                    result.XdsTls = Value();
                    break;
                case "--debug":
                    result.Debug = Value();
                    break;
                case "--ca-socket":
                    result.CaSocket = Value();
                    break;
                case "--plaintext-secrets":
                    result.PlaintextSecrets = true;
                    break;
                case "--allow-unenforced-policies":
                    result.AllowUnenforcedPolicies = true;
                    break;
                case "--ca":
                    result.CaFolder = Value();
                    break;
                case "--trust-domain":
                    result.TrustDomain = Value();
                    break;
                case "--access-log-format":
                    result.AccessLogFormat = Value();
                    break;
                case "--access-log-identities":
                    result.AccessLogIdentities = true;
                    break;
                case "--access-log":
                    result.AccessLog = Value();
                    break;
                case "--simulate-pods":
                    result.SimulatePods = true;
                    break;
                case "--check":
                    result.CheckOnly = true;
                    break;
                case "--die-with-parent":
                    result.DieWithParent = true;
                    break;
                case "-h" or "--help":
                    result.ShowHelp = true;
                    break;
                case "--version":
                    result.ShowVersion = true;
                    break;
                default:
                    result.Error = $"{name} is not a flag of this program; see --help";
                    break;
            }
        }
        if (result.Error is null && !result.ShowHelp && !result.ShowVersion)
        {
            if (result.Folders.Count == 0)
                result.Error = "a folder is needed: --files DIR";
            else if (result.Folders.Find(f => !Directory.Exists(f)) is { } missing)
                result.Error = $"folder {missing} does not exist";
            else if (!result.CheckOnly && result.Xds.Count == 0 && result.XdsTls.Length == 0)
                result.Error = "an address is needed: --xds HOST:PORT or --xds unix:PATH";
            else
                result.Error = result.AddressError();
        }
        return result;
    }

    private string? AddressError()
    {
        var wrong = Xds.Select(a => ("--xds", ListenAddress.Parse(a, mayBeSocket: true).Error));
        if (XdsTls.Length > 0)
            wrong = wrong.Append(("--xds-tls", ListenAddress.Parse(XdsTls, mayBeSocket: false).Error));
        if (Debug.Length > 0)
            wrong = wrong.Append(("--debug", ListenAddress.Parse(Debug, mayBeSocket: true).Error));
        if (CaSocket.Length > 0)
            wrong = wrong.Append(("--ca-socket", CaSocket.StartsWith("unix:", StringComparison.Ordinal) ? ListenAddress.Parse(CaSocket, mayBeSocket: true).Error : $"{CaSocket}: unix:PATH is expected"));
        return wrong.Where(w => w.Item2.Length > 0).Select(w => $"{w.Item1} {w.Item2}").FirstOrDefault();
    }

    public const string Help = """
        tulle-control: the control plane. Reads Kubernetes and Istio YAML from folders and serves xDS.

        Usage: tulle-control --files DIR [--files DIR] --xds HOST:PORT|unix:PATH [flags]

          --files DIR             folder of YAML, watched; may be given several times
          --xds ADDR              plain xDS (ADS, state-of-the-world and delta); keys of gateways over unix sockets only
          --xds-tls HOST:PORT     the same over TLS, and certificates: for clients with a certificate of this mesh
          --ca-socket unix:PATH   certificates for the node agent of this machine; only this process's user may open it
          --debug ADDR            /ready and /debug/… over HTTP/1.1
          --ca DIR                where the root key is kept; without it a new root is made at every start
          --plaintext-secrets     sends keys of gateways to callers of whom nothing is proven, too
          --allow-unenforced-policies  AuthorizationPolicies and RequestAuthentications have no effect, instead of closing what they select
          --trust-domain NAME     default cluster.local
          --access-log PATH       proxies write access logs there (for example /dev/stdout)
          --access-log-format F   Envoy's format string; Istio's when left out
          --access-log-identities adds both peers' SPIFFE ids to Istio's format
          --simulate-pods         give pods of Deployments made-up addresses, to look at a folder without running it
          --check                 read the folders, print findings and exit (0 fine, 79 findings)

        Example:
          tulle-control --files samples/shop --xds 127.0.0.1:15010 --simulate-pods

        Exit codes: 0 fine, 64 wrong usage, 65 bad data, 79 findings (--check).
        """;
}
