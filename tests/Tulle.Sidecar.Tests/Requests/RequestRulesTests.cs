using Tulle.Base.Documents;
using static Tulle.Sidecar.Tests.Requests.OneRequest;

namespace Tulle.Sidecar.Tests.Requests;

/// <summary>Rows 8, 9, 10, 12, 13, 35 and 36 and finding H7. The expectations were measured on Envoy 1.40.</summary>
public class RequestRulesTests
{
    [Theory]
    [InlineData("REJECT_REQUEST", "400", null)]
    [InlineData("DROP_HEADER", "200", null)]
    [InlineData("ALLOW", "200", "1")]
    public void Row08_names_with_underscores(string action, string status, string? reaches)
    {
        var seen = Through($"common_http_protocol_options: {{ headers_with_underscores_action: {action} }}", Get("/", "x_under: 1", "x-ok: 1"));
        Assert.Equal(status, seen.Status);
        Assert.Equal(reaches, seen.Field("x_under"));
    }

    [Theory]
    [InlineData("/a%2Fb%5Cc?x=%2F", "307", "/a/b/c?x=%2F")]
    [InlineData("/a/%2F/../b", "307", "/a//b")]
    [InlineData("/a/..;x=1/b", "200", null)]
    public void Row09_escaped_slashes_are_redirected(string path, string status, string? location)
    {
        var seen = Through("normalize_path: true\n                  path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT", Get(path));
        Assert.Equal(status, seen.Status);
        Assert.Equal(location, seen.Answer("location"));
    }

    [Theory]
    [InlineData("/a/..;x=1/b", "/b")]
    [InlineData("/a/.;y/b", "/a/b")]
    [InlineData("/a/%2e%2e;q/b", "/a/..;q/b")]
    [InlineData("/a/b/..;/..;z/c", "/c")]
    [InlineData("/a;p=1/b", "/a;p=1/b")]
    [InlineData("/a/...;/b", "/a/...;/b")]
    [InlineData("/a/..;", "/")]
    [InlineData("/a/.;", "/a/")]
    [InlineData("/a//../b", "/a/b")]
    [InlineData("/a\\b\\..\\c", "/a/c")]
    [InlineData("/a?..;/b", "/a?..;/b")]
    [InlineData("/a/..;x=1;y=2/c/..;/d", "/d")]
    public void Row09_dot_segments_with_parameters_are_resolved(string path, string expected) => Assert.Equal(expected, Through("normalize_path: true", Get(path)).Path);

    [Fact]
    public void Row09_an_encoded_NUL_is_refused_where_paths_are_normalized() => Assert.Equal("400", Through("normalize_path: true", Get("/a%00b")).Status);

    [Theory]
    [InlineData("ignore_path_parameters_in_path_matching: true,", "403")]
    [InlineData("", "200")]
    public void Row09_path_parameters_are_ignored_for_matching(string table, string status) =>
        Assert.Equal(status, Through("", Get("/admin;x=1/z"), "{ match: { path: /admin }, direct_response: { status: 403 } }, " + Anything, table).Status);

    [Fact]
    public void Row10_early_mutations_come_before_routing()
    {
        const string Early = "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";
        var seen = Through($"early_header_mutation_extensions: [ {{ name: e, typed_config: {{ \"@type\": {Early}, mutations: [ {{ append: {{ header: {{ key: x-e, value: v }}, append_action: OVERWRITE_IF_EXISTS_OR_ADD }} }}, {{ remove: x-gone }} ] }} }} ]",
            Get("/", "x-gone: 1", "x-e: 0"), "{ match: { prefix: /, headers: [ { name: x-e, string_match: { exact: v } } ] }, route: { cluster: u } }");
        Assert.Equal("v", seen.Field("x-e"));
        Assert.Null(seen.Field("x-gone"));
    }

    [Theory]
    [InlineData("a.", "a")]
    [InlineData("a.b.:81", "a.b:81")]
    [InlineData("a..", "a.")]
    public void Row10_a_trailing_dot_is_taken_off_the_host(string host, string expected) =>
        Assert.Equal(expected, Through("strip_trailing_host_dot: true", $"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").Field("host"));

