using Tulle.Base.Documents;
using Tulle.Translate;

namespace Tulle.Control;

/// <summary>What one proxy gets under one model. Made once per proxy and model, and asked once per type.</summary>
internal interface IResourceMaker
{
    /// <summary>Who the proxy is under this model.</summary>
    /// <exception cref="Xds.XdsRefusedException">The node cannot be served, or is not who it says it is.</exception>
    ProxyView Identify(Published published, Node node);

    /// <summary>Never throws: what cannot be made is named in the result.</summary>
    TranslatedResources Make(Published published, ProxyView proxy, string type);
}
