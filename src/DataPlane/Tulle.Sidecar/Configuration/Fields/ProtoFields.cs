using Tulle.Base.Documents;
using Tulle.Xds;

namespace Tulle.Sidecar.Fields;

/// <summary>The table of a message that our .proto files may declare; they know which fields have presence.</summary>
internal sealed class ProtoFields(string name) : MessageFields(name)
{
    /// <remarks>Asked only about a field that is not obeyed, so a healthy start never reads the .proto files for this.</remarks>
    public override bool IsUnset(string field, Node value)
    {
        if (ProtoSchema.Shared.Find(Name)?.Find(field) is not { } declared)
            return base.IsUnset(field, value);
        if (declared.IsRepeated || declared.IsMap)
            return value.Fields.Count == 0 && value.Items.Count == 0;
        if (declared.HasPresence || (declared.Kind == ProtoKind.Message && declared.Enum is null))
            return false;
        return IsZero(value) || (declared.Enum is { } names && value.Kind == NodeKind.String && names.NumberOf(value.AsText) == 0);
    }
}
