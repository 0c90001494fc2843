using Tulle.Base;

namespace Tulle.Proxy;

/// <summary>What is known of a downstream connection once it is accepted and sniffed. Plain data.</summary>
internal sealed class ConnectionFacts
{
    public ulong Id;
    public Address Remote;
    public Address DirectRemote;
    public Address Local;

    /// <summary>Where the client was going, when the connection was redirected here.</summary>
    public Address OriginalDestination;

    /// <summary>What the socket was accepted on, where interception or a PROXY header put another address in the place of <see cref="Local"/>; else nothing.</summary>
    public Address Intercepted;

    /// <summary>The address of this process that the connection came to.</summary>
    public Address AcceptedOn => Intercepted.IsIp ? Intercepted : Local;

    public string ServerName = "";

    /// <summary>"tls" or "raw_buffer".</summary>
    public string TransportProtocol = "";

    public IReadOnlyList<string> ApplicationProtocols = [];
    public long StartMicros;
    public string ChainName = "";

    /// <summary>The listener in whose numbers this connection is counted already.</summary>
    public ActiveListener? CountedIn;

    /// <summary>Permits of connection_limit filters; given back when the connection leaves its listener's list for good.</summary>
    public List<ConnectionLimiter>? Permits;

    /// <summary>The x-forwarded-client-cert element of this peer, made once.</summary>
    public byte[]? ClientCertificateElement;
}

/// <summary>A downstream connection in the list of its listener.</summary>
internal abstract class Connection(ProxyWorker worker, ActiveListener listener, ConnectionFacts facts)
{
    internal Connection? Next, Previous;
    private bool _listed;

    protected ProxyWorker Worker { get; } = worker;

    protected ActiveListener Listener { get; } = listener;

    protected ConnectionFacts Facts { get; } = facts;

    /// <summary>Asked once per answer: by the gradual strategy it is a matter of chance.</summary>
    protected bool MustClose => Worker.Drain.MustClose(Listener.IsInbound, Listener.LeavingSinceMs, Worker.Loop.NowMs, Worker.Loop.Random);

    protected void List(bool isNew)
    {
        _listed = true;
        Listener.Add(this, isNew);
    }

    protected void Unlist(bool isEnd = true)
    {
        if (!_listed)
            return;
        _listed = false;
        Listener.Remove(this, isEnd);
        if (isEnd)
            NetworkFilters.Release(Worker, Facts);
    }

    /// <summary>The drain time is over.</summary>
    public abstract void ForceClose();

    /// <summary>Ends the connection whatever happens on the way: the last step of a flow whose exceptions nobody else would see.</summary>
    public void End()
    {
        try
        {
            ForceClose();
        }
        catch (Exception error)
        {
            Fault("the end of a connection", error);
        }
        // Also the one that failed to end, or the drain would come back to it for ever.
        Unlist();
    }

    /// <summary>An unexpected error: counted, told once per kind, and the end of this connection only.</summary>
    protected void Fault(string kind, Exception error) => Worker.Loop.Report(kind, error);

    protected void FillRecord(RequestRecord record)
    {
        record.ConnectionId = Facts.Id;
        record.DownstreamLocal = Facts.Local;
        record.DownstreamRemote = Facts.Remote;
        record.DownstreamDirectRemote = Facts.DirectRemote;
        record.ServerName = Facts.ServerName;
        record.ChainName = Facts.ChainName;
    }
}
