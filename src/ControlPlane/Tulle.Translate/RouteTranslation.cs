using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Resources;

namespace Tulle.Translate;

/// <summary>VirtualService rules to Envoy routes.</summary>
internal static class RouteTranslation
{
    /// <summary>What Istio retries by default; 503 answers are not among it since 1.24.</summary>
    private const string DefaultRetryOn = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

    /// <summary>Routes of one rule set for the listener's port. The first rule that matches everything ends the list.</summary>
    public static List<Node> Routes(MeshModel model, ProxyView proxy, VirtualServiceResource rule, int listenerPort, GatewayResource? gateway)
    {
        var result = new List<Node>();
        foreach (var http in rule.Http)
        {
            if (http.Matches.Count == 0)
            {
                result.Add(Route(model, proxy, rule, http, null, listenerPort, gateway is not null));
                return result;
            }
            foreach (var match in http.Matches)
            {
                if (!Applies(model, match, rule.Meta.Namespace, proxy, listenerPort, gateway))
                    continue;
                result.Add(Route(model, proxy, rule, http, match, listenerPort, gateway is not null));
                if (IsCatchAll(match))
                    return result;
            }
        }
        return result;
    }

    private static bool Applies(MeshModel model, HttpMatchResource match, string space, ProxyView proxy, int port, GatewayResource? gateway) =>
        (match.Port is null || match.Port == port)
        && (match.Gateways.Count == 0 || match.Gateways.Any(g => gateway is null ? g == "mesh" : g != "mesh" && GatewayRules.Names(model, g, space, gateway)))
        && (match.SourceNamespace.Length == 0 || match.SourceNamespace == proxy.Namespace)
        && match.SourceLabels.All(l => proxy.Label(l.Key) == l.Value);

    private static bool IsCatchAll(HttpMatchResource match) =>
        (match.Uri is null || match.Uri is { Kind: "prefix", Value: "/" }) && match.Headers.Count == 0 && match.QueryParams.Count == 0 && match.Method is null && match.Authority is null
        && match.Scheme is null && match.WithoutHeaders.Count == 0;

    private static Node Route(MeshModel model, ProxyView proxy, VirtualServiceResource rule, HttpRouteResource http, HttpMatchResource? match, int port, bool isGateway)
    {
        var name = match is { Name.Length: > 0 } ? http.Name.Length > 0 ? $"{http.Name}.{match.Name}" : match.Name : http.Name;
        var fields = new List<(string, Node?)>
        {
            ("name", name.Length > 0 ? name : null),
            ("match", Match(match)),
            ("metadata", Shapes.ConfigMetadata("virtual-service", rule.Meta.Namespace, rule.Meta.Name)),
        };
        var operation = rule.Meta.Name;
        var operationPort = port;
        if (http.Redirect is { } redirect)
        {
            fields.Add(("redirect", Redirect(redirect)));
        }
        else if (http.DirectResponse is { } direct)
        {
            fields.Add(("direct_response", Node.Map(("status", direct["status"]), ("body", Body(direct["body"])))));
        }
        else
        {
            fields.Add(("route", Action(model, rule, http, match, port, isGateway)));
            var live = http.Routes.Where(r => r.Weight > 0 || http.Routes.Count == 1).ToList();
            if (live.Count == 1)
            {
                operation = Host(model, live[0].Destination.Host, rule.Meta.Namespace);
                operationPort = live[0].Destination.Port ?? port;
            }
        }
        fields.Add(("decorator", Node.Map(("operation", $"{operation}:{operationPort}{Path(match)}"))));
        AddHeaders(fields, http.Headers);
        fields.Add(("typed_per_filter_config", PerFilter(http)));
        return Node.Map(fields.ToArray());
    }

    private static string Path(HttpMatchResource? match) => match?.Uri switch
    {
        { Kind: "prefix", Value: var prefix } => prefix + "*",
        { Kind: "exact", Value: var exact } => exact,
        { Kind: "regex", Value: var regex } => regex,
        _ => "/*",
    };

