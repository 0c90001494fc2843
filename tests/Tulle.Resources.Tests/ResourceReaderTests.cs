using Tulle.Base.Documents;

namespace Tulle.Resources.Tests;

public class ResourceReaderTests
{
    [Theory]
    [InlineData("kind: Service\nmetadata: { name: a }\n", "apiVersion")]
    [InlineData("apiVersion: v1\nmetadata: { name: a }\n", "kind")]
    [InlineData("apiVersion: v1\nkind: Service\n", "metadata.name")]
    [InlineData("apiVersion: v1\nkind: { a: b }\nmetadata: { name: a }\n", "kind")]
    [InlineData("apiVersion: v1\nkind: Service\nmetadata: []\n", "metadata")]
    public void An_object_that_cannot_be_told_is_an_error_at_its_place(string yaml, string path)
    {
        var findings = new Diagnostics();
        new ResourceReader(new ResourceSet(), findings).Read(yaml, "a.yaml");
        Assert.Contains(findings.All, f => f.Severity == Severity.Error && f.Path == path && f.Position.File == "a.yaml");
    }
}
