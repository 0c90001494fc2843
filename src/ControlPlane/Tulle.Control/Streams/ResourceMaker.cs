using Tulle.Base.Documents;
using Tulle.Translate;
using Tulle.Xds;

namespace Tulle.Control;

/// <summary>Translation for one caller, within what that caller may have.</summary>
internal sealed class ResourceMaker(Caller caller, ControlOptions options, TranslationLog log) : IResourceMaker
{
    public ProxyView Identify(Published published, Node node)
    {
        var proxy = ProxyView.Read(node, published.Model)
            ?? throw new XdsRefusedException(3, $"node id \"{node["id"]?.AsText}\" is not of the form TYPE~ADDRESS~NAME.NAMESPACE~DOMAIN");
        CallerRules.Check(caller, node, proxy.IdNamespace, proxy.Workload, options.TrustDomain);
        return proxy;
    }

    public TranslatedResources Make(Published published, ProxyView proxy, string type)
    {
        if (type == XdsTypes.Secret && proxy.IsRouter && !CallerRules.MayHaveSecrets(caller, options.PlaintextSecrets))
        {
            log.Say($"xds: {proxy.Id} asks for keys over a connection that proves nothing; it gets none (--xds-tls, a unix socket, or --plaintext-secrets)");
            return new TranslatedResources(new Dictionary<string, XdsResource>(), []);
        }
        var made = Translator.Resources(published.Model, proxy, type);
        foreach (var failure in made.Failures)
            log.Fail(failure);
        return made;
    }
}