    [Theory]
    [InlineData("", "", "403")]
    [InlineData("", "upgrade_configs: [ { upgrade_type: websocket } ]", "101")]
    [InlineData("upgrade_configs: [ { upgrade_type: websocket } ]", "upgrade_configs: [ { upgrade_type: websocket, enabled: false } ]", "403")]
    [InlineData("upgrade_configs: [ { upgrade_type: websocket } ]", "", "101")]
    [InlineData("upgrade_configs: [ { upgrade_type: websocket, enabled: false } ]", "upgrade_configs: [ { upgrade_type: websocket } ]", "101")]
    public void Row12_the_route_has_the_last_word_on_upgrades(string manager, string route, string status) => Assert.Equal(status, Send(
        Configuration(manager, $"{{ match: {{ prefix: / }}, route: {{ cluster: u, {route} }} }}"), Get("/", "Connection: Upgrade", "Upgrade: websocket"),
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").Status);

    [Theory]
    [InlineData("")]
    [InlineData("upgrade_configs: [ { upgrade_type: CONNECT } ]")]
    public void Row36_CONNECT_without_a_route_is_a_404(string manager) => Assert.Equal("404", Through(manager, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n").Status);

    [Theory]
    [InlineData("GET /", "426")]
    [InlineData("GET / HTTP/0.9", "426")]
    [InlineData("GET / HTTP/1.2", "426")]
    [InlineData("GET / HTTP/2.0", "426")]
    [InlineData("GET  HTTP/1.1", "400")]
    [InlineData("GET / http/1.1", "400")]
    public void Row37_other_versions_are_426(string line, string status) => Assert.Equal(status, Through("", line + "\r\nHost: a\r\n\r\n").Status);

    [Fact]
    public void Row13_absolute_targets_can_be_switched_off() =>
        Assert.Equal("404", Through("http_protocol_options: { allow_absolute_url: false }", "GET http://a/p HTTP/1.1\r\nHost: a\r\n\r\n").Status);

    [Fact]
    public void Row13_a_host_for_HTTP_1_0() =>
        Assert.Equal("d.test", Through("http_protocol_options: { accept_http_10: true, default_host_for_http_10: d.test }", "GET / HTTP/1.0\r\n\r\n").Field("host"));

    [Theory]
    [InlineData("http_protocol_options: { allow_custom_methods: true }", "200")]
    [InlineData("", "400")]
    public void Row13_custom_methods(string manager, string status) => Assert.Equal(status, Through(manager, "FOO / HTTP/1.1\r\nHost: a\r\n\r\n").Status);

    [Fact]
    public void Row13_the_request_id_is_told_to_the_client() =>
        Assert.Equal("abc", Through("always_set_request_id_in_response: true", Get("/", "x-request-id: abc"), "{ match: { prefix: / }, direct_response: { status: 200 } }").Answer("x-request-id"));

    [Fact]
    public void Row13_a_scheme_for_everybody()
    {
        var seen = Through("scheme_header_transformation: { scheme_to_overwrite: https }", Get("/"), "{ match: { prefix: / }, redirect: { path_redirect: /x } }");
        Assert.Equal("https://a/x", seen.Answer("location"));
    }

    [Fact]
    public void Row13_the_port_and_the_agent_are_told()
    {
        Assert.Equal("8080", Through("use_remote_address: true\n                  append_x_forwarded_port: true", Get("/", "x-forwarded-port: 1")).Field("x-forwarded-port"));
        Assert.Equal("", Through("add_user_agent: true", Get("/")).Field("user-agent"));
    }

    [Theory]
    [InlineData("POST", "0")]
    [InlineData("PUT", "0")]
    [InlineData("GET", null)]
    [InlineData("DELETE", null)]
    public void Row35_requests_that_should_have_content_say_that_they_have_none(string method, string? length) =>
        Assert.Equal(length, Through("", $"{method} / HTTP/1.1\r\nHost: a\r\n\r\n").Field("content-length"));

    [Theory]
    [InlineData("accept", "1,2")]
    [InlineData("authorization", "1,2")]
    [InlineData("user-agent", "1,2")]
    [InlineData("x-foo", "1|2")]
    [InlineData("cookie", "1|2")]
    public void Row35_repeated_fields_are_joined(string name, string expected) => Assert.Equal(expected, Through("", Get("/", $"{name}: 1", $"{name}: 2")).Field(name));

    [Theory]
    [InlineData("{ match: { safe_regex: { regex: \"/admin.*\" } }, direct_response: { status: 403 } }", "/admin", "")]
    [InlineData("{ match: { prefix: /, headers: [ { name: x-a, string_match: { prefix: bad } } ] }, direct_response: { status: 403 } }", "/", "x-a: bad")]
    [InlineData("{ match: { prefix: /, query_parameters: [ { name: q, string_match: { prefix: bad } } ] }, direct_response: { status: 403 } }", "/?q=bad", "")]
    public void H07_no_length_walks_past_a_deny_route(string route, string path, string field)
    {
        foreach (var length in new[] { 10, 1024, 1025, 8191, 8193, 20_000 })
        {
            var long_ = new string('x', length);
            var request = field.Length > 0 ? Get(path, field + long_) : Get(path + long_);
            Assert.Equal("403", Through("", request, route + ", " + Anything).Status);
        }
    }

    [Fact]
    public void H24_a_weighted_cluster_has_its_own_host() => Assert.Equal("w.test", Through("", Get("/"),
        "{ match: { prefix: / }, route: { host_rewrite_literal: r.test, weighted_clusters: { clusters: [ { name: u, weight: 1, host_rewrite_literal: w.test } ] } } }").Field("host"));

    private const string Rbac = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";

    [Theory]
    [InlineData("{ match: { prefix: / }, route: { weighted_clusters: { clusters: [ { name: u, weight: 0 } ] } } }", "", "", "weights sum to 0")]
    [InlineData("{ match: { prefix: / }, route: { cluster: u }, request_headers_to_remove: [host] }", "", "", "may not be edited")]
    [InlineData("{ match: { prefix: / }, route: { cluster: u }, request_headers_to_add: [ { header: { key: \":path\", value: /x } } ] }", "", "", "may not be edited")]
    [InlineData("{ match: { prefix: / }, direct_response: { status: 200, body: { inline_string: \"12345\" } } }", "max_direct_response_body_size_bytes: 4,", "", "5 bytes, 4 are allowed")]
    [InlineData(Anything, "typed_per_filter_config: { x: { \"@type\": " + Rbac + "PerRoute } },", "", "typed_per_filter_config[x]")]
    [InlineData(Anything, "", "typed_per_filter_config: { x: { \"@type\": " + Rbac + "PerRoute } },", "virtual_hosts[0].typed_per_filter_config[x]")]
    [InlineData("{ match: { prefix: / }, typed_per_filter_config: { x: { \"@type\": " + Rbac + "PerRoute } }, route: { cluster: u } }", "", "", "routes[0].typed_per_filter_config[x]")]
    [InlineData("{ match: { prefix: / }, route: { weighted_clusters: { clusters: [ { name: u, weight: 1, typed_per_filter_config: { x: { \"@type\": " + Rbac + "PerRoute } } } ] } } }", "", "", "clusters[0].typed_per_filter_config[x]")]
    public void H05_H24_what_cannot_be_obeyed_is_refused_at_every_level(string route, string table, string host, string says) =>
        Assert.Contains(says, Refusal(Configuration("", route, table, host)), StringComparison.Ordinal);

    [Theory]
    [InlineData("disabled: true")]
    [InlineData("is_optional: true")]
    public void H05_a_filter_that_denies_is_never_passed_over(string how) => Assert.Contains("HTTP filter envoy.extensions.filters.http.rbac.v3.RBAC is not supported",
        Refusal(Configuration("", Anything).Replace("http_filters: [ ", $"http_filters: [ {{ name: x, {how}, typed_config: {{ \"@type\": {Rbac} }} }}, ", StringComparison.Ordinal)), StringComparison.Ordinal);

    private static string Refusal(string configuration)
    {
        var diagnostics = new Diagnostics();
        new ConfigStore(Bootstrap.Read(Bootstrap.Parse(configuration, "test.yaml"), diagnostics, "", ""), new Proxy.StatsStore(1)).LoadStatic(diagnostics);
        return string.Join('\n', diagnostics.All);
    }
}
