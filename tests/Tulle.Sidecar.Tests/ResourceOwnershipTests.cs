using Tulle.Base.Documents;
using Tulle.Xds;

namespace Tulle.Sidecar.Tests;

/// <summary>Resources belong to the source that sent them, listeners to their address, and nothing is waited for for ever.</summary>
public sealed class ResourceOwnershipTests
{
    private const string Ads = "ads";

    private readonly Proxy.StatsStore _stats = new(1);

    private ConfigStore Load(string configuration, bool expectErrors = false)
    {
        var diagnostics = new Diagnostics();
        var store = new ConfigStore(Bootstrap.Read(Bootstrap.Parse(configuration, "test.yaml"), diagnostics, "", ""), _stats);
        store.LoadStatic(diagnostics);
        Assert.Equal(expectErrors, diagnostics.HasErrors);
        Errors = string.Join('\n', diagnostics.All);
        return store;
    }

    private string Errors { get; set; } = "";

    private static string Cluster(string name, string more = "type: STATIC") => $"{{ name: {name}, {more} }}";

    private static string Listener(string name, string address = "10.0.0.2", int port = 80, string routes = "route_config: { virtual_hosts: [] }", string more = "", string chain = "") => $$"""
        { name: {{name}}, {{more}} address: { socket_address: { address: "{{address}}", port_value: {{port}} } }, filter_chains: [ { {{chain}} filters: [ { name: h, typed_config: {
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: h, {{routes}},
        http_filters: [ { name: r, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } } ] } } ] } ] }
        """.ReplaceLineEndings(" ");

    private static XdsUpdate Update(string type, params string[] resources)
    {
        var nodes = resources.Select(r => NodeYaml.Parse(r, "update.yaml")).ToList();
        return new XdsUpdate(type, "n", "v", nodes.Select(n => (ConversionContext.Name(type, n), "", n)).ToList(), [], XdsTypes.IsWildcardType(type));
    }

    private static XdsUpdate Removal(string type, string name) => new(type, "n", "v", [], [name], false);

    [Fact]
    public void H28_a_static_cluster_is_neither_replaced_nor_removed_by_cds()
    {
        var store = Load($"static_resources: {{ clusters: [ {Cluster("u", "connect_timeout: 7s")} ] }}");
        var refused = store.Apply(Ads, Update(XdsTypes.Cluster, Cluster("u", "connect_timeout: 1s"), Cluster("other")));
        Assert.Contains("static", Assert.Single(refused).Value, StringComparison.Ordinal);
        Assert.Equal(7000, store.Rebuild().Clusters["u"].ConnectTimeoutMs);
        Assert.True(store.Current.Clusters.ContainsKey("other"));
        Assert.Empty(store.Apply(Ads, Update(XdsTypes.Cluster)));
        Assert.Equal(["u"], store.Rebuild().Clusters.Keys);
        Assert.Empty(store.Apply(Ads, Removal(XdsTypes.Cluster, "u")));
        Assert.Equal(["u"], store.Rebuild().Clusters.Keys);
    }

    [Fact]
    public void H28_a_static_listener_is_neither_replaced_nor_removed_by_lds()
    {
        var store = Load($"static_resources: {{ listeners: [ {Listener("l")} ] }}");
        Assert.Single(store.Apply(Ads, Update(XdsTypes.Listener, Listener("l", port: 81))));
        Assert.Empty(store.Apply(Ads, Update(XdsTypes.Listener)));
        Assert.Empty(store.Apply(Ads, Removal(XdsTypes.Listener, "l")));
        Assert.Equal(80, Assert.Single(store.Rebuild().Listeners).Address.Port);
    }

    [Fact]
    public void Row30_two_sources_with_a_route_table_of_one_name_are_not_mixed()
    {
        var store = Load($$"""
            static_resources:
              listeners:
              - {{Listener("a", port: 80, routes: "rds: { route_config_name: r, config_source: { path_config_source: { path: /a } } }")}}
              - {{Listener("b", port: 81, routes: "rds: { route_config_name: r, config_source: { path_config_source: { path: /b } } }")}}
            """);
        store.Apply("file:/a", Update(XdsTypes.Route, "{ name: r, virtual_hosts: [ { name: of-a, domains: ['*'] } ] }"));
        Assert.Equal(["a"], store.Rebuild().Listeners.Select(l => l.Name));
        store.Apply("file:/b", Update(XdsTypes.Route, "{ name: r, virtual_hosts: [ { name: of-b, domains: ['*'] } ] }"));
        var snapshot = store.Rebuild();
        string HostOf(int listener) => snapshot.Routes[snapshot.Listeners.Single(l => l.Address.Port == listener).Chains[0].Http!.RouteName].Hosts[0].Name;
        Assert.Equal("of-a", HostOf(80));
        Assert.Equal("of-b", HostOf(81));
    }