    private static Node Match(HttpMatchResource? match)
    {
        if (match is null)
            return Node.Map(("prefix", "/"));
        var headers = match.Headers.Select(h => Header(h.Name, h.Match, invert: false)).Concat(match.WithoutHeaders.Select(h => Header(h.Name, h.Match, invert: true))).ToList();
        foreach (var (name, value) in new[] { (":method", match.Method), (":authority", match.Authority), (":scheme", match.Scheme) })
        {
            if (value is not null)
                headers.Add(Header(name, value, invert: false));
        }
        var query = match.QueryParams.Select(q => q.Match.Kind == "present"
            ? Node.Map(("name", q.Name), ("present_match", true)) : Node.Map(("name", q.Name), ("string_match", StringMatch(q.Match)))).ToList();
        return Node.Map(
            ("prefix", match.Uri is null ? "/" : match.Uri.Kind == "prefix" ? match.Uri.Value : null),
            ("path", match.Uri is { Kind: "exact" } ? match.Uri.Value : null),
            ("safe_regex", match.Uri is { Kind: "regex" } ? Node.Map(("regex", match.Uri.Value)) : null),
            ("case_sensitive", !match.IgnoreUriCase),
            ("headers", headers.Count > 0 ? Node.List(headers) : null),
            ("query_parameters", query.Count > 0 ? Node.List(query) : null));
    }

    private static Node Header(string name, StringMatchResource match, bool invert) => match.Kind == "present" || match is { Kind: "regex", Value: "*" }
        ? Node.Map(("name", name), ("present_match", true), ("invert_match", invert ? Node.Of(true) : null))
        : Node.Map(("name", name), ("string_match", StringMatch(match)), ("invert_match", invert ? Node.Of(true) : null), ("treat_missing_header_as_empty", invert ? Node.Of(true) : null));

    private static Node StringMatch(StringMatchResource match) => match.Kind == "regex"
        ? Node.Map(("safe_regex", Node.Map(("regex", match.Value)))) : Node.Map((match.Kind, match.Value));

    private static string Host(MeshModel model, string host, string space) => model.FindDestination(host, space)?.Host ?? model.ResolveHost(host, space);

    public static string Cluster(MeshModel model, DestinationResource destination, string space, int listenerPort, bool isGateway)
    {
        var service = model.FindDestination(destination.Host, space);
        // A gateway's own port says nothing of the service: its only port is meant. A sidecar's listener has the service's port.
        var port = destination.Port ?? (isGateway && service is { Ports.Count: 1 } ? service.Ports[0].Port : listenerPort);
        return ClusterTranslation.Name(port, destination.Subset, Host(model, destination.Host, space));
    }

    private static Node Action(MeshModel model, VirtualServiceResource rule, HttpRouteResource http, HttpMatchResource? match, int port, bool isGateway)
    {
        var space = rule.Meta.Namespace;
        var live = http.Routes.Where(r => r.Weight > 0 || http.Routes.Count == 1).ToList();
        var timeout = http.Timeout.Length > 0 && Durations.TryParseMs(http.Timeout, out var ms) ? Durations.Format(ms) : "0s";
        var mirrors = http.Mirrors.Select(m => Node.Map(("cluster", Cluster(model, m.Destination, space, port, isGateway)),
            ("runtime_fraction", Node.Map(("default_value", Node.Map(("numerator", (long)(m.Percent * 10_000)), ("denominator", "MILLION"))))), ("trace_sampled", false),
            ("disable_shadow_host_suffix_append", true))).ToList();
        return Node.Map(
            ("cluster", live.Count == 1 ? Cluster(model, live[0].Destination, space, port, isGateway) : null),
            ("weighted_clusters", live.Count > 1 ? Node.Map(("clusters", Node.List(live.Select(r => Weighted(model, r, space, port, isGateway)).ToList()))) : null),
            ("prefix_rewrite", http.Rewrite?["uri"]),
            ("regex_rewrite", http.Rewrite?["uriRegexRewrite"] is { } regex ? Node.Map(("pattern", Node.Map(("regex", regex["match"]))), ("substitution", regex["rewrite"])) : null),
            ("host_rewrite_literal", http.Rewrite?["authority"] ?? HostEdit(http.Headers)),
            ("timeout", timeout),
            ("retry_policy", Retry(http.Retries)),
            ("max_grpc_timeout", timeout),
            ("request_mirror_policies", mirrors.Count > 0 ? Node.List(mirrors) : null));
    }

    private static Node Weighted(MeshModel model, WeightedDestinationResource route, string space, int port, bool isGateway)
    {
        var fields = new List<(string, Node?)> { ("name", Cluster(model, route.Destination, space, port, isGateway)), ("weight", route.Weight) };
        AddHeaders(fields, route.Headers);
        return Node.Map(fields.ToArray());
    }

    public static Node DefaultRetry() => Node.Map(("retry_on", DefaultRetryOn), ("num_retries", 2), ("retry_host_predicate", PreviousHosts()), ("host_selection_retry_max_attempts", 5));

    private static Node PreviousHosts() => Node.List(Shapes.Typed("envoy.retry_host_predicates.previous_hosts", "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"));

