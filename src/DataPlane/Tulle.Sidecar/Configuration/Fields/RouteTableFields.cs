using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class RouteTableFields
{
    public static readonly MessageFields RouteConfiguration = new ProtoFields("envoy.config.route.v3.RouteConfiguration")
    {
        ["name"] = Obeyed,
        ["virtual_hosts"] = Obeyed.Of(() => VirtualHost),
        ["vhds"] = Refused(Later.Policies),
        ["internal_only_headers"] = Obeyed,
        ["response_headers_to_add"] = Obeyed.Of(() => CoreFields.HeaderValueOption),
        ["response_headers_to_remove"] = Obeyed,
        ["request_headers_to_add"] = Obeyed.Of(() => CoreFields.HeaderValueOption),
        ["request_headers_to_remove"] = Obeyed,
        ["most_specific_header_mutations_wins"] = Obeyed,
        ["validate_clusters"] = Obeyed,
        ["max_direct_response_body_size_bytes"] = Obeyed,
        ["cluster_specifier_plugins"] = Refused(Later.Policies),
        ["request_mirror_policies"] = Refused(Later.Requests),
        ["ignore_port_in_host_matching"] = Obeyed,
        ["vhost_header"] = Refused(Later.Policies),
        ["ignore_path_parameters_in_path_matching"] = Obeyed,
        ["typed_per_filter_config"] = Obeyed.Of(() => [HttpFilterFields.Fault, HttpFilterFields.CorsPolicy]),
        ["metadata"] = Harmless("only describes"),
        ["route_specifiers"] = Refused(Later.Never),
    };

    public static readonly MessageFields VirtualHost = new ProtoFields("envoy.config.route.v3.VirtualHost")
    {
        ["name"] = Obeyed,
        ["domains"] = Obeyed,
        ["routes"] = Obeyed.Of(() => Route),
        ["matcher"] = Refused(Later.Policies),
        ["require_tls"] = Obeyed,
        ["virtual_clusters"] = Warned("their statistics are not kept; they come with the issue requests"),
        ["rate_limits"] = Refused(Later.Policies),
        ["request_headers_to_add"] = Obeyed.Of(() => CoreFields.HeaderValueOption),
        ["request_headers_to_remove"] = Obeyed,
        ["response_headers_to_add"] = Obeyed.Of(() => CoreFields.HeaderValueOption),
        ["response_headers_to_remove"] = Obeyed,
        ["cors"] = Refused(Later.Requests),
        ["typed_per_filter_config"] = Obeyed.Of(() => [HttpFilterFields.Fault, HttpFilterFields.CorsPolicy]),
        ["include_request_attempt_count"] = Obeyed,
        ["include_attempt_count_in_response"] = Obeyed,
        ["retry_policy"] = Obeyed.Of(() => RouteActionFields.RetryPolicy),
        ["retry_policy_typed_config"] = Refused(Later.Never),
        ["hedge_policy"] = Refused(Later.Policies),
        ["include_is_timeout_retry_header"] = Refused(Later.Safe),
        ["per_request_buffer_limit_bytes"] = Obeyed,
        ["request_body_buffer_limit"] = Obeyed,
        ["request_mirror_policies"] = Refused(Later.Requests),
        ["metadata"] = Harmless("only describes"),
        ["route_specifiers"] = Refused(Later.Never),
    };

    public static readonly MessageFields Route = new ProtoFields("envoy.config.route.v3.Route")
    {
        ["name"] = Obeyed,
        ["match"] = Obeyed.Of(() => RouteMatch),
        ["route"] = Obeyed.Of(() => RouteActionFields.RouteAction),
        ["redirect"] = Obeyed.Of(() => RedirectAction),
        ["direct_response"] = Obeyed.Of(() => DirectResponseAction),
        ["filter_action"] = Refused(Later.Never),
        ["non_forwarding_action"] = Obeyed.Of(() => NonForwardingAction),
        ["metadata"] = Harmless("only describes"),
        ["decorator"] = Warned("names a span, and nothing is traced yet"),
        ["typed_per_filter_config"] = Obeyed.Of(() => [HttpFilterFields.Fault, HttpFilterFields.CorsPolicy]),
        ["request_headers_to_add"] = Obeyed.Of(() => CoreFields.HeaderValueOption),
        ["request_headers_to_remove"] = Obeyed,
        ["response_headers_to_add"] = Obeyed.Of(() => CoreFields.HeaderValueOption),
        ["response_headers_to_remove"] = Obeyed,
        ["tracing"] = Warned("nothing is traced yet"),
        ["per_request_buffer_limit_bytes"] = Obeyed,
        ["stat_prefix"] = Warned("no statistics are kept per route; they come with the issue requests"),
        ["request_body_buffer_limit"] = Obeyed,
        ["route_specifiers"] = Refused(Later.Never),
    };

    public static readonly MessageFields RouteMatch = new ProtoFields("envoy.config.route.v3.RouteMatch")
    {
        ["prefix"] = Obeyed,
        ["path"] = Obeyed,
        ["safe_regex"] = Obeyed.Of(() => MatcherFields.RegexMatcher),
        ["connect_matcher"] = Obeyed.Of(() => ConnectMatcher),
        ["path_separated_prefix"] = Obeyed,
        ["path_match_policy"] = Refused(Later.Policies),
        ["case_sensitive"] = Obeyed,
        ["runtime_fraction"] = Obeyed.Of(() => CoreFields.RuntimeFractionalPercent),
        ["headers"] = Obeyed.Of(() => HeaderMatcher),
        ["query_parameters"] = Obeyed.Of(() => QueryParameterMatcher),
        ["cookies"] = Refused(Later.Policies),
        ["grpc"] = Refused(Later.Policies),
        ["tls_context"] = Refused(Later.Policies),
        ["dynamic_metadata"] = Refused(Later.Policies),
        ["filter_state"] = Refused(Later.Policies),
    };

    public static readonly MessageFields ConnectMatcher = new ProtoFields("envoy.config.route.v3.RouteMatch.ConnectMatcher")
    {
    };

    public static readonly MessageFields HeaderMatcher = new ProtoFields("envoy.config.route.v3.HeaderMatcher")
    {
        ["name"] = Obeyed,
        ["exact_match"] = Obeyed,
        ["safe_regex_match"] = Obeyed.Of(() => MatcherFields.RegexMatcher),
        ["range_match"] = Obeyed.Of(() => CoreFields.Int64Range),
        ["present_match"] = Obeyed,
        ["prefix_match"] = Obeyed,
        ["suffix_match"] = Obeyed,
        ["contains_match"] = Obeyed,
        ["string_match"] = Obeyed.Of(() => MatcherFields.StringMatcher),
        ["invert_match"] = Obeyed,
        ["treat_missing_header_as_empty"] = Obeyed,
    };

    public static readonly MessageFields QueryParameterMatcher = new ProtoFields("envoy.config.route.v3.QueryParameterMatcher")
    {
        ["name"] = Obeyed,
        ["string_match"] = Obeyed.Of(() => MatcherFields.StringMatcher),
        ["present_match"] = Obeyed,
    };

    public static readonly MessageFields DirectResponseAction = new ProtoFields("envoy.config.route.v3.DirectResponseAction")
    {
        ["status"] = Obeyed,
        ["body"] = Obeyed.Of(() => CoreFields.DataSource),
        ["body_format"] = Refused(Later.Policies),
    };

    public static readonly MessageFields RedirectAction = new ProtoFields("envoy.config.route.v3.RedirectAction")
    {
        ["https_redirect"] = Obeyed,
        ["scheme_redirect"] = Obeyed,
        ["host_redirect"] = Obeyed,
        ["port_redirect"] = Obeyed,
        ["path_redirect"] = Obeyed,
        ["prefix_rewrite"] = Obeyed,
        ["regex_rewrite"] = Obeyed.Of(() => MatcherFields.RegexMatchAndSubstitute),
        ["path_rewrite"] = Refused(Later.Policies),
        ["response_code"] = Obeyed,
        ["strip_query"] = Obeyed,
    };

    public static readonly MessageFields NonForwardingAction = new ProtoFields("envoy.config.route.v3.NonForwardingAction")
    {
    };
}
