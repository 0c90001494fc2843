using Tulle.Base.Documents;
using Tulle.Xds;

namespace Tulle.Control.Tests;

/// <summary>One stream: what is asked, what is answered, what waits.</summary>
public class ProxyStreamTests
{
    private readonly FakeMaker _maker = new();
    private readonly ManualTime _time = new();

    private FakeProxy Proxy(bool isDelta = true) => new(isDelta, _maker, _time);

    private static string Status(FakeProxy proxy, string type) => proxy.Stream.Describe().At("types", type, "status")!.AsText;

    [Theory]
    [InlineData("")]
    [InlineData("istio.io/debug")]
    [InlineData("istio.io/debug/syncz")]
    [InlineData("type.googleapis.com/")]
    [InlineData("type.googleapis.com/a b")]
    [InlineData("x")]
    public void B01_a_type_that_is_no_type_url_is_refused_and_nothing_else(string type)
    {
        var proxy = Proxy();
        var refused = Assert.Throws<XdsRefusedException>(() => proxy.Request(type));
        Assert.Equal(3, refused.Status);
        Assert.Null(Record.Exception(proxy.Publish));
    }

    [Fact]
    public void B01_a_type_that_nobody_serves_is_answered_with_nothing()
    {
        var proxy = Proxy();
        proxy.Request("type.googleapis.com/istio.workload.Address");
        Assert.Empty(proxy.Next()!.Names);
        Assert.Null(Record.Exception(proxy.Publish));
    }

    [Fact]
    public void D10_a_stream_has_a_bound_of_types()
    {
        var proxy = Proxy();
        for (var i = 0; i < XdsServerState.TypesMax; i++)
            proxy.Request($"type.googleapis.com/a.B{i}");
        Assert.Equal(8, Assert.Throws<XdsRefusedException>(() => proxy.Request("type.googleapis.com/a.C")).Status);
    }

    [Fact]
    public void D05_a_node_that_cannot_be_read_is_refused_by_its_id()
    {
        var proxy = new FakeProxy(true, new ResourceMaker(Caller.Nobody, ControlOptions.Parse([]), new TranslationLog()), _time, "web-1");
        var refused = Assert.Throws<XdsRefusedException>(() => proxy.Request(XdsTypes.Cluster));
        Assert.Equal(3, refused.Status);
        Assert.Contains("web-1", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void B08_one_response_of_a_type_is_under_way_and_what_comes_meanwhile_is_one_more(bool isDelta)
    {
        var proxy = Proxy(isDelta);
        _maker.Set(XdsTypes.Cluster, ("a", "1"));
        proxy.Request(XdsTypes.Cluster);
        var first = proxy.Next()!;
        for (var i = 2; i < 50; i++)
        {
            _maker.Set(XdsTypes.Cluster, ("a", i.ToString(System.Globalization.CultureInfo.InvariantCulture)));
            proxy.Publish();
        }
        Assert.Null(proxy.Next());
        proxy.Ack(first);
        Assert.Equal(["a"], proxy.Next()!.Names);
        Assert.Null(proxy.Next());
    }

    [Fact]
    public void D02_synced_is_who_acknowledged()
    {
        var proxy = Proxy();
        _maker.Set(XdsTypes.Cluster, ("a", "1"));
        proxy.Request(XdsTypes.Cluster);
        var first = proxy.Next()!;
        Assert.Equal("SENT", Status(proxy, "CDS"));
        _time.Advance(TimeSpan.FromMilliseconds(ProxyStream.StaleMs));
        Assert.Equal("STALE", Status(proxy, "CDS"));
        proxy.Ack(first);
        Assert.Equal("SYNCED", Status(proxy, "CDS"));
        _maker.Set(XdsTypes.Cluster, ("a", "2"));
        proxy.Publish();
        proxy.Request(XdsTypes.Cluster, proxy.Next()!.Nonce, "no such field");
        Assert.Equal("REJECTED", Status(proxy, "CDS"));
        Assert.Equal("no such field", proxy.Stream.Describe().At("types", "CDS", "error")!.AsText);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void D03_an_ack_makes_nothing(bool isDelta)
    {
        var proxy = Proxy(isDelta);
        _maker.Set(XdsTypes.Cluster, ("a", "1"));
        _maker.Set(XdsTypes.Listener, ("l", "1"));
        proxy.Request(XdsTypes.Cluster);
        proxy.Request(XdsTypes.Listener);
        var sent = new[] { proxy.Next()!, proxy.Next()! };
        var made = _maker.Made;
        foreach (var response in sent)
            proxy.Ack(response);
        Assert.Equal(made, _maker.Made);
        // A change makes each type once, whatever is acknowledged in between.
        _maker.Set(XdsTypes.Cluster, ("a", "2"));
        _maker.Set(XdsTypes.Listener, ("l", "2"));
        proxy.Publish();
        proxy.Drain();
        Assert.Equal(made + 2, _maker.Made);
    }

    [Fact]
    public void B07_an_older_model_never_follows_a_newer_one()
    {
        var proxy = Proxy();
        _maker.Set(XdsTypes.Cluster, ("a", "1"));
        proxy.Request(XdsTypes.Cluster);
        proxy.Drain();
        var older = proxy.Newest;
        _maker.Set(XdsTypes.Cluster, ("a", "2"));
        proxy.Publish();
        proxy.Drain();
        _maker.Set(XdsTypes.Cluster, ("a", "1"));
        proxy.Stream.Push(older);
        Assert.Null(proxy.Next());
    }

    [Fact]
    public void B02_a_type_that_cannot_be_made_takes_nothing_away_and_others_go_on()
    {
        var proxy = Proxy();
        _maker.Set(XdsTypes.Cluster, ("a", "1"));
        _maker.Set(XdsTypes.Listener, ("l", "1"));
        proxy.Request(XdsTypes.Cluster);
        proxy.Request(XdsTypes.Listener);
        proxy.Drain();
        _maker.Broken.Add(XdsTypes.Cluster);
        _maker.Set(XdsTypes.Listener, ("l", "2"));
        proxy.Publish();
        var all = proxy.Drain();
        Assert.Equal(XdsTypes.Listener, Assert.Single(all).Type);
        Assert.Contains("a", proxy.Held[XdsTypes.Cluster]);
        _maker.Broken.Clear();
        _maker.Set(XdsTypes.Cluster);
        proxy.Publish();
        proxy.Drain();
        Assert.Empty(proxy.Held[XdsTypes.Cluster]);
    }

    [Fact]
    public void A_refusal_said_again_and_again_is_counted()
    {
        var proxy = Proxy();
        _maker.Set(XdsTypes.Cluster, ("a", "1"));
        proxy.Request(XdsTypes.Cluster);
        var first = proxy.Next()!;
        for (var i = 0; i < 5; i++)
            proxy.Request(XdsTypes.Cluster, first.Nonce, "no");
        Assert.Equal(5, proxy.Stream.Describe().At("types", "CDS", "refusals")!.AsInteger);
        Assert.Null(proxy.Next());
    }
}
