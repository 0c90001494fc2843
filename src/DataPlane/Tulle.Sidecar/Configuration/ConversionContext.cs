using System.Text;
using System.Text.RegularExpressions;
using Tulle.Base;
using Tulle.Base.Documents;
using Tulle.Snapshot;
using Tulle.Xds;

namespace Tulle.Sidecar;

/// <summary>A secret that a resource names and the configuration source that delivers it.</summary>
internal sealed record SecretReference(string Name, ConfigSource Source)
{
    public ResourceKey Key => new(Source.Key, Name);
}

/// <summary>
/// What conversion of one resource needs and finds: errors with field paths, secrets that are used, other resources that are waited for. A field that
/// is not understood is an error; one that only tunes is accepted by name and noted once.
/// </summary>
internal sealed class ConversionContext(string subject, Func<SecretReference, SecretConfig?> secrets)
{
    public Diagnostics Diagnostics { get; } = new();

    public string Subject { get; } = subject;

    /// <summary>How many bytes a direct response of the route table being read may have; null sets no bound (other places than route tables).</summary>
    public long? DirectBodyBytesMax { get; set; }

    /// <summary>Bytes of a body kept for retries in the virtual host being read.</summary>
    public int ReplayBytesMax { get; set; } = 1 << 20;

    /// <summary>Secrets used, also those that are not here yet.</summary>
    public List<SecretReference> Secrets { get; } = [];

    /// <summary>Secrets that are missing: the resource waits for them.</summary>
    public List<SecretReference> MissingSecrets { get; } = [];

    /// <summary>A reader of a whole resource.</summary>
    public FieldReader Reader(Node node, MessageFields fields) => new(node, Diagnostics, Subject, "", fields);

    public SecretConfig? Secret(SecretReference reference)
    {
        Secrets.Add(reference);
        var secret = secrets(reference);
        if (secret is null)
            MissingSecrets.Add(reference);
        return secret;
    }

    /// <summary>The typed_config of an extension and its type without prefix. Of a type that the table does not name nothing can be read.</summary>
    public static (string Type, FieldReader Config) Typed(FieldReader extension, string field = "typed_config")
    {
        var node = extension.Raw(field);
        return node is null ? ("", extension.Over(Node.Map(), extension.PathOf(field), null)) : Unpack(extension, field, node, extension.PathOf(field));
    }

    /// <summary>The values of a map of Any.</summary>
    public static IEnumerable<(string Key, string Type, FieldReader Config)> TypedMap(FieldReader holder, string field)
    {
        foreach (var (key, value) in holder.Raw(field)?.Fields ?? [])
        {
            var (type, config) = Unpack(holder, field, value, $"{holder.PathOf(field)}[{key}]");
            yield return (key, type, config);
        }
    }

    /// <summary>Takes an Any apart; a TypedStruct is looked through.</summary>
    private static (string Type, FieldReader Config) Unpack(FieldReader holder, string field, Node node, string path)
    {
        var type = node["@type"]?.AsText ?? "";
        type = type[(type.LastIndexOf('/') + 1)..];
        if (type is "udpa.type.v1.TypedStruct" or "xds.type.v3.TypedStruct")
        {
            var inner = node["type_url"]?.AsText ?? node["typeUrl"]?.AsText ?? "";
            type = inner[(inner.LastIndexOf('/') + 1)..];
            node = node["value"] ?? Node.Map();
        }
        return (type, holder.Over(node, path, holder.Fields?.Find(field)?.Messages.FirstOrDefault(m => m.Name == type)));
    }

