namespace Tulle.Control;

/// <summary>How a caller came, and what is proven of it.</summary>
internal enum CallerWay : byte
{
    /// <summary>TCP without TLS: nothing is proven.</summary>
    Plain,

    /// <summary>A unix socket: the kernel tells user and process.</summary>
    Socket,

    /// <summary>TLS with a certificate of this mesh.</summary>
    Tls,

    /// <summary>The socket of the node agent, which only its owner can open.</summary>
    Agent,
}

/// <summary>Who calls.</summary>
/// <param name="Way">How the caller came.</param>
/// <param name="Identity">SPIFFE id of the client certificate; empty without one.</param>
/// <param name="UserId">User of the peer process; -1 when it did not come over a unix socket.</param>
/// <param name="NetworkNamespace">Number of the peer's network namespace; 0 when unknown.</param>
internal sealed record Caller(CallerWay Way, string Identity = "", int UserId = -1, ulong NetworkNamespace = 0)
{
    /// <summary>A process of this program's own user, in this program's network, over a unix socket.</summary>
    public bool IsOwner { get; init; }

    public static readonly Caller Nobody = new(CallerWay.Plain);
}