    [Fact]
    public void Row30_two_sources_with_endpoints_of_one_name_are_not_mixed()
    {
        static string Eds(string name, string file) => Cluster(name, $"type: EDS, eds_cluster_config: {{ service_name: s, eds_config: {{ path_config_source: {{ path: {file} }} }} }}");
        var store = Load($"static_resources: {{ clusters: [ {Eds("x", "/x")}, {Eds("y", "/y")} ] }}");
        static string Assignment(string address) => "{ cluster_name: s, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: "
            + address + ", port_value: 80 } } } } ] } ] }";
        store.Apply("file:/x", Update(XdsTypes.Endpoint, Assignment("10.0.0.7")));
        Assert.Equal(["x"], store.Rebuild().Clusters.Keys);
        store.Apply("file:/y", Update(XdsTypes.Endpoint, Assignment("10.0.0.8")));
        var snapshot = store.Rebuild();
        Assert.Equal("10.0.0.7:80", snapshot.Endpoints["x"].Endpoints[0].Address.ToString());
        Assert.Equal("10.0.0.8:80", snapshot.Endpoints["y"].Endpoints[0].Address.ToString());
    }

    [Theory]
    [InlineData("10.0.0.2", 80, "", true)]
    [InlineData("10.0.0.2", 80, "bind_to_port: false,", true)]
    [InlineData("0.0.0.0", 80, "", false)]
    [InlineData("10.0.0.2", 81, "", false)]
    public void H29_two_listeners_on_one_address_are_refused(string address, int port, string more, bool isRefused)
    {
        Load($"static_resources: {{ listeners: [ {Listener("l")}, {Listener("m", address, port, more: more)} ] }}", isRefused);
        Assert.Equal(isRefused, Errors.Contains("listener m: address", StringComparison.Ordinal));
        var store = Load($"static_resources: {{ listeners: [ {Listener("l")} ] }}");
        Assert.Equal(isRefused, store.Apply(Ads, Update(XdsTypes.Listener, Listener("m", address, port, more: more))).ContainsKey("m"));
        Assert.Equal(isRefused ? 1 : 2, store.Rebuild().Listeners.Count);
    }

    [Fact]
    public void H29_port_0_is_another_port_for_each() => Load($"static_resources: {{ listeners: [ {Listener("l", port: 0)}, {Listener("m", port: 0)} ] }}");

    [Fact]
    public void H29_a_listener_takes_the_address_of_one_that_goes_in_the_same_update()
    {
        var store = Load("{}");
        Assert.Empty(store.Apply(Ads, Update(XdsTypes.Listener, Listener("l"))));
        store.Rebuild();
        Assert.Empty(store.Apply(Ads, Update(XdsTypes.Listener, Listener("m"))));
        Assert.Equal(["m"], store.Rebuild().Listeners.Select(l => l.Name));
    }

    [Fact]
    public void H29_a_listener_that_cannot_be_bound_is_refused_and_the_last_one_stays()
    {
        var store = Load("{}");
        store.AddressCheck = listener => listener.Address.Port == 81 ? "the port is taken" : null;
        Assert.Empty(store.Apply(Ads, Update(XdsTypes.Listener, Listener("l"))));
        Assert.Contains("the port is taken", store.Apply(Ads, Update(XdsTypes.Listener, Listener("l", port: 81)))["l"], StringComparison.Ordinal);
        Assert.Equal(80, Assert.Single(store.Rebuild().Listeners).Address.Port);
    }

    [Fact]
    public void H29_a_probe_finds_a_taken_port_and_leaves_nothing_behind()
    {
        using var taken = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        taken.Start();
        var port = ((System.Net.IPEndPoint)taken.LocalEndpoint).Port;
        Assert.True(Base.Address.TryParseIp("127.0.0.1", port, out var address));
        Assert.True(Loop.ListenSocket.Probe(address, false) < 0);
        taken.Stop();
        Assert.Equal(0, Loop.ListenSocket.Probe(address, false));
        Assert.Equal(0, Loop.ListenSocket.Probe(address, false));
    }

    [Fact]
    public void Row30_two_static_clusters_of_one_name_are_refused() =>
        Load($"static_resources: {{ clusters: [ {Cluster("u")}, {Cluster("u")} ] }}", expectErrors: true);

