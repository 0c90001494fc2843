using Tulle.Base.Documents;
using Tulle.Model;
using Tulle.Resources;
using Tulle.Translate;
using Tulle.Xds;

namespace Tulle.Control.Tests;

/// <summary>Gives resources that a test wrote down, and counts how often it was asked.</summary>
internal sealed class FakeMaker : IResourceMaker
{
    public Dictionary<string, Dictionary<string, string>> Content { get; } = new(StringComparer.Ordinal);

    /// <summary>Types that cannot be made.</summary>
    public HashSet<string> Broken { get; } = new(StringComparer.Ordinal);

    public int Made { get; private set; }

    public static readonly MeshModel Empty = MeshModel.Build(new ResourceSet(), new MeshSettings(), new AddressAllocator());

    public ProxyView Identify(Published published, Node node) => ProxyView.Read(node, published.Model) ?? throw new XdsRefusedException(3, "no node");

    public TranslatedResources Make(Published published, ProxyView proxy, string type)
    {
        Made++;
        if (Broken.Contains(type))
            return new TranslatedResources(new Dictionary<string, XdsResource>(), ["broken"]);
        var content = Content.GetValueOrDefault(type) ?? [];
        return new TranslatedResources(content.ToDictionary(c => c.Key, c => new XdsResource(c.Key, c.Value, type,
            ProtoWriter.Write(type[XdsTypes.Prefix.Length..], Node.Map((XdsTypes.NameField(type), c.Key)))), StringComparer.Ordinal), []);
    }

    public void Set(string type, params (string Name, string Version)[] resources) => Content[type] = resources.ToDictionary(r => r.Name, r => r.Version, StringComparer.Ordinal);
}
