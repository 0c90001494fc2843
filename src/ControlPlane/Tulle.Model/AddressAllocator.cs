namespace Tulle.Model;

/// <summary>
/// Gives services virtual addresses (and simulated pods theirs) in the order in which they are first seen, and remembers them: an edit never moves a
/// service. Ranges are Kubernetes' customary ones.
/// </summary>
public sealed class AddressAllocator
{
    private readonly Dictionary<string, string> _services = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _pods = new(StringComparer.Ordinal);
    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);
    private int _nextService = 2;
    private int _nextPod = 2;

    /// <summary>An address somebody wrote down is not given to another.</summary>
    public void Reserve(string address) => _taken.Add(address);

    public string Service(string key) => Next(_services, key, "10.96", ref _nextService);

    public string Pod(string key) => Next(_pods, key, "10.244", ref _nextPod);

    private string Next(Dictionary<string, string> table, string key, string range, ref int next)
    {
        if (table.TryGetValue(key, out var known))
            return known;
        string address;
        do
        {
            // 65,000 addresses; beyond them the range is used up and the process says so by the duplicate that analysis finds.
            address = $"{range}.{next / 256 % 256}.{next % 256}";
            next++;
        }
        while (_taken.Contains(address));
        _taken.Add(address);
        table[key] = address;
        return address;
    }
}
