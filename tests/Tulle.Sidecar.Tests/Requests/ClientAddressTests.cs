using static Tulle.Sidecar.Tests.Requests.OneRequest;

namespace Tulle.Sidecar.Tests.Requests;

/// <summary>Rows 5, 6 and 7 and finding H30: who the client is, what is internal, and what a client may say. The expectations were measured on Envoy 1.40.</summary>
public class ClientAddressTests
{
    private const string Internal = "internal_address_config: { cidr_ranges: [ { address_prefix: 10.0.0.0, prefix_len: 8 } ] }";
    private const string Edge = "use_remote_address: true";
    private const string PeerRoute = "{ match: { prefix: / }, route: { cluster: u }, request_headers_to_add: [ { header: { key: x-peer, value: \"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%\" } } ] }";
    private const string Custom = "type.googleapis.com/envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig";
    private const string Xff = "type.googleapis.com/envoy.extensions.http.original_ip_detection.xff.v3.XffConfig";

    private static string[] Lines(string fields) => fields.Split(';', StringSplitOptions.RemoveEmptyEntries);

    [Theory]
    [InlineData("", "", "PEER")]
    [InlineData("", "X-Forwarded-For: 8.8.8.8, 10.1.1.1", "10.1.1.1")]
    [InlineData("", "X-Forwarded-For: junk", "PEER")]
    [InlineData("xff_num_trusted_hops: 1", "X-Forwarded-For: 8.8.8.8, 10.1.1.1", "8.8.8.8")]
    [InlineData("xff_num_trusted_hops: 1", "X-Forwarded-For: 8.8.8.8;X-Forwarded-For: 10.1.1.2", "8.8.8.8")]
    [InlineData("xff_num_trusted_hops: 1", "X-Forwarded-For: 10.1.1.1", "PEER")]
    [InlineData("use_remote_address: true", "X-Forwarded-For: 8.8.8.8", "PEER")]
    [InlineData("use_remote_address: true, xff_num_trusted_hops: 1", "X-Forwarded-For: 8.8.8.8, 10.1.1.1", "10.1.1.1")]
    [InlineData("use_remote_address: true, xff_num_trusted_hops: 2", "X-Forwarded-For: 8.8.8.8, 10.1.1.1", "8.8.8.8")]
    [InlineData("use_remote_address: true, xff_num_trusted_hops: 1", "X-Forwarded-For: junk", "PEER")]
    public void Row05_the_client_is_found_behind_trusted_hops(string manager, string fields, string client)
    {
        var options = string.Join("\n                  ", manager.Split(", ", StringSplitOptions.RemoveEmptyEntries));
        var peer = Through(Edge, Get("/"), PeerRoute).Field("x-peer")!;
        Assert.Equal(client.Replace("PEER", peer, StringComparison.Ordinal), Through(options, Get("/", Lines(fields)), PeerRoute).Field("x-peer"));
    }

    [Fact]
    public void Row05_the_direct_peer_is_known_beside_the_client() => Assert.Equal(Through(Edge, Get("/"), PeerRoute).Field("x-peer"),
        Through("", Get("/", "X-Forwarded-For: 8.8.8.8"), PeerRoute.Replace("DOWNSTREAM_REMOTE", "DOWNSTREAM_DIRECT_REMOTE", StringComparison.Ordinal)).Field("x-peer"));

    [Fact]
    public void Row05_every_line_of_forwarded_for_stays_and_the_peer_is_appended()
    {
        var peer = Through(Edge, Get("/"), PeerRoute).Field("x-peer");
        Assert.Equal($"1.1.1.1,2.2.2.2,{peer}", Through(Edge, Get("/", "X-Forwarded-For: 1.1.1.1", "x-forwarded-for: 2.2.2.2")).Field("x-forwarded-for"));
    }

    [Theory]
    [InlineData("use_remote_address: true\n                  xff_num_trusted_hops: 1", "https")]
    [InlineData("use_remote_address: true", "http")]
    public void Row05_the_forwarded_proto_of_a_trusted_hop_stays(string manager, string proto) =>
        Assert.Equal(proto, Through(manager, Get("/", "x-forwarded-proto: https")).Field("x-forwarded-proto"));

    private static readonly string[] Steering =
    [
        "x-envoy-retry-on: 5xx", "x-envoy-retry-grpc-on: internal", "x-envoy-max-retries: 3", "x-envoy-upstream-rq-timeout-ms: 200", "x-envoy-upstream-rq-per-try-timeout-ms: 100",
        "x-envoy-retriable-status-codes: 409", "x-envoy-retriable-header-names: x-r", "x-envoy-hedge-on-per-try-timeout: true", "x-envoy-upstream-alt-stat-name: a",
        "x-envoy-upstream-rq-timeout-alt-response: 1", "x-envoy-force-trace: true", "x-envoy-ip-tags: a", "x-envoy-original-url: /",
    ];

