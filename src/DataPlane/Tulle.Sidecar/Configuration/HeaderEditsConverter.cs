using System.Text;
using Tulle.Base.Documents;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>Header fields to add and to remove, at any level.</summary>
internal static class HeaderEditsConverter
{
    public static HeaderEditsConfig? Convert(FieldReader holder, string add, string remove)
    {
        var adds = holder.Children(add).Select(Option).OfType<HeaderEditConfig>().ToList();
        var removes = holder.Texts(remove).Select(n => Name(holder, remove, n)).ToList();
        return adds.Count == 0 && removes.Count == 0 ? null : new HeaderEditsConfig { Add = adds, Remove = removes };
    }

    /// <summary>A HeaderValueOption; null when it has errors.</summary>
    public static HeaderEditConfig? Option(FieldReader option)
    {
        var header = option.Child("header");
        var action = option.Choice("append_action", "APPEND_IF_EXISTS_OR_ADD", "APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS");
        if (option.Bool("append") is { } append)
            action = append ? "APPEND_IF_EXISTS_OR_ADD" : "OVERWRITE_IF_EXISTS_OR_ADD";
        var keep = option.Bool("keep_empty_value", false);
        option.Done();
        if (header is null)
        {
            option.Fail("header", "is required");
            return null;
        }
        var key = Name(header, "key", header.Required("key"));
        var value = header.Text("value", "");
        header.Done();
        if (!LogFormat.TryCompile(value, out var parts, out var error))
            header.Fail("value", error);
        return new HeaderEditConfig(key, parts, action switch
        {
            "ADD_IF_ABSENT" => HeaderAppend.AddIfAbsent,
            "OVERWRITE_IF_EXISTS_OR_ADD" => HeaderAppend.Overwrite,
            "OVERWRITE_IF_EXISTS" => HeaderAppend.OverwriteIfExists,
            _ => HeaderAppend.Append,
        }, keep);
    }

    /// <summary>The name in lower case. Path and host have rewrites of their own: as a mere field they would bypass routing.</summary>
    public static byte[] Name(FieldReader owner, string field, string name)
    {
        var lower = name.ToLowerInvariant();
        if (lower.StartsWith(':') || lower == "host")
            owner.Fail(field, $"{name} may not be edited as a field: use the rewrites of the route for path and host");
        return Encoding.ASCII.GetBytes(lower);
    }
}
