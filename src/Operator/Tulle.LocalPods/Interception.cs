using System.Globalization;
using System.Text;

namespace Tulle.LocalPods;

/// <summary>What istio-init is asked for: its flags, with Istio's defaults.</summary>
public sealed record InterceptionOptions
{
    /// <summary>-p: outbound port of the proxy.</summary>
    public int OutboundPort { get; init; } = 15001;

    /// <summary>-z: inbound port of the proxy.</summary>
    public int InboundPort { get; init; } = 15006;

    /// <summary>-u: user whose traffic is the proxy's own.</summary>
    public int ProxyUser { get; init; } = 1337;

    /// <summary>Packet mark that tells the proxy's own traffic instead of its user; 0: by the user. Ours: in a user namespace there is one user only.</summary>
    public int ProxyMark { get; init; }

    /// <summary>-m: REDIRECT, or NONE for no interception.</summary>
    public string Mode { get; init; } = "REDIRECT";

    /// <summary>-i: outbound ranges; "*" is all, empty is none.</summary>
    public string IncludeRanges { get; init; } = "*";

    /// <summary>-x: outbound ranges left alone.</summary>
    public string ExcludeRanges { get; init; } = "";

    /// <summary>-b: inbound ports; "*" is all, empty is none.</summary>
    public string InboundPorts { get; init; } = "*";

    /// <summary>-d: inbound ports left alone.</summary>
    public string ExcludeInboundPorts { get; init; } = "15090,15021,15020";

    /// <summary>-q: outbound ports captured whatever the range.</summary>
    public string IncludeOutboundPorts { get; init; } = "";

    /// <summary>-o: outbound ports left alone.</summary>
    public string ExcludeOutboundPorts { get; init; } = "";

    /// <summary>Reads the flags of an istio-init container.</summary>
    /// <exception cref="FormatException">An unknown flag or a value that is no number.</exception>
    public static InterceptionOptions Parse(IReadOnlyList<string> flags)
    {
        var result = new InterceptionOptions();
        for (var i = 0; i + 1 < flags.Count; i += 2)
        {
            var value = flags[i + 1];
            result = flags[i] switch
            {
                "-p" => result with { OutboundPort = int.Parse(value, CultureInfo.InvariantCulture) },
                "-z" => result with { InboundPort = int.Parse(value, CultureInfo.InvariantCulture) },
                "-u" => result with { ProxyUser = int.Parse(value, CultureInfo.InvariantCulture) },
                "-m" => result with { Mode = value },
                "-i" => result with { IncludeRanges = value },
                "-x" => result with { ExcludeRanges = value },
                "-b" => result with { InboundPorts = value },
                "-d" => result with { ExcludeInboundPorts = value },
                "-q" => result with { IncludeOutboundPorts = value },
                "-o" => result with { ExcludeOutboundPorts = value },
                _ => throw new FormatException($"istio-init flag {flags[i]} is not known here"),
            };
        }
        return result;
    }
}

/// <summary>The nftables rules that send a pod's traffic through its proxy, the same decisions that Istio's init step makes.</summary>
public static class Interception
{
    /// <summary>A ruleset for nft -f, or empty when nothing is intercepted.</summary>
    public static string Rules(InterceptionOptions options)
    {
        if (options.Mode == "NONE")
            return "";
        var own = options.ProxyMark > 0 ? string.Create(CultureInfo.InvariantCulture, $"meta mark {options.ProxyMark}") : string.Create(CultureInfo.InvariantCulture, $"meta skuid {options.ProxyUser}");
        var text = new StringBuilder();
        text.Append("table inet tulle {\n");
        text.Append(" chain inbound {\n  type nat hook prerouting priority dstnat; policy accept;\n");
        if (Set(options.ExcludeInboundPorts) is { } leave)
            text.Append(CultureInfo.InvariantCulture, $"  tcp dport {leave} return\n");
        if (options.InboundPorts == "*")
            text.Append(CultureInfo.InvariantCulture, $"  meta l4proto tcp redirect to :{options.InboundPort}\n");
        else if (Set(options.InboundPorts) is { } take)
            text.Append(CultureInfo.InvariantCulture, $"  tcp dport {take} redirect to :{options.InboundPort}\n");
        text.Append(" }\n chain outbound {\n  type nat hook output priority -100; policy accept;\n");
        // The inbound clusters come from 127.0.0.6: they are on their way to the application.
        text.Append("  ip saddr 127.0.0.6 oifname \"lo\" return\n");
        // The proxy calling its own pod's address (a service that calls itself) goes through the inbound side.
        text.Append(CultureInfo.InvariantCulture, $"  {own} oifname \"lo\" ip daddr != 127.0.0.0/8 tcp dport != 15008 redirect to :{options.InboundPort}\n");
        text.Append(CultureInfo.InvariantCulture, $"  {own} return\n");
        text.Append("  oifname \"lo\" ip daddr 127.0.0.0/8 return\n  oifname \"lo\" return\n  ip6 daddr ::1 return\n");
        if (Set(options.ExcludeOutboundPorts) is { } leaveOut)
            text.Append(CultureInfo.InvariantCulture, $"  tcp dport {leaveOut} return\n");
        if (Set(options.IncludeOutboundPorts) is { } takeOut)
            text.Append(CultureInfo.InvariantCulture, $"  tcp dport {takeOut} redirect to :{options.OutboundPort}\n");
        if (Set(options.ExcludeRanges) is { } leaveRanges)
            text.Append(CultureInfo.InvariantCulture, $"  ip daddr {leaveRanges} return\n");
        if (options.IncludeRanges == "*")
            text.Append(CultureInfo.InvariantCulture, $"  meta l4proto tcp redirect to :{options.OutboundPort}\n");
        else if (Set(options.IncludeRanges) is { } ranges)
            text.Append(CultureInfo.InvariantCulture, $"  ip daddr {ranges} meta l4proto tcp redirect to :{options.OutboundPort}\n");
        text.Append(" }\n}\n");
        return text.ToString();
    }

    private static string? Set(string list)
    {
        var items = list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return items.Length == 0 ? null : $"{{ {string.Join(", ", items)} }}";
    }
}