    private static Node? Retry(Node? retries)
    {
        if (retries is null)
            return DefaultRetry();
        // Istio: without attempts, or with none, there are no retries.
        var attempts = retries["attempts"]?.AsInteger ?? 0;
        if (attempts <= 0)
            return null;
        var words = (retries["retryOn"]?.AsText ?? DefaultRetryOn).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        var codes = words.Where(w => w.Length == 3 && w.All(char.IsAsciiDigit)).Select(w => Node.Of(long.Parse(w, System.Globalization.CultureInfo.InvariantCulture))).ToList();
        var on = string.Join(',', words.Where(w => !(w.Length == 3 && w.All(char.IsAsciiDigit))));
        if (codes.Count > 0 && !on.Contains("retriable-status-codes", StringComparison.Ordinal))
            on = on.Length > 0 ? on + ",retriable-status-codes" : "retriable-status-codes";
        return Node.Map(
            ("retry_on", on),
            ("num_retries", Node.Of(attempts)),
            ("per_try_timeout", TrafficPolicies.Duration(retries["perTryTimeout"])),
            ("retriable_status_codes", codes.Count > 0 ? Node.List(codes) : null),
            ("retry_back_off", TrafficPolicies.Duration(retries["backoff"]) is { } back ? Node.Map(("base_interval", back)) : null),
            ("retry_host_predicate", retries["retryIgnorePreviousHosts"] is { AsBool: false, Kind: NodeKind.Bool } ? null : PreviousHosts()),
            ("host_selection_retry_max_attempts", 5));
    }

    private static Node Redirect(Node redirect)
    {
        var code = redirect["redirectCode"]?.AsInteger ?? 301;
        return Node.Map(
            ("path_redirect", redirect["uri"]),
            ("host_redirect", redirect["authority"]),
            ("scheme_redirect", redirect["scheme"]),
            ("port_redirect", redirect["port"]),
            ("prefix_rewrite", redirect["prefixRewrite"]),
            ("response_code", code switch { 302 => "FOUND", 303 => "SEE_OTHER", 307 => "TEMPORARY_REDIRECT", 308 => "PERMANENT_REDIRECT", _ => null }));
    }

    /// <summary>Envoy does not let header edits touch Host; what sets it is a rewrite of the authority.</summary>
    private static bool IsHost(string name) => name.Equals("host", StringComparison.OrdinalIgnoreCase) || name == ":authority";

    private static Node? HostEdit(Node? headers) => headers?.At("request", "set")?.Fields.Where(f => IsHost(f.Key)).Select(f => f.Value).FirstOrDefault();

    private static Node? Body(Node? body) => body?["string"] is { } text ? Node.Map(("inline_string", text)) : body?["bytes"] is { } bytes ? Node.Map(("inline_bytes", bytes)) : null;

    private static void AddHeaders(List<(string, Node?)> fields, Node? headers)
    {
        foreach (var (side, prefix) in new[] { ("request", "request_headers"), ("response", "response_headers") })
        {
            var edits = headers?[side];
            if (edits is null)
                continue;
            var adds = new List<Node>();
            foreach (var (name, value) in (edits["set"]?.Fields ?? []).Where(f => side == "response" || !IsHost(f.Key)))
                adds.Add(Node.Map(("header", Node.Map(("key", name), ("value", value))), ("append_action", "OVERWRITE_IF_EXISTS_OR_ADD")));
            foreach (var (name, value) in edits["add"]?.Fields ?? [])
                adds.Add(Node.Map(("header", Node.Map(("key", name), ("value", value)))));
            fields.Add(($"{prefix}_to_add", adds.Count > 0 ? Node.List(adds) : null));
            fields.Add(($"{prefix}_to_remove", edits["remove"]));
        }
    }

    private static Node? PerFilter(HttpRouteResource http)
    {
        var result = new List<KeyValuePair<string, Node>>();
        if (http.Fault is { } fault)
        {
            static Node Percentage(Node? node) => Node.Map(("numerator", (long)((node?["value"]?.AsDouble ?? 0) * 10_000)), ("denominator", "MILLION"));
            var delay = fault["delay"];
            var abort = fault["abort"];
            result.Add(new("envoy.filters.http.fault", Node.Map(
                ("@type", Shapes.Types + "envoy.extensions.filters.http.fault.v3.HTTPFault"),
                ("delay", delay is null ? null : Node.Map(("fixed_delay", TrafficPolicies.Duration(delay["fixedDelay"])), ("percentage", Percentage(delay["percentage"] ?? (delay["percent"] is { } whole ? Node.Map(("value", whole)) : null))))),
                ("abort", abort is null ? null : Node.Map(("http_status", abort["httpStatus"]), ("percentage", Percentage(abort["percentage"])))))));
        }
        return result.Count == 0 ? null : Node.Map(result);
    }
}
