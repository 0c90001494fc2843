using static Tulle.Resources.SpecField;

namespace Tulle.Resources;

/// <summary>networking.istio.io/v1 DestinationRule.</summary>
internal static class DestinationRuleSpec
{
    private static readonly SpecField s_failover = ListOf(new Spec("LocalityLoadBalancerSetting.Failover") { ["from"] = Text, ["to"] = Text });

    private static readonly Spec s_locality = new("LocalityLoadBalancerSetting")
    {
        ["distribute"] = ListOf(new Spec("LocalityLoadBalancerSetting.Distribute") { ["from"] = Text, ["to"] = Whole with { Shape = SpecShape.Map } }),
        ["enabled"] = Flag,
        ["failover"] = s_failover,
        ["failoverPriority"] = Texts,
    };

    private static readonly Spec s_balancer = new("LoadBalancerSettings")
    {
        ["consistentHash"] = Of(new Spec("ConsistentHashLB")
        {
            ["httpCookie"] = Of(new Spec("HTTPCookie")
            {
                ["attributes"] = ListOf(new Spec("HTTPCookie.Attribute") { ["name"] = Text, ["value"] = Text }),
                ["name"] = Text,
                ["path"] = Text,
                ["ttl"] = Time,
            }),
            ["httpHeaderName"] = Text,
            ["httpQueryParameterName"] = Text,
            ["maglev"] = Of(new Spec("MagLev") { ["tableSize"] = Whole }),
            ["minimumRingSize"] = Whole,
            ["ringHash"] = Of(new Spec("RingHash") { ["minimumRingSize"] = Whole }),
            ["useSourceIp"] = Flag,
        }).Warned("requests are spread over all endpoints: no route says yet by what to hash"),
        ["localityLbSetting"] = Of(s_locality).Warned("endpoints of every locality are used alike"),
        ["simple"] = OneOf("UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"),
        ["warmup"] = Of(new Spec("WarmupConfiguration") { ["aggression"] = Number, ["duration"] = Time, ["minimumPercent"] = Number })
            .Warned("a new endpoint gets its whole share at once"),
        ["warmupDurationSecs"] = Time.Warned("a new endpoint gets its whole share at once"),
        ["zoneAwareLbSetting"] = Of(new Spec("ZoneAwareLoadBalancerSetting")
        {
            ["enabled"] = Flag,
            ["failover"] = s_failover,
            ["failoverPriority"] = Texts,
            ["minClusterSize"] = Whole,
        }).Warned("endpoints of every zone are used alike"),
    };

    private static readonly Spec s_pool = new("ConnectionPoolSettings")
    {
        ["http"] = Of(new Spec("ConnectionPoolSettings.HTTPSettings")
        {
            ["h2UpgradePolicy"] = OneOf("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE").Warned("connections keep the protocol that the port names"),
            ["http1MaxPendingRequests"] = Signed,
            ["http2KeepAlive"] = Of(new Spec("Http2KeepAlive") { ["interval"] = Time, ["timeout"] = Time }).Warned("no HTTP/2 pings are sent"),
            ["http2MaxRequests"] = Signed,
            ["idleTimeout"] = Time,
            ["maxConcurrentStreams"] = Signed.Warned("streams of one connection have no bound of their own"),
            ["maxRequestsPerConnection"] = Signed,
            ["maxRetries"] = Signed,
            ["useClientProtocol"] = Flag.Warned("connections keep the protocol that the port names"),
        }),
        ["tcp"] = Of(new Spec("ConnectionPoolSettings.TCPSettings")
        {
            ["connectTimeout"] = Time,
            ["idleTimeout"] = Time.Warned("TCP connections have the default idle time-out"),
            ["maxConnectionDuration"] = Time.Warned("connections live as long as their ends want"),
            ["maxConnections"] = Signed,
            ["tcpKeepalive"] = Of(new Spec("TcpKeepalive") { ["interval"] = Time, ["probes"] = Whole, ["time"] = Time }).Warned("the kernel's defaults hold"),
        }),
    };

    private static readonly Spec s_outlier = new("OutlierDetection")
    {
        ["baseEjectionTime"] = Time,
        ["consecutive5xxErrors"] = Whole,
        ["consecutiveErrors"] = Signed.Warned("is obsolete, Istio ignores it too; consecutive5xxErrors is what to write"),
        ["consecutiveGatewayErrors"] = Whole,
        ["consecutiveLocalOriginFailures"] = Whole.Warned("local failures count as gateway errors"),
        ["interval"] = Time,
        ["maxEjectionPercent"] = Signed,
        ["minHealthPercent"] = Signed,
        ["outlierDetectionHttpErrorCodes"] = (Whole with { Shape = SpecShape.List }).Warned("5xx are what counts"),
        ["splitExternalLocalOriginErrors"] = Flag.Warned("local failures count as gateway errors"),
    };

    private static readonly Spec s_tls = new("ClientTLSSettings")
    {
        ["caCertificates"] = Text,
        ["caCrl"] = Text,
        ["clientCertificate"] = Text,
        ["credentialName"] = Text,
        ["insecureSkipVerify"] = Flag,
        ["mode"] = OneOf("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"),
        ["privateKey"] = Text,
        ["sni"] = Text,
        ["subjectAltNames"] = Texts,
    };

    private static Spec Policy(bool isPort)
    {
        var policy = new Spec(isPort ? "TrafficPolicy.PortTrafficPolicy" : "TrafficPolicy")
        {
            ["connectionPool"] = Of(s_pool),
            ["loadBalancer"] = Of(s_balancer),
            ["outlierDetection"] = Of(s_outlier),
            ["tls"] = Of(s_tls),
        };
        if (isPort)
        {
            policy["port"] = Of(new Spec("PortSelector") { ["number"] = Port });
            return policy;
        }
        policy["portLevelSettings"] = ListOf(Policy(isPort: true));
        policy["proxyProtocol"] = Of(new Spec("TrafficPolicy.ProxyProtocol") { ["version"] = OneOf("V1", "V2") })
            .Refused("the PROXY protocol is not spoken to upstreams yet, and a server that expects it would misread every connection");
        policy["retryBudget"] = Of(new Spec("TrafficPolicy.RetryBudget") { ["budgetInterval"] = Time, ["minRetryConcurrency"] = Whole, ["percent"] = Number })
            .Warned("retries are bounded by maxRetries alone");
        policy["tunnel"] = Of(new Spec("TrafficPolicy.TunnelSettings") { ["protocol"] = Text, ["targetHost"] = Text, ["targetPort"] = Port })
            .Refused("tunnels are not supported yet");
        return policy;
    }

    private static readonly SpecField s_policy = Of(Policy(isPort: false));

    public static readonly Spec Spec = new("DestinationRule")
    {
        ["exportTo"] = Texts,
        ["host"] = Text,
        ["subsets"] = ListOf(new Spec("Subset") { ["labels"] = TextMap, ["name"] = Text, ["trafficPolicy"] = s_policy }),
        ["trafficPolicy"] = s_policy,
        ["workloadSelector"] = Of(new Spec("WorkloadSelector") { ["matchLabels"] = TextMap }).Refused("rules for some clients only are not supported yet"),
    };
}
