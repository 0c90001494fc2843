using Tulle.Base.Documents;
using Tulle.ControlShared;
using Tulle.Xds;

namespace Tulle.Translate.Tests;

public class TranslatorTests
{
    [Theory]
    [InlineData("")]
    [InlineData("x")]
    [InlineData("type.googleapis.com/")]
    [InlineData("type.googleapis.com/istio.workload.Address")]
    public void B01_a_type_that_nobody_makes_is_empty(string type)
    {
        var model = Meshes.Of(Meshes.Namespace() + Meshes.Service("web"));
        var proxy = ProxyView.Read(Node.Map(("id", "sidecar~1.2.3.4~web.shop~shop.svc.cluster.local")), model)!;
        Assert.Empty(Translator.Resources(model, proxy, type).Resources);
        Assert.Empty(Translator.Resources(model, proxy, type).Failures);
        Assert.NotEmpty(Translator.Resources(model, proxy, XdsTypes.Cluster).Resources);
    }
}
