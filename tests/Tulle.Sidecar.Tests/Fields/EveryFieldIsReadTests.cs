using Tulle.Base.Documents;
using Tulle.Sidecar.Fields;

namespace Tulle.Sidecar.Tests.Fields;

/// <summary>
/// A resource for every obeyed field of every message, and one field more that does not exist: a converter that reads without an entry throws, one that
/// leaves an obeyed field unread or a message unjudged is found by what it says.
/// </summary>
public class EveryFieldIsReadTests
{
    public static IEnumerable<object[]> Messages => SampleResources.Paths().Select(p => new object[] { p.ToString() });

    [Theory]
    [MemberData(nameof(Messages))]
    public void Every_obeyed_field_is_read_and_an_unknown_one_is_refused(string path)
    {
        var way = SampleResources.Paths().Single(p => p.ToString() == path);
        var wrong = new List<string>();
        foreach (var field in way.Last.Rules.Where(r => r.Value.Word == FieldWord.Obeyed).Select(r => r.Key).DefaultIfEmpty("none"))
        {
            var document = SampleResources.Build(way, field);
            var said = Convert(way.Root, document);
            if (!said.Any(d => d.Path.EndsWith("zz_unknown", StringComparison.Ordinal)))
                wrong.Add($"{field}: a field that does not exist beside it is not refused in {document}: {string.Join("; ", said)}");
            wrong.AddRange(said.Where(d => d.Message.StartsWith("has no effect beside", StringComparison.Ordinal)).Select(d => $"{field}: nobody reads {d.Path} in {document}"));
        }
        Assert.True(wrong.Count == 0, string.Join("\n", wrong));
    }

    private static IReadOnlyList<Diagnostic> Convert(MessageFields root, Node document)
    {
        var context = new ConversionContext("sample", _ => null);
        if (root == BootstrapFields.Bootstrap)
            Bootstrap.Read(document, context.Diagnostics, "", "");
        else if (root == ClusterFields.Cluster)
            ClusterConverter.Convert(document, context);
        else if (root == ListenerFields.Listener)
            ListenerConverter.Convert(document, context, null);
        else if (root == RouteTableFields.RouteConfiguration)
            RouteConverter.Convert(context.Reader(document, root), context, null);
        else if (root == EndpointFields.ClusterLoadAssignment)
            EndpointConverter.Convert(context.Reader(document, root), context);
        else
            TlsConverter.Secret(document, context);
        return context.Diagnostics.All;
    }
}
