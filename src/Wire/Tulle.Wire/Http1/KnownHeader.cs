using System.Text;

namespace Tulle.Wire.Http1;

/// <summary>The header fields that the proxy itself reads or writes; everything else is carried as it came.</summary>
public enum KnownHeader : byte
{
    Unknown,
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    Upgrade,
    Expect,
    KeepAlive,
    ProxyConnection,
    Te,
    Trailer,
    UserAgent,
    Server,
    Date,
    Via,
    Location,
    ContentType,
    RequestId,
    ForwardedFor,
    ForwardedProto,
    ForwardedHost,
    ForwardedClientCert,
    EnvoyOriginalPath,
    EnvoyExpectedTimeout,
    EnvoyAttemptCount,
    EnvoyServiceTime,
    EnvoyInternal,
    EnvoyExternalAddress,
    EnvoyOverloaded,
    EnvoyPeerMetadata,
    EnvoyPeerMetadataId,
    EnvoyDecorator,
}

/// <summary>Names of <see cref="KnownHeader"/> in the lower case that is sent.</summary>
public static class KnownHeaders
{
    private static readonly string[] Texts =
    [
        "", "host", "connection", "content-length", "transfer-encoding", "upgrade", "expect", "keep-alive", "proxy-connection", "te", "trailer", "user-agent",
        "server", "date", "via", "location", "content-type", "x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
        "x-forwarded-client-cert", "x-envoy-original-path", "x-envoy-expected-rq-timeout-ms", "x-envoy-attempt-count", "x-envoy-upstream-service-time",
        "x-envoy-internal", "x-envoy-external-address", "x-envoy-overloaded", "x-envoy-peer-metadata", "x-envoy-peer-metadata-id",
        "x-envoy-decorator-operation",
    ];

    private static readonly byte[][] Names = Array.ConvertAll(Texts, Encoding.ASCII.GetBytes);

    public static ReadOnlySpan<byte> Name(KnownHeader header) => Names[(int)header];

    /// <summary>Finds the known header of a name in any case. The length picks at most a few candidates.</summary>
    public static KnownHeader Find(ReadOnlySpan<byte> name) => name.Length switch
    {
        2 => Test(name, KnownHeader.Te),
        3 => Test(name, KnownHeader.Via),
        4 => Test(name, KnownHeader.Host, KnownHeader.Date),
        6 => Test(name, KnownHeader.Expect, KnownHeader.Server),
        7 => Test(name, KnownHeader.Upgrade, KnownHeader.Trailer),
        8 => Test(name, KnownHeader.Location),
        10 => Test(name, KnownHeader.Connection, KnownHeader.UserAgent, KnownHeader.KeepAlive),
        12 => Test(name, KnownHeader.ContentType, KnownHeader.RequestId),
        14 => Test(name, KnownHeader.ContentLength),
        15 => Test(name, KnownHeader.ForwardedFor),
        16 => Test(name, KnownHeader.ProxyConnection, KnownHeader.ForwardedHost, KnownHeader.EnvoyInternal),
        17 => Test(name, KnownHeader.TransferEncoding, KnownHeader.ForwardedProto),
        18 => Test(name, KnownHeader.EnvoyOverloaded),
        21 => Test(name, KnownHeader.EnvoyOriginalPath, KnownHeader.EnvoyAttemptCount, KnownHeader.EnvoyPeerMetadata),
        23 => Test(name, KnownHeader.ForwardedClientCert),
        24 => Test(name, KnownHeader.EnvoyPeerMetadataId, KnownHeader.EnvoyExternalAddress),
        27 => Test(name, KnownHeader.EnvoyDecorator),
        29 => Test(name, KnownHeader.EnvoyServiceTime),
        30 => Test(name, KnownHeader.EnvoyExpectedTimeout),
        _ => KnownHeader.Unknown,
    };

    private static KnownHeader Test(ReadOnlySpan<byte> name, KnownHeader a) =>
        LowerCase.AreEqual(name, Names[(int)a]) ? a : KnownHeader.Unknown;

    private static KnownHeader Test(ReadOnlySpan<byte> name, KnownHeader a, KnownHeader b) =>
        LowerCase.AreEqual(name, Names[(int)a]) ? a : Test(name, b);

    private static KnownHeader Test(ReadOnlySpan<byte> name, KnownHeader a, KnownHeader b, KnownHeader c) =>
        LowerCase.AreEqual(name, Names[(int)a]) ? a : Test(name, b, c);
}
