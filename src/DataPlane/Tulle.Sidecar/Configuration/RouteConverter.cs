using System.Text;
using Tulle.Base.Documents;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>envoy.config.route.v3.RouteConfiguration.</summary>
internal static class RouteConverter
{
    /// <param name="table">The resource.</param>
    /// <param name="context">Errors go there.</param>
    /// <param name="knownCluster">With validate_clusters: whether a cluster exists; null does not check.</param>
    public static RouteTable Convert(FieldReader table, ConversionContext context, Func<string, bool>? knownCluster)
    {
        var name = table.Text("name", "");
        if (!table.Bool("validate_clusters", true))
            knownCluster = null;
        context.DirectBodyBytesMax = table.IntegerOr("max_direct_response_body_size_bytes", 4096, 0, uint.MaxValue);
        PerFilter(table);
        var tableRequest = HeaderEditsConverter.Convert(table, "request_headers_to_add", "request_headers_to_remove");
        var tableResponse = HeaderEditsConverter.Convert(table, "response_headers_to_add", "response_headers_to_remove");
        var specificFirst = !table.Bool("most_specific_header_mutations_wins", false);
        var hosts = new List<VirtualHostConfig>();
        var domains = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var host in table.Children("virtual_hosts"))
        {
            var converted = Host(host, context, knownCluster, tableRequest, tableResponse, specificFirst);
            foreach (var domain in converted.Domains)
            {
                if (!domains.Add(domain))
                    host.Fail("domains", $"domain {domain} is there twice: only one virtual host may have it");
            }
            hosts.Add(converted);
        }
        var ignorePort = table.Bool("ignore_port_in_host_matching", false);
        var ignoreParameters = table.Bool("ignore_path_parameters_in_path_matching", false);
        var internalOnly = table.Texts("internal_only_headers").Select(n => Encoding.ASCII.GetBytes(n.ToLowerInvariant())).ToList();
        table.Done("is not supported by this proxy");
        return new RouteTable(name, hosts, ignorePort) { IgnorePathParameters = ignoreParameters, InternalOnlyFields = internalOnly, ContentHash = ConversionContext.Hash(table.Node) };
    }

    private static VirtualHostConfig Host(FieldReader host, ConversionContext context, Func<string, bool>? knownCluster, HeaderEditsConfig? tableRequest,
        HeaderEditsConfig? tableResponse, bool specificFirst)
    {
        var name = host.Required("name");
        PerFilter(host);
        var domains = host.Texts("domains");
        if (domains.Count == 0)
            host.Fail("domains", "at least one domain is needed");
        var request = HeaderEditsConverter.Convert(host, "request_headers_to_add", "request_headers_to_remove");
        var response = HeaderEditsConverter.Convert(host, "response_headers_to_add", "response_headers_to_remove");
        var retry = host.Child("retry_policy") is { } policy ? RetryConverter.Convert(policy, context) : null;
        context.ReplayBytesMax = ReplayBytes(host, 1 << 20);
        var requireTls = host.Choice("require_tls", "NONE", "NONE", "EXTERNAL_ONLY", "ALL");
        var routes = new List<RouteConfig>();
        foreach (var route in host.Children("routes"))
            routes.Add(Route(route, context, knownCluster, retry, Order(request, tableRequest), Order(response, tableResponse), specificFirst));
        var attemptIn = host.Bool("include_request_attempt_count", false);
        var attemptOut = host.Bool("include_attempt_count_in_response", false);
        host.Done("is not supported by this proxy");
        return new VirtualHostConfig { Name = name, Domains = domains, Routes = routes, RequireTls = requireTls, AttemptCountInRequest = attemptIn, AttemptCountInResponse = attemptOut };
    }

    private static List<HeaderEditsConfig> Order(params ReadOnlySpan<HeaderEditsConfig?> edits)
    {
        var result = new List<HeaderEditsConfig>();
        foreach (var edit in edits)
        {
            if (edit is not null)
                result.Add(edit);
        }
        return result;
    }

    private static RouteConfig Route(FieldReader route, ConversionContext context, Func<string, bool>? knownCluster, RetryConfig? hostRetry, List<HeaderEditsConfig> outerRequest,
        List<HeaderEditsConfig> outerResponse, bool specificFirst)
    {
        var name = route.Text("name", "");
        RouteMatchConfig match;
        if (route.Child("match") is { } given)
        {
            match = Match(given, context);
        }
        else
        {
            route.Fail("match", "is required");
            match = new RouteMatchConfig { Prefix = [] };
        }
        var request = HeaderEditsConverter.Convert(route, "request_headers_to_add", "request_headers_to_remove");
        var response = HeaderEditsConverter.Convert(route, "response_headers_to_add", "response_headers_to_remove");
        PerFilter(route);
        var replay = ReplayBytes(route, context.ReplayBytesMax);
        var action = route.Child("route") is { } forward ? Action(forward, context, knownCluster, hostRetry, match, replay) : null;
        var redirect = route.Child("redirect") is { } moved ? Redirect(moved, context) : null;
        DirectResponseConfig? direct = null;
        if (route.Child("direct_response") is { } answer)
        {
            direct = new DirectResponseConfig((int)answer.IntegerOr("status", 200, 200, 599), ConversionContext.DataSource(answer.Child("body")) ?? []);
            if (direct.Body.Length > context.DirectBodyBytesMax)
                answer.Fail("body", $"has {direct.Body.Length} bytes, {context.DirectBodyBytesMax} are allowed; raise max_direct_response_body_size_bytes of the route configuration");
            answer.Done();
        }
        if (route.Child("non_forwarding_action") is { } nothing)
        {
            direct ??= new DirectResponseConfig(404, []);
            nothing.Done();
        }
        route.Done("is not supported by this proxy");
        if (action is null && redirect is null && direct is null)
            route.Fail("", "a route needs one of route, redirect and direct_response");
        return new RouteConfig
        {
            Name = name,
            NameBytes = Encoding.UTF8.GetBytes(name),
            Match = match,
            Action = action,
            Redirect = redirect,
            DirectResponse = direct,
            RequestEdits = Combine(request, outerRequest, specificFirst),
            ResponseEdits = Combine(response, outerResponse, specificFirst),
        };
    }

    /// <summary>Envoy applies route, then virtual host, then route configuration, unless the most specific shall win.</summary>
    private static List<HeaderEditsConfig> Combine(HeaderEditsConfig? own, List<HeaderEditsConfig> outer, bool specificFirst)
    {
        var all = new List<HeaderEditsConfig>();
        if (own is not null)
            all.Add(own);
        all.AddRange(outer);
        if (!specificFirst)
            all.Reverse();
        return all;
    }

    /// <summary>Per-filter configuration of any level: what its table does not call harmless is refused.</summary>
    private static void PerFilter(FieldReader level)
    {
        foreach (var (_, type, config) in ConversionContext.TypedMap(level, "typed_per_filter_config"))
        {
            if (config.Fields is null)
                config.Fail("", $"{type} is not supported by this proxy");
            else
                config.Done();
        }
    }

    private static RouteMatchConfig Match(FieldReader match, ConversionContext context)
    {
        static byte[]? Bytes(string? text) => text is null ? null : Encoding.UTF8.GetBytes(text);
        var regex = match.Child("safe_regex");
        var connect = match.Child("connect_matcher");
        connect?.Done();
        var result = new RouteMatchConfig
        {
            Prefix = Bytes(match.Text("prefix")),
            Path = Bytes(match.Text("path")),
            SeparatedPrefix = Bytes(match.Text("path_separated_prefix")?.TrimEnd('/')),
            Regex = regex is null ? null : context.Regex(regex),
            IsConnect = connect is not null,
            IgnoreCase = !match.Bool("case_sensitive", true),
            Headers = MatcherConverter.Headers(match, "headers", context),
            Query = match.Children("query_parameters").Select(q => MatcherConverter.Query(q, context)).ToList(),
            FractionPerMillion = match.Child("runtime_fraction") is { } fraction ? MatcherConverter.PerMillion(fraction) : null,
        };
        regex?.Done();
        match.Done("is not supported by this proxy");
        if (result.Prefix is null && result.Path is null && result.SeparatedPrefix is null && regex is null && !result.IsConnect)
            match.Fail("", "one of prefix, path, safe_regex, path_separated_prefix and connect_matcher is needed");
        return result;
    }

    private static RouteActionConfig Action(FieldReader action, ConversionContext context, Func<string, bool>? knownCluster, RetryConfig? hostRetry, RouteMatchConfig match, int replayBytesMax)
    {
        var clusters = new List<WeightedClusterConfig>();
        var subset = BalanceConverter.MetadataMatch(action);
        if (action.Text("cluster") is { } single)
            clusters.Add(new WeightedClusterConfig(single, 1) { SubsetMatch = subset });
        if (action.Child("weighted_clusters") is { } weighted)
        {
            foreach (var choice in weighted.Children("clusters"))
            {
                PerFilter(choice);
                clusters.Add(new WeightedClusterConfig(choice.Required("name"), (int)choice.IntegerOr("weight", 0, 0, int.MaxValue))
                {
                    RequestEdits = HeaderEditsConverter.Convert(choice, "request_headers_to_add", "request_headers_to_remove"),
                    HostRewrite = choice.Text("host_rewrite_literal") is { Length: > 0 } literal ? Encoding.UTF8.GetBytes(literal) : null,
                    ResponseEdits = HeaderEditsConverter.Convert(choice, "response_headers_to_add", "response_headers_to_remove"),
                    SubsetMatch = BalanceConverter.MetadataMatch(choice).Over(subset),
                });
                choice.Done("is not supported by this proxy");
            }
            weighted.Done("is not supported by this proxy");
            if (clusters.Sum(c => (long)c.Weight) is 0 or > uint.MaxValue)
                weighted.Fail("clusters", $"the weights sum to {clusters.Sum(c => (long)c.Weight)}; 1 to {uint.MaxValue} is allowed");
        }
        if (knownCluster is not null)
        {
            foreach (var cluster in clusters.Where(c => !knownCluster(c.Name)))
                action.Fail("cluster", $"unknown cluster {cluster.Name}");
        }
        var header = action.Text("cluster_header")?.ToLowerInvariant();
        var regex = action.Child("regex_rewrite");
        var upgrades = Upgrades(action, out var terminateConnect);
        long? maxDuration = null;
        if (action.Child("max_stream_duration") is { } duration)
        {
            maxDuration = (long?)duration.DurationMs("max_stream_duration");
            duration.Done();
        }
        var result = new RouteActionConfig
        {
            Clusters = clusters,
            TotalWeight = clusters.Sum(c => c.Weight),
            ClusterHeader = header is null ? null : Encoding.ASCII.GetBytes(header),
            TimeoutMs = (long)(action.DurationMs("timeout") ?? 15_000),
            IdleTimeoutMs = action.DurationMs("idle_timeout") is { } idle ? (long)idle : null,
            MaxDurationMs = maxDuration,
            IsHighPriority = action.Choice("priority", "DEFAULT", "DEFAULT", "HIGH") == "HIGH",
            Retry = action.Child("retry_policy") is { } retry ? RetryConverter.Convert(retry, context) : hostRetry,
            ReplayBytesMax = replayBytesMax,
            PrefixRewrite = action.Text("prefix_rewrite") is { Length: > 0 } prefix ? Encoding.UTF8.GetBytes(prefix) : null,
            MatchedPrefixBytes = match.Prefix?.Length ?? match.SeparatedPrefix?.Length ?? -1,
            RegexRewrite = regex is null ? null : RegexRewrite(regex, context),
            HostRewrite = action.Text("host_rewrite_literal") is { } host ? Encoding.UTF8.GetBytes(host) : null,
            HostRewriteHeader = action.Text("host_rewrite_header") is { } from ? Encoding.ASCII.GetBytes(from.ToLowerInvariant()) : null,
            AutoHostRewrite = action.Bool("auto_host_rewrite", false),
            AppendForwardedHost = action.Bool("append_x_forwarded_host", false),
            ClusterNotFoundStatus = action.Choice("cluster_not_found_response_code", "SERVICE_UNAVAILABLE", "SERVICE_UNAVAILABLE", "NOT_FOUND", "INTERNAL_SERVER_ERROR") switch
            {
                "NOT_FOUND" => 404,
                "INTERNAL_SERVER_ERROR" => 500,
                _ => 503,
            },
            SubsetMatch = subset,
            Upgrades = upgrades,
            TerminateConnect = terminateConnect,
        };
        action.Done("is not supported by this proxy");
        return result;
    }

    /// <summary>The newer field before the older one, a route's before its virtual host's.</summary>
    private static int ReplayBytes(FieldReader holder, int otherwise)
    {
        var older = holder.Integer("per_request_buffer_limit_bytes", 0, uint.MaxValue);
        return (int)Math.Min(int.MaxValue, holder.Integer("request_body_buffer_limit", 0, long.MaxValue) ?? older ?? otherwise);
    }

    private static Dictionary<string, bool> Upgrades(FieldReader action, out bool terminateConnect)
    {
        var result = new Dictionary<string, bool>(StringComparer.Ordinal);
        terminateConnect = false;
        foreach (var upgrade in action.Children("upgrade_configs"))
        {
            var type = upgrade.Required("upgrade_type").ToLowerInvariant();
            result[type] = upgrade.Bool("enabled", true);
            var terminate = upgrade.Child("connect_config");
            terminate?.Done();
            if (type == "connect")
                terminateConnect = terminate is not null;
            upgrade.Done();
        }
        return result;
    }

    private static RegexRewriteConfig? RegexRewrite(FieldReader rewrite, ConversionContext context)
    {
        var pattern = rewrite.Child("pattern");
        var substitution = rewrite.Text("substitution", "");
        rewrite.Done();
        if (pattern is null)
        {
            rewrite.Fail("pattern", "is required");
            return null;
        }
        var regex = context.Regex(pattern, whole: false);
        pattern.Done();
        // RE2 writes \1, .NET writes ${1}; a literal dollar is doubled.
        var translated = new StringBuilder();
        for (var i = 0; i < substitution.Length; i++)
        {
            if (substitution[i] == '\\' && i + 1 < substitution.Length)
            {
                i++;
                if (char.IsAsciiDigit(substitution[i]))
                    translated.Append("${").Append(substitution[i]).Append('}');
                else
                    translated.Append(substitution[i]);
            }
            else
            {
                translated.Append(substitution[i] == '$' ? "$$" : substitution[i].ToString());
            }
        }
        return regex is null ? null : new RegexRewriteConfig(regex, translated.ToString());
    }

    private static RedirectConfig Redirect(FieldReader redirect, ConversionContext context)
    {
        var regex = redirect.Child("regex_rewrite");
        var result = new RedirectConfig
        {
            Scheme = redirect.Bool("https_redirect", false) ? "https" : redirect.Text("scheme_redirect"),
            Host = redirect.Text("host_redirect") is { Length: > 0 } host ? host : null,
            Port = (int?)redirect.Integer("port_redirect", 0, 65535) is { } port and > 0 ? port : null,
            Path = redirect.Text("path_redirect") is { Length: > 0 } path ? path : null,
            PrefixRewrite = redirect.Text("prefix_rewrite"),
            RegexRewrite = regex is null ? null : RegexRewrite(regex, context),
            StripQuery = redirect.Bool("strip_query", false),
            Status = redirect.Choice("response_code", "MOVED_PERMANENTLY", "MOVED_PERMANENTLY", "FOUND", "SEE_OTHER", "TEMPORARY_REDIRECT", "PERMANENT_REDIRECT") switch
            {
                "FOUND" => 302,
                "SEE_OTHER" => 303,
                "TEMPORARY_REDIRECT" => 307,
                "PERMANENT_REDIRECT" => 308,
                _ => 301,
            },
        };
        redirect.Done("is not supported by this proxy");
        return result;
    }
}