    [Theory]
    [InlineData("", "")]
    [InlineData(Edge, "")]
    [InlineData(Internal, "")]
    [InlineData(Internal, "X-Forwarded-For: 10.1.1.1, 10.1.1.2")]
    [InlineData(Edge + "\n                  " + Internal, "X-Forwarded-For: 10.1.1.1")]
    public void H30_clients_that_are_not_internal_cannot_steer(string manager, string fields)
    {
        var seen = Through(manager, Get("/", [.. Steering, .. Lines(fields), "x-only: 1"]), table: "internal_only_headers: [x-only],");
        foreach (var field in Steering.Append("x-only: 1").Append("x-envoy-internal: true"))
            Assert.Null(seen.Field(field.Split(':')[0]));
        Assert.Equal("15000", seen.Field("x-envoy-expected-rq-timeout-ms"));
    }

    [Theory]
    [InlineData(Internal, "X-Forwarded-For: 10.1.1.1")]
    [InlineData(Edge + "\n                  " + Internal, "")]
    public void Row06_internal_clients_are_marked_and_steer(string manager, string fields)
    {
        var seen = Through(manager, Get("/", [.. Steering, .. Lines(fields), "x-only: 1"]), table: "internal_only_headers: [x-only],");
        Assert.Equal("true", seen.Field("x-envoy-internal"));
        Assert.Equal("1", seen.Field("x-only"));
        Assert.Equal("true", seen.Field("x-envoy-force-trace"));
        Assert.Equal("100", seen.Field("x-envoy-expected-rq-timeout-ms"));
        foreach (var field in Steering.Take(10))
            Assert.Null(seen.Field(field.Split(':')[0]));
    }

    [Theory]
    [InlineData("x-envoy-retry-on: nonsense", "400")]
    [InlineData("x-envoy-upstream-rq-timeout-ms: soon", "400")]
    [InlineData("x-envoy-retry-on: 5xx", "200")]
    public void Row33_strict_check_headers_refuses_what_makes_no_sense(string field, string status) => Assert.Equal(status,
        Through(Edge + "\n                  " + Internal, Get("/", field), router: "strict_check_headers: [x-envoy-retry-on, x-envoy-upstream-rq-timeout-ms]").Status);

    [Theory]
    [InlineData(Custom + ", header_name: x-real", "x-real: 4.4.4.4", "4.4.4.4")]
    [InlineData(Custom + ", header_name: x-real", "x-real: junk;x-forwarded-for: 9.9.9.9", "PEER")]
    [InlineData(Xff + ", xff_num_trusted_hops: 1", "x-forwarded-for: 1.1.1.1, 8.8.8.8, 10.0.0.9", "8.8.8.8")]
    [InlineData(Xff + ", xff_trusted_cidrs: { cidrs: [ { address_prefix: 10.0.0.0, prefix_len: 8 } ] }", "x-forwarded-for: 1.1.1.1, 8.8.8.8, 10.0.0.9", "8.8.8.8")]
    public void Row07_an_extension_finds_the_client(string extension, string fields, string client)
    {
        var peer = Through(Edge, Get("/"), PeerRoute).Field("x-peer")!;
        var seen = Through($"original_ip_detection_extensions: [ {{ name: e, typed_config: {{ \"@type\": {extension} }} }} ]", Get("/", Lines(fields)), PeerRoute);
        Assert.Equal(client.Replace("PEER", peer, StringComparison.Ordinal), seen.Field("x-peer"));
    }

    [Theory]
    [InlineData("x-real: 4.4.4.4", "200")]
    [InlineData("x-real: junk", "401")]
    [InlineData("x-other: 1", "401")]
    public void Row07_an_extension_may_refuse(string field, string status) => Assert.Equal(status, Through(
        $"original_ip_detection_extensions: [ {{ name: e, typed_config: {{ \"@type\": {Custom}, header_name: x-real, reject_with_status: {{ code: Unauthorized }} }} }} ]", Get("/", field)).Status);

    [Fact]
    public void Row07_an_address_that_is_trusted_may_be_internal() => Assert.Equal("true", Through(
        $"original_ip_detection_extensions: [ {{ name: e, typed_config: {{ \"@type\": {Custom}, header_name: x-real, allow_extension_to_set_address_as_trusted: true }} }} ]\n                  {Internal}",
        Get("/", "x-real: 10.3.3.3")).Field("x-envoy-internal"));

    [Theory]
    [InlineData("ALL", Edge + "\n                  " + Internal, "301")]
    [InlineData("EXTERNAL_ONLY", Edge + "\n                  " + Internal, "200")]
    [InlineData("EXTERNAL_ONLY", Edge, "301")]
    public void Row06_external_only_spares_internal_clients(string require, string manager, string status) =>
        Assert.Equal(status, Through(manager, Get("/"), host: $"require_tls: {require},").Status);
}
