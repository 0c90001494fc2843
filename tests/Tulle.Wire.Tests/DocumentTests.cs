using Tulle.Base.Documents;

namespace Tulle.Wire.Tests;

public class DocumentTests
{
    [Theory]
    [InlineData("10s", 10_000)]
    [InlineData("0.25s", 250)]
    [InlineData("1h30m", 5_400_000)]
    [InlineData("15ms", 15)]
    public void Durations_are_read(string text, double expected)
    {
        Assert.True(Durations.TryParseMs(text, out var found));
        Assert.Equal(expected, found);
    }

    [Theory]
    [InlineData("")]
    [InlineData("10")]
    [InlineData("s")]
    [InlineData("10 s")]
    [InlineData("ten")]
    public void What_is_no_duration_is_refused(string text) => Assert.False(Durations.TryParseMs(text, out _));

    [Fact]
    public void Yaml_and_json_of_the_same_document_are_the_same()
    {
        var yaml = NodeYaml.Parse("a: 1\nb: [x, true, null]\nc:\n  d: \"1\"\n");
        var json = NodeJson.Parse("""{"a":1,"b":["x",true,null],"c":{"d":"1"}}""");
        Assert.Equal(NodeJson.Write(json), NodeJson.Write(yaml));
    }

    [Fact]
    public void A_broken_document_says_where()
    {
        var error = Assert.Throws<DocumentException>(() => NodeYaml.Parse("a: 1\nb: [", "rules.yaml"));
        Assert.StartsWith("rules.yaml:", error.Message, StringComparison.Ordinal);
    }
}
