namespace Tulle.Proxy;

/// <summary>Which connections and permits an exchange may use: those of its priority, or of its downstream connection alone.</summary>
internal sealed partial class HttpConnection
{
    private List<UpstreamConnection>? _own; // With connection_pool_per_downstream_connection: those that nobody else may use.

    private CircuitBreaker Breaker => _action!.IsHighPriority ? _cluster!.Shared.HighBreaker : _cluster!.Breaker;

    private object? PoolOwner => _cluster!.Config.PoolPerDownstream ? this : null;

    private void OwnConnection(UpstreamConnection connection)
    {
        connection.PoolOwner = this;
        _own ??= [];
        for (var i = _own.Count - 1; i >= 0; i--)
        {
            if (_own[i].Socket.IsOpen)
                continue;
            _own[i] = _own[^1];
            _own.RemoveAt(_own.Count - 1);
        }
        _own.Add(connection);
    }

    /// <summary>The downstream connection is over: its own upstream connections are of no use to anybody.</summary>
    private void CloseOwn()
    {
        if (_own is null)
            return;
        foreach (var connection in _own)
            connection.CloseIdle();
        _own.Clear();
    }
}
