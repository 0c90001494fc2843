using System.Collections;
using System.Text;
using Tulle.Snapshot;

namespace Tulle.Proxy;

/// <summary>
/// The ALPN list of a connection whose server name a request chose: connections are reused only under the same object, so a pool of its own stands
/// behind each name. A name occurs once per loop and list, so comparing references is enough.
/// </summary>
internal sealed class NamedProtocols(IReadOnlyList<string> protocols, string name, bool isServerName, bool isRequired) : IReadOnlyList<string>
{
    /// <summary>The host that the request asks for, without its port.</summary>
    public string Name => name;

    /// <summary>It is sent as SNI: a host name, no address.</summary>
    public bool IsServerName => isServerName;

    /// <summary>The certificate must be for it.</summary>
    public bool IsRequired => isRequired;

    public IReadOnlyList<string> Protocols => protocols;

    public int Count => protocols.Count;

    public string this[int index] => protocols[index];

    public IEnumerator<string> GetEnumerator() => protocols.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>The server names that requests chose, of one loop and one cluster (auto_sni, auto_san_validation).</summary>
internal sealed class ChosenServerNames
{
    /// <summary>
    /// Names at a time; more begin anew, and connections under the old objects idle out. Source: callers write the names, so the table needs an end;
    /// one cluster rarely has more hosts than that.
    /// </summary>
    private const int NamesMax = 256;

    /// <summary>A server name is a host name of at most 255 bytes (RFC 6066 section 3).</summary>
    private const int NameBytesMax = 255;

    private readonly Dictionary<string, NamedProtocols> _known = new(StringComparer.Ordinal);
    private NamedProtocols? _last;

    public NamedProtocols For(ReadOnlySpan<byte> authority, ServerNameRule rule, IReadOnlyList<string> protocols)
    {
        var host = WithoutPort(authority);
        if (_last is not null && ReferenceEquals(_last.Protocols, protocols) && IsSame(_last.Name, host))
            return _last;
        // Bytes stay what they are: a name that is none fits no certificate.
        var name = Encoding.Latin1.GetString(host);
        if (!_known.TryGetValue(name, out var found) || !ReferenceEquals(found.Protocols, protocols))
        {
            if (_known.Count >= NamesMax)
                _known.Clear();
            _known[name] = found = new NamedProtocols(protocols, name, rule.SetsServerName && IsHostName(name), rule.VerifiesName);
        }
        return _last = found;
    }

    private static bool IsSame(string name, ReadOnlySpan<byte> host)
    {
        if (name.Length != host.Length)
            return false;
        for (var i = 0; i < host.Length; i++)
        {
            if (name[i] != host[i])
                return false;
        }
        return true;
    }

    /// <summary>RFC 3986 section 3.2.2: host:port, or an address of version 6 in brackets.</summary>
    private static ReadOnlySpan<byte> WithoutPort(ReadOnlySpan<byte> authority)
    {
        if (authority.Length > 0 && authority[0] == '[')
        {
            var end = authority.IndexOf((byte)']');
            return end > 0 ? authority[1..end] : authority;
        }
        var colon = authority.LastIndexOf((byte)':');
        return colon >= 0 && authority[..colon].IndexOf((byte)':') < 0 ? authority[..colon] : authority;
    }

    private static bool IsHostName(string name)
    {
        if (name.Length is 0 or > NameBytesMax || System.Net.IPAddress.TryParse(name, out _))
            return false;
        foreach (var character in name)
        {
            if (!char.IsAsciiLetterOrDigit(character) && character is not ('.' or '-' or '_'))
                return false;
        }
        return true;
    }
}
