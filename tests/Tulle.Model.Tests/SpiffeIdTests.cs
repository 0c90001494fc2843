namespace Tulle.Model.Tests;

public class SpiffeIdTests
{
    [Theory]
    [InlineData("spiffe://cluster.local/ns/a/sa/b", true)]
    [InlineData("spiffe://cluster.local/ns/a/sa/b/", false)]
    [InlineData("spiffe://cluster.local/ns/a/sa/", false)]
    [InlineData("spiffe://cluster.local/ns/a/sa/b c", false)]
    [InlineData("spiffe://cluster.local/ns/a%2Fsa/sa/b", false)]
    [InlineData("https://cluster.local/ns/a/sa/b", false)]
    [InlineData("", false)]
    public void An_identity_has_exactly_one_form(string text, bool isOne)
    {
        Assert.Equal(isOne, SpiffeId.TryParse(text, out var id));
        if (isOne)
            Assert.Equal(text, id.ToString());
    }
}
