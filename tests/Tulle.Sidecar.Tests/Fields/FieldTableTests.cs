using Tulle.Base.Documents;
using Tulle.Sidecar.Fields;
using Tulle.Xds;

namespace Tulle.Sidecar.Tests.Fields;

/// <summary>The tables against the .proto files: no field is without a word, and none is made up.</summary>
public class FieldTableTests
{
    [Fact]
    public void Every_declared_field_has_an_entry_and_every_entry_is_declared()
    {
        var wrong = new List<string>();
        foreach (var (place, table) in FieldTables.All)
        {
            if (ProtoSchema.Shared.Find(table.Name) is not { } message)
                continue;
            var declared = message.Fields.Select(f => f.Name).ToHashSet(StringComparer.Ordinal);
            wrong.AddRange(declared.Where(f => !table.Rules.ContainsKey(f)).Select(f => $"{place} lacks {f}"));
            wrong.AddRange(table.Rules.Keys.Where(f => !declared.Contains(f)).Select(f => $"{place} has {f}, which {table.Name} does not declare"));
        }
        Assert.Empty(wrong);
    }

    [Fact]
    public void An_obeyed_field_that_holds_a_message_names_its_table()
    {
        var wrong = new List<string>();
        foreach (var (place, table) in FieldTables.All)
        {
            foreach (var (name, rule) in table.Rules.Where(r => r.Value.Word == FieldWord.Obeyed))
            {
                if (ProtoSchema.Shared.Find(table.Name)?.Find(name) is not { Message: { } message } field || field.TypeName.StartsWith("google.protobuf.", StringComparison.Ordinal))
                    continue;
                if (rule.Messages is not [var only] || only.Name != message.Name)
                    wrong.Add($"{place}.{name} holds {message.Name}; the table says {string.Join(", ", rule.Messages.Select(m => m.Name))}");
            }
        }
        Assert.Empty(wrong);
    }

    [Fact]
    public void Whoever_is_not_obeyed_says_why() => Assert.Empty(FieldTables.All
        .SelectMany(t => t.Table.Rules.Where(r => r.Value.Word != FieldWord.Obeyed && r.Value.Reason.Length < 8).Select(r => $"{t.Place}.{r.Key}")));

    [Theory]
    [InlineData("a bool without presence", "envoy.config.listener.v3.Listener", "reuse_port", false, true)]
    [InlineData("a wrapper has presence", "envoy.config.listener.v3.Listener", "freebind", false, false)]
    [InlineData("an empty message is something", "envoy.config.cluster.v3.Cluster", "preconnect_policy", "{}", false)]
    [InlineData("an empty list is nothing", "envoy.config.cluster.v3.Cluster", "health_checks", "[]", true)]
    [InlineData("an enum's first value", "envoy.config.cluster.v3.Cluster", "protocol_selection", "USE_CONFIGURED_PROTOCOL", true)]
    [InlineData("another value", "envoy.config.cluster.v3.Cluster", "protocol_selection", "USE_DOWNSTREAM_PROTOCOL", false)]
    [InlineData("a oneof has presence", "envoy.config.route.v3.RouteAction", "host_rewrite_path_regex", "{}", false)]
    public void Proto3_defaults_count_as_not_set(string why, string message, string field, object value, bool expected)
    {
        Node node = value switch { bool b => b, "{}" => Node.Map(), "[]" => Node.List(), _ => Node.Of((string)value) };
        Assert.True(expected == new ProtoFields(message).IsUnset(field, node), why);
    }

    [Fact]
    public void A_reader_cannot_take_what_the_table_does_not_call_obeyed()
    {
        var reader = new FieldReader(Node.Map(), new Diagnostics(), "t", "", ClusterFields.Cluster);
        Assert.Throws<InvalidOperationException>(() => reader.Raw("preconnect_policy"));
        Assert.Throws<InvalidOperationException>(() => reader.Raw("no_such_field"));
        Assert.Null(reader.Raw("connect_timeout"));
    }

    [Fact]
    public void Done_says_what_became_of_each_field()
    {
        var diagnostics = new Diagnostics();
        var document = Node.Map(("name", "c"), ("cleanupInterval", "1s"), ("respect_dns_ttl", true), ("preconnect_policy", Node.Map()), ("lb_policy", "RANDOM"), ("nonsense", 1));
        var reader = new FieldReader(document, diagnostics, "cluster c", "", ClusterFields.Cluster);
        _ = reader.Text("name");
        reader.Done();
        var said = diagnostics.All.Select(d => $"{d.Severity} {d.Path}").ToList();
        Assert.Equal(["Warning respect_dns_ttl", "Error preconnect_policy", "Error lb_policy", "Error nonsense"], said);
    }
}
