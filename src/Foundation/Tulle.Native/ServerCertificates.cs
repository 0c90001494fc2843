namespace Tulle.Native;

/// <summary>
/// The certificates of a server and which of them a client is shown: the ones whose name it asks for, exact before wildcard; without a match the first;
/// to a client that asks for no name (or when all are to be looked at) the first of each kind of key. Of what is shown the library takes the kind that
/// both sides can use.
/// </summary>
internal sealed class ServerCertificates
{
    private readonly List<LoadedCertificate> _all;
    private readonly Dictionary<string, LoadedCertificate[]> _exact = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, LoadedCertificate[]> _wildcards = new(StringComparer.OrdinalIgnoreCase);
    private readonly LoadedCertificate[] _first;
    private readonly LoadedCertificate[] _unnamed;
    private readonly bool _scansAll;

    public ServerCertificates(List<LoadedCertificate> all, bool scansAllOnMismatch)
    {
        _all = all;
        _scansAll = scansAllOnMismatch;
        foreach (var certificate in all)
        {
            foreach (var name in certificate.Names)
            {
                if (name.StartsWith("*.", StringComparison.Ordinal))
                    Add(_wildcards, name[1..], certificate);
                else
                    Add(_exact, name, certificate);
            }
        }
        _first = [all[0]];
        _unnamed = all.DistinctBy(c => c.Kind).ToArray();
    }

    /// <summary>What a context shows as long as nothing was chosen.</summary>
    public IReadOnlyList<LoadedCertificate> Unnamed => _unnamed;

    private static void Add(Dictionary<string, LoadedCertificate[]> table, string name, LoadedCertificate certificate)
    {
        var before = table.GetValueOrDefault(name, []);
        if (!before.Any(c => c.Kind == certificate.Kind))
            table[name] = [.. before, certificate];
    }

    public LoadedCertificate[] For(string name)
    {
        if (name.Length == 0)
            return _unnamed;
        if (_exact.TryGetValue(name, out var exact))
            return exact;
        var dot = name.IndexOf('.');
        if (dot > 0 && _wildcards.TryGetValue(name[dot..], out var wildcard))
            return wildcard;
        return _scansAll ? _unnamed : _first;
    }

    /// <summary>The index of a certificate by the library's pointer; 0 when it is none of them.</summary>
    public int IndexOf(nint leaf) => Math.Max(0, _all.FindIndex(c => c.Leaf == leaf));
}