    [Fact]
    public void Row30_a_static_secret_that_is_not_there_is_refused() => Load($"static_resources: {{ clusters: [ {Cluster("u", """
        transport_socket: { name: t, typed_config: { "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: { tls_certificate_sds_secret_configs: [ { name: nope } ] } } }
        """.Trim())} ] }}", expectErrors: true);

    [Theory]
    [InlineData("connect_timeout: -1s")]
    [InlineData("connect_timeout: { seconds: -1 }")]
    [InlineData("connect_timeout: 315576000001s")]
    [InlineData("dns_refresh_rate: -0.001s")]
    public void Row30_negative_and_endless_durations_are_refused(string field) => Load($"static_resources: {{ clusters: [ {Cluster("u", field)} ] }}", expectErrors: true);

    [Fact]
    public void H38_endpoints_of_another_service_name_that_do_not_come_are_not_waited_for()
    {
        var store = Load($"static_resources: {{ clusters: [ {Cluster("u", "type: EDS, eds_cluster_config: { service_name: s, eds_config: { ads: {} } }")} ] }}");
        store.Rebuild();
        Assert.True(store.HasWarming);
        store.Fetches.GiveUp(XdsTypes.Endpoint, new ResourceKey(Ads, "s"));
        Assert.Equal(["u"], store.Rebuild().Clusters.Keys);
        Assert.False(store.HasWarming);
    }

    [Fact]
    public void H38_routes_that_do_not_come_are_not_waited_for_but_a_secret_is_never_left_out()
    {
        const string Tls = """
            transport_socket: { name: t, typed_config: { "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext,
            common_tls_context: { tls_certificate_sds_secret_configs: [ { name: c, sds_config: { ads: {} } } ] } } },
            """;
        var store = Load($$"""
            static_resources:
              listeners:
              - {{Listener("l", routes: "rds: { route_config_name: r, config_source: { ads: {} } }")}}
              - {{Listener("tls", port: 443, chain: Tls.ReplaceLineEndings(" "))}}
            """);
        Assert.Empty(store.Rebuild().Listeners);
        store.Fetches.GiveUp(XdsTypes.Route, new ResourceKey(Ads, "r"));
        Assert.Equal(["l"], store.Rebuild().Listeners.Select(l => l.Name));
        Assert.True(store.HasWarming);
        store.Fetches.GiveUp(XdsTypes.Secret, new ResourceKey(Ads, "c"));
        Assert.Equal(["l"], store.Rebuild().Listeners.Select(l => l.Name));
        Assert.False(store.HasWarming);
    }

    [Fact]
    public void H38_each_resource_has_the_time_of_its_source()
    {
        static string Eds(string name, string wait) => Cluster(name, $"type: EDS, eds_cluster_config: {{ eds_config: {{ ads: {{}}{wait} }} }}");
        var store = Load($"static_resources: {{ clusters: [ {Eds("a", ", initial_fetch_timeout: 2s")}, {Eds("b", ", initial_fetch_timeout: 0s")}, {Eds("c", "")} ] }}");
        Assert.Equal([2000L, 0L, 15_000L], store.Interest()[(Ads, XdsTypes.Endpoint)].Values);
    }

    [Fact]
    public async Task H38_the_time_of_a_resource_ends_once_and_0_is_for_ever()
    {
        var fetches = new InitialFetches();
        var posted = new System.Collections.Concurrent.BlockingCollection<Action>();
        var ended = 0;
        var key = new ResourceKey(Ads, "x");
        fetches.Begin(XdsTypes.Route, new ResourceKey(Ads, "never"), 0, posted.Add, () => ended++);
        fetches.Begin(XdsTypes.Route, key, 1, posted.Add, () => ended++);
        fetches.Begin(XdsTypes.Route, key, 1, posted.Add, () => ended++);
        await Task.Run(() => posted.Take()());
        Assert.Equal(1, ended);
        Assert.True(fetches.IsOver(XdsTypes.Route, key));
        Assert.False(fetches.IsOver(XdsTypes.Route, new ResourceKey(Ads, "never")));
        Assert.Empty(posted);
    }

    [Fact]
    public void H41_endpoints_that_nobody_asks_for_are_forgotten()
    {
        var store = Load("{}");
        store.Apply(Ads, Update(XdsTypes.Cluster, Cluster("u", "type: EDS, eds_cluster_config: { eds_config: { ads: {} } }")));
        store.Apply(Ads, Update(XdsTypes.Endpoint, "{ cluster_name: u }"));
        store.Forget(store.Interest());
        Assert.Single(store.Endpoints);
        store.Apply(Ads, Update(XdsTypes.Cluster));
        store.Rebuild();
        store.Forget(store.Interest());
        Assert.Empty(store.Endpoints);
    }
}
