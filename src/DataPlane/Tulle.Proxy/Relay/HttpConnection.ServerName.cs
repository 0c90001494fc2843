namespace Tulle.Proxy;

/// <summary>The name that a request gives its upstream connection (auto_sni, auto_san_validation).</summary>
internal sealed partial class HttpConnection
{
    /// <summary>What a connection for this request must have been made under.</summary>
    private IReadOnlyList<string> ConnectionChoice
    {
        get
        {
            var cluster = _cluster!;
            if (cluster.Config.ServerNames is not { } rule)
                return _manager.UpstreamAlpn;
            // The authority as it goes up, after the route's rewrites; a named field goes before it.
            var name = rule.Header.Length > 0 && _request.Find(rule.Header) is var index and >= 0 ? _request.Value(index) : default;
            return cluster.ServerNames.For(name.IsEmpty ? _request.Authority : name, rule, _manager.UpstreamAlpn);
        }
    }
}