    /// <summary>A regex that matches whole values, in linear time like RE2.</summary>
    public Regex? Regex(FieldReader matcher, string field = "regex", bool whole = true)
    {
        var pattern = matcher.Required(field);
        try
        {
            return new Regex(whole ? $@"\A(?:{pattern})\z" : pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (Exception error) when (error is ArgumentException or NotSupportedException)
        {
            matcher.Fail(field, $"\"{pattern}\" is not a regular expression that RE2 would take: {error.Message}");
            return null;
        }
    }

    public Address? SocketAddress(FieldReader? holder)
    {
        if (holder is null)
            return null;
        if (holder.Child("pipe") is { } pipe)
        {
            var path = pipe.Required("path");
            pipe.Done();
            holder.Done();
            return Address.Pipe(path);
        }
        var socket = holder.Child("socket_address");
        if (socket is null)
        {
            holder.Fail("", "only socket_address and pipe are supported");
            return null;
        }
        holder.Done("only socket_address and pipe are supported");
        return Socket(socket);
    }

    public static Address? Socket(FieldReader socket)
    {
        var text = socket.Required("address");
        var port = (int)(socket.Integer("port_value", 0, 65535) ?? 0);
        socket.Choice("protocol", "TCP", "TCP");
        socket.Done();
        if (Address.TryParseIp(text, port, out var address))
            return address;
        socket.Fail("address", $"\"{text}\" is not an IP address");
        return null;
    }

    /// <summary>The bytes of a DataSource; files are read now.</summary>
    public static byte[]? DataSource(FieldReader? source)
    {
        if (source is null)
            return null;
        if (source.Text("filename") is { } file)
        {
            source.Done();
            try
            {
                return File.ReadAllBytes(file);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                source.Fail("filename", $"{file} cannot be read: {error.Message}");
                return null;
            }
        }
        var text = source.Text("inline_string");
        var bytes = source.Text("inline_bytes");
        var variable = source.Text("environment_variable");
        source.Done();
        if (text is not null)
            return Encoding.UTF8.GetBytes(text);
        if (bytes is not null)
        {
            try
            {
                return Convert.FromBase64String(bytes);
            }
            catch (FormatException)
            {
                source.Fail("inline_bytes", "is not base64");
                return null;
            }
        }
        return variable is null ? [] : Encoding.UTF8.GetBytes(Environment.GetEnvironmentVariable(variable) ?? "");
    }

    /// <summary>Where resources of a type come from, and how long they are waited for.</summary>
    public static ConfigSource? Source(FieldReader? source)
    {
        if (source is null)
            return null;
        string? key = null;
        if ((source.Child("ads") ?? source.Child("self")) is { } stream)
        {
            stream.Done();
            key = "ads";
        }
        else if (source.Child("path_config_source") is { } path)
        {
            key = "file:" + path.Required("path");
            path.Done();
        }
        else if (source.Text("path") is { } plain)
            key = "file:" + plain;
        else if (source.Child("api_config_source") is { } api)
            key = GrpcKey(api);
        var waitMs = source.DurationMs("initial_fetch_timeout") ?? ConfigSource.DefaultInitialFetchMs;
        source.Done();
        if (key is null)
            source.Fail("", "none of ads, path_config_source and api_config_source is given");
        return key is null ? null : new ConfigSource(key, (long)Math.Ceiling(waitMs));
    }

    /// <summary>"grpc:CLUSTER" or "delta:CLUSTER".</summary>
    public static string? GrpcKey(FieldReader api)
    {
        var type = api.Choice("api_type", "GRPC", "GRPC", "DELTA_GRPC", "AGGREGATED_GRPC", "AGGREGATED_DELTA_GRPC");
        foreach (var service in api.Children("grpc_services"))
        {
            var envoy = service.Child("envoy_grpc");
            service.Done("only envoy_grpc is supported");
            if (envoy is null)
                continue;
            var cluster = envoy.Required("cluster_name");
            envoy.Done();
            api.Done();
            return (type.Contains("DELTA", StringComparison.Ordinal) ? "delta:" : "grpc:") + cluster;
        }
        api.Fail("grpc_services", "no envoy_grpc service is given");
        return null;
    }

    public static ulong Hash(Node node) => node.ContentHash() is var hash and not 0 ? hash : 1;

    public static ulong Hash(params ReadOnlySpan<byte[]> parts)
    {
        ulong hash = 14695981039346656037;
        foreach (var part in parts)
        {
            foreach (var value in part)
                hash = (hash ^ value) * 1099511628211;
            hash = (hash ^ 0xFF) * 1099511628211;
        }
        return hash == 0 ? 1 : hash;
    }

    public static string Name(string type, Node resource) => resource[XdsTypes.NameField(type)]?.AsText ?? resource[FieldReader.Camel(XdsTypes.NameField(type))]?.AsText ?? "";
}
