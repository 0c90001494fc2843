using System.Text;
using Tulle.Base.Documents;
using Tulle.Sidecar.Fields;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>The fields of a connection manager that decide about a request before it is routed.</summary>
internal static class RequestRulesConverter
{
    public static RequestRulesConfig Convert(FieldReader manager, Http1Facts http1, UnderscoreAction underscores)
    {
        var isEdge = manager.Bool("use_remote_address", false);
        var detections = Detections(manager);
        if (detections.Count > 0 && (isEdge || manager.IntegerOr("xff_num_trusted_hops", 0) > 0))
            manager.Fail("original_ip_detection_extensions", "cannot stand beside use_remote_address or xff_num_trusted_hops: both say who the client is");
        var rules = new RequestRulesConfig
        {
            Underscores = underscores,
            AddressDetections = detections,
            StripTrailingHostDot = manager.Bool("strip_trailing_host_dot", false),
            AllowAbsoluteUrl = http1.AllowAbsoluteUrl,
            AllowCustomMethods = http1.AllowCustomMethods,
            DefaultHostForHttp10 = Encoding.ASCII.GetBytes(http1.DefaultHost),
            SchemeOverwrite = Encoding.ASCII.GetBytes(Scheme(manager.Child("scheme_header_transformation"))),
            AppendForwardedPort = manager.Bool("append_x_forwarded_port", false),
            AddUserAgent = manager.Bool("add_user_agent", false),
            EarlyEdits = EarlyEdits(manager),
            InternalPrefixes = Internal(manager, out var sockets),
            InternalUnixSockets = sockets,
        };
        return rules;
    }

    public static UnderscoreAction Underscores(FieldReader common) => common.Choice("headers_with_underscores_action", "ALLOW", "ALLOW", "REJECT_REQUEST", "DROP_HEADER") switch
    {
        "REJECT_REQUEST" => UnderscoreAction.Reject,
        "DROP_HEADER" => UnderscoreAction.Drop,
        _ => UnderscoreAction.Allow,
    };

    private static List<PrefixConfig> Internal(FieldReader manager, out bool sockets)
    {
        sockets = false;
        if (manager.Child("internal_address_config") is not { } given)
            return [];
        sockets = given.Bool("unix_sockets", false);
        var prefixes = MatcherConverter.Prefixes(given, "cidr_ranges");
        given.Done();
        return prefixes;
    }

    private static string Scheme(FieldReader? transformation)
    {
        var scheme = transformation?.Choice("scheme_to_overwrite", "", "http", "https") ?? "";
        transformation?.Done();
        return scheme;
    }

    private static List<AddressDetectionConfig> Detections(FieldReader manager)
    {
        var result = new List<AddressDetectionConfig>();
        foreach (var extension in manager.Children("original_ip_detection_extensions"))
        {
            var name = extension.Text("name", "");
            var (type, config) = ConversionContext.Typed(extension);
            extension.Done();
            if (config.Fields == ClientAddressFields.CustomHeader)
                result.Add(FromField(config));
            else if (config.Fields == ClientAddressFields.Xff)
                result.Add(FromForwardedFor(config));
            else
                extension.Fail("typed_config", $"{(type.Length > 0 ? type : name)} is not supported by this proxy");
        }
        return result;
    }

    private static AddressDetectionConfig FromField(FieldReader config)
    {
        var field = config.Required("header_name").ToLowerInvariant();
        var isTrusted = config.Bool("allow_extension_to_set_address_as_trusted", false);
        var status = 0;
        if (config.Child("reject_with_status") is { } reject)
        {
            status = StatusCode(reject);
            reject.Done();
        }
        config.Done();
        return new AddressDetectionConfig { Field = Encoding.ASCII.GetBytes(field), MayBeInternal = isTrusted, RejectStatus = status };
    }

    private static AddressDetectionConfig FromForwardedFor(FieldReader config)
    {
        var hops = (int)config.IntegerOr("xff_num_trusted_hops", 0, 0, 100);
        var skips = config.Bool("skip_xff_append", true);
        var proxies = new List<PrefixConfig>();
        if (config.Child("xff_trusted_cidrs") is { } trusted)
        {
            proxies = MatcherConverter.Prefixes(trusted, "cidrs");
            trusted.Done();
        }
        if (hops > 0 && proxies.Count > 0)
            config.Fail("xff_trusted_cidrs", "cannot stand beside xff_num_trusted_hops");
        config.Done();
        return new AddressDetectionConfig { TrustedHops = hops, TrustedProxies = proxies, AppendsPeer = !skips };
    }

    /// <summary>envoy.type.v3.StatusCode by name or number. What is no error is answered 403, as Envoy does.</summary>
    private static int StatusCode(FieldReader status)
    {
        var text = status.Text("code", "");
        var code = int.TryParse(text, out var number) ? number : Enum.TryParse<System.Net.HttpStatusCode>(text, out var named) ? (int)named : 0;
        return code is >= 400 and <= 511 ? code : 403;
    }

    private static List<HeaderEditsConfig> EarlyEdits(FieldReader manager)
    {
        var result = new List<HeaderEditsConfig>();
        foreach (var extension in manager.Children("early_header_mutation_extensions"))
        {
            var name = extension.Text("name", "");
            var (type, config) = ConversionContext.Typed(extension);
            extension.Done();
            if (config.Fields is null)
            {
                extension.Fail("typed_config", $"{(type.Length > 0 ? type : name)} is not supported by this proxy");
                continue;
            }
            foreach (var mutation in config.Children("mutations"))
            {
                if (mutation.Text("remove") is { } removed)
                    result.Add(new HeaderEditsConfig { Remove = [HeaderEditsConverter.Name(mutation, "remove", removed)] });
                else if (mutation.Child("append") is { } append && HeaderEditsConverter.Option(append) is { } edit)
                    result.Add(new HeaderEditsConfig { Add = [edit] });
                mutation.Done();
            }
            config.Done();
        }
        return result;
    }
}

/// <summary>What http_protocol_options of a connection manager says beside trailers.</summary>
internal sealed record Http1Facts(bool AcceptHttp10 = false, bool EnableTrailers = false, bool AllowAbsoluteUrl = true, bool AllowCustomMethods = false, string DefaultHost = "")
{
    public static Http1Facts Read(FieldReader? options)
    {
        if (options is null)
            return new Http1Facts();
        var facts = new Http1Facts(options.Bool("accept_http_10", false), options.Bool("enable_trailers", false), options.Bool("allow_absolute_url", true), options.Bool("allow_custom_methods", false),
            options.Text("default_host_for_http_10", ""));
        options.Done();
        return facts;
    }
}
