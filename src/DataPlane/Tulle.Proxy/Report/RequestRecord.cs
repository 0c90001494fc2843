using Tulle.Base;
using Tulle.Loop;
using Tulle.Snapshot;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>What is known of one request or TCP connection when it is reported. Reused; reset at the start of each.</summary>
public sealed class RequestRecord
{
    public long StartMicros;
    public long EndMicros;
    public long RequestEndMicros;
    public long ResponseStartMicros;
    public int Status;
    public FailureReason Reason;
    public FailureReason ExtraReason;
    public string Details = "";
    public string TerminationDetails = "";
    public string TransportFailure = "";
    public long BytesReceived;
    public long BytesSent;
    public int Attempts;
    public Address UpstreamHost;
    public Address UpstreamLocal;
    public Address DownstreamLocal;
    public Address DownstreamRemote;
    public Address DownstreamDirectRemote;
    public ClusterConfig? Cluster;
    public EndpointFacts? Endpoint;
    public string ClusterName = "";
    public byte[] RouteName = [];
    public string ServerName = "";
    public string ChainName = "";
    public string Protocol = "";
    public ulong ConnectionId;
    public TlsPeer? Peer;
    public TlsPeer? UpstreamPeer;
    public HttpHead? Request;

    /// <summary>The client is an internal one (internal_address_config).</summary>
    public bool IsInternal;
    public HttpHead? Response;

    public void Reset()
    {
        StartMicros = EndMicros = RequestEndMicros = ResponseStartMicros = 0;
        Status = Attempts = 0;
        IsInternal = false;
        Reason = ExtraReason = FailureReason.None;
        Details = TerminationDetails = TransportFailure = "";
        BytesReceived = BytesSent = 0;
        UpstreamHost = UpstreamLocal = default;
        Cluster = null;
        Endpoint = null;
        ClusterName = "";
        RouteName = [];
        UpstreamPeer = null;
        Response = null;
    }

    /// <summary>Lets go of what belongs to the connection too, so that a pooled record keeps nothing alive.</summary>
    public void Forget()
    {
        Reset();
        Peer = null;
        Request = null;
        ServerName = ChainName = "";
    }
}
