using Tulle.Base.Documents;
using static Tulle.Base.Documents.FieldRule;

namespace Tulle.Sidecar.Fields;

/// <summary>Which fields of these messages are obeyed, harmless, warned of or refused.</summary>
internal static class EarlyHeaderFields
{
    public static readonly MessageFields Extension = new ProtoFields("envoy.config.core.v3.TypedExtensionConfig")
    {
        ["name"] = Obeyed,
        ["typed_config"] = Obeyed.Of(() => [HeaderMutations]),
    };

    public static readonly MessageFields HeaderMutations = new ProtoFields("envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation")
    {
        ["mutations"] = Obeyed.Of(() => HeaderMutation),
    };

    public static readonly MessageFields HeaderMutation = new ProtoFields("envoy.config.common.mutation_rules.v3.HeaderMutation")
    {
        ["remove"] = Obeyed,
        ["append"] = Obeyed.Of(() => CoreFields.HeaderValueOption),
        ["remove_on_match"] = Refused(Later.Requests),
        ["regex_copy"] = Refused(Later.Requests),
    };

    public static readonly MessageFields SchemeHeaderTransformation = new ProtoFields("envoy.config.core.v3.SchemeHeaderTransformation")
    {
        ["scheme_to_overwrite"] = Obeyed,
        ["match_upstream"] = Harmless("HTTP/1.1 tells upstreams no scheme"),
    };
}
