using System.Text;
using Tulle.Testing;

namespace Tulle.Sidecar.Tests;

/// <summary>A client that sends what it is told and keeps what it gets.</summary>
internal sealed class PlayedClient(SimulatedProxy proxy)
{
    private readonly byte[] _buffer = new byte[16 * 1024];
    private readonly StringBuilder _got = new();
    private byte[] _unsent = [];

    public SimulatedSocket Socket { get; } = proxy.Connect();

    public string Got => _got.ToString();

    /// <summary>The status codes that came, in order, interim answers too.</summary>
    public IReadOnlyList<int> Statuses =>
        [.. Got.Split("HTTP/1.").Skip(1).Where(s => s.Length > 5 && s[1] == ' ').Select(s => int.Parse(s.AsSpan(2, 3), System.Globalization.CultureInfo.InvariantCulture))];

    public bool IsEnded => Socket.IsEnded || Socket.IsReset;

    public PlayedClient Send(string text)
    {
        _unsent = [.. _unsent, .. Encoding.Latin1.GetBytes(text)];
        Play();
        return this;
    }

    public void Play()
    {
        if (_unsent.Length > 0 && Socket.Write(_unsent) is > 0 and var sent)
            _unsent = _unsent[sent..];
        int count;
        while ((count = Socket.ReadAll(_buffer)) > 0)
            _got.Append(Encoding.Latin1.GetString(_buffer, 0, count));
    }
}

/// <summary>Servers by hand: every connection that the proxy opens, and what came over it.</summary>
internal sealed class PlayedUpstream
{
    private readonly SimulatedProxy _proxy;

    public PlayedUpstream(SimulatedProxy proxy)
    {
        _proxy = proxy;
        proxy.Kernel.OnConnect = (remote, far) =>
        {
            if (Refuses > 0)
            {
                Refuses--;
                return -Base.Errno.ECONNREFUSED;
            }
            Connections.Add(new PlayedConnection(far, remote.ToString()));
            OnNew?.Invoke(Connections[^1]);
            return 0;
        };
    }

    public List<PlayedConnection> Connections { get; } = [];

    /// <summary>So many connections are refused first.</summary>
    public int Refuses { get; set; }

    public Action<PlayedConnection>? OnNew { get; set; }

    /// <summary>Answers each request that came whole, on every connection; by hand where this is null.</summary>
    public Func<string, string>? Answer { get; set; }

    public void Play()
    {
        foreach (var connection in Connections)
            connection.Play(Answer);
    }

    /// <summary>Turns the loop, and plays, until the condition holds.</summary>
    public void Until(Func<bool> holds, string what, params PlayedClient[] clients)
    {
        _proxy.Until(() =>
        {
            Play();
            foreach (var client in clients)
                client.Play();
            return holds();
        }, () => what, turnsMax: 20_000);
        Assert.Equal(0, _proxy.Loop.FaultCount);
    }
}

/// <summary>One upstream connection: the text that came, and what is sent by hand.</summary>
internal sealed class PlayedConnection(SimulatedSocket socket, string address)
{
    private readonly byte[] _buffer = new byte[16 * 1024];
    private readonly StringBuilder _got = new();
    private byte[] _unsent = [];
    private int _answered;

    public SimulatedSocket Socket { get; } = socket;

    public string Address { get; } = address;

    public string Got => _got.ToString();

    public void Send(string text)
    {
        _unsent = [.. _unsent, .. Encoding.Latin1.GetBytes(text)];
        Play(null);
    }

    public void Play(Func<string, string>? answer)
    {
        if (Socket.IsClosed)
            return;
        int count;
        while ((count = Socket.ReadAll(_buffer)) > 0)
            _got.Append(Encoding.Latin1.GetString(_buffer, 0, count));
        var text = Got;
        for (int end; answer is not null && (end = text.IndexOf("\r\n\r\n", _answered, StringComparison.Ordinal)) >= 0; _answered = end + 4)
            _unsent = [.. _unsent, .. Encoding.Latin1.GetBytes(answer(text[_answered..end]))];
        if (_unsent.Length > 0 && Socket.Write(_unsent) is > 0 and var sent)
            _unsent = _unsent[sent..];
        if (Socket.IsEnded)
            Socket.Close();
    }
}
