namespace Tulle.Snapshot;

/// <summary>
/// Virtual hosts, compiled for look-up. Order of search (Envoy): exact domain, longest "*.suffix", longest "prefix.*", "*".
/// </summary>
public sealed class RouteTable
{
    private readonly Dictionary<string, VirtualHostConfig> _exact = new(StringComparer.Ordinal);
    private readonly Dictionary<string, VirtualHostConfig>.AlternateLookup<ReadOnlySpan<char>> _exactBySpan;
    private readonly List<(string Suffix, VirtualHostConfig Host)> _suffixes = [];
    private readonly List<(string Prefix, VirtualHostConfig Host)> _prefixes = [];
    private VirtualHostConfig? _any;

    public RouteTable(string name, IReadOnlyList<VirtualHostConfig> hosts, bool ignorePort = false)
    {
        Name = name;
        Hosts = hosts;
        IgnorePort = ignorePort;
        _exactBySpan = _exact.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var host in hosts)
        {
            foreach (var domain in host.Domains)
                AddDomain(domain.ToLowerInvariant(), host);
        }
        _suffixes.Sort((a, b) => b.Suffix.Length - a.Suffix.Length);
        _prefixes.Sort((a, b) => b.Prefix.Length - a.Prefix.Length);
    }

    public string Name { get; }

    public IReadOnlyList<VirtualHostConfig> Hosts { get; }

    /// <summary>ignore_port_in_host_matching.</summary>
    public bool IgnorePort { get; }

    /// <summary>ignore_path_parameters_in_path_matching: paths end at their first semicolon, for matching only.</summary>
    public bool IgnorePathParameters { get; init; }

    /// <summary>Fields (lower case) that only internal clients may send.</summary>
    public IReadOnlyList<byte[]> InternalOnlyFields { get; init; } = [];

    public ulong ContentHash { get; init; }

    private void AddDomain(string domain, VirtualHostConfig host)
    {
        if (domain == "*")
            _any ??= host;
        else if (domain.StartsWith('*'))
            _suffixes.Add((domain[1..], host));
        else if (domain.EndsWith('*'))
            _prefixes.Add((domain[..^1], host));
        else
            _exact.TryAdd(domain, host);
    }

    /// <summary>The virtual host of an authority, which must be in lower case.</summary>
    public VirtualHostConfig? FindHost(ReadOnlySpan<char> authority)
    {
        if (IgnorePort)
            authority = WithoutPort(authority);
        if (_exact.Count > 0 && _exactBySpan.TryGetValue(authority, out var exact))
            return exact;
        foreach (var (suffix, host) in _suffixes)
        {
            if (authority.Length > suffix.Length && authority.EndsWith(suffix))
                return host;
        }
        foreach (var (prefix, host) in _prefixes)
        {
            if (authority.Length > prefix.Length && authority.StartsWith(prefix))
                return host;
        }
        return _any;
    }

    private static ReadOnlySpan<char> WithoutPort(ReadOnlySpan<char> authority)
    {
        var colon = authority.LastIndexOf(':');
        // A colon inside brackets belongs to an IPv6 address.
        return colon < 0 || authority[colon..].IndexOf(']') >= 0 || colon == authority.Length - 1 ? authority : authority[..colon];
    }
}
