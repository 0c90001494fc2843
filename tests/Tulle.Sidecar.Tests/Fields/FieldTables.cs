using System.Reflection;
using Tulle.Base.Documents;

namespace Tulle.Sidecar.Tests.Fields;

/// <summary>All tables of fields that the program has, found by reflection: a new one is tested without being named anywhere.</summary>
internal static class FieldTables
{
    public static IReadOnlyList<(string Place, MessageFields Table)> All { get; } = typeof(Sidecar.Fields.ProtoFields).Assembly.GetTypes()
        .Where(t => t.Namespace == "Tulle.Sidecar.Fields")
        .SelectMany(t => t.GetFields(BindingFlags.Public | BindingFlags.Static).Where(f => f.FieldType == typeof(MessageFields)).Select(f => ($"{t.Name}.{f.Name}", (MessageFields)f.GetValue(null)!)))
        .OrderBy(t => t.Item2.Name, StringComparer.Ordinal).ThenBy(t => t.Item1, StringComparer.Ordinal).ToList();
}
