using Tulle.Base.Documents;

namespace Tulle.Xds;

/// <summary>The fields of a map under construction: setting one takes constant time, however many there are.</summary>
internal sealed class ProtoFields
{
    /// <summary>Below it a scan is faster than a hash.</summary>
    private const int ScanMax = 16;

    private readonly List<KeyValuePair<string, Node>> _items = [];
    private Dictionary<string, int>? _index;

    public Node ToNode() => Node.Map(_items);

    public bool Has(string name) => IndexOf(name) >= 0;

    /// <summary>Replaces the value of that name in its place, or appends.</summary>
    public void Set(string name, Node value)
    {
        var at = IndexOf(name);
        if (at >= 0)
            _items[at] = new(name, value);
        else
            Append(name, value);
    }

    /// <summary>Puts another field into the place of one: the members of a oneof exclude each other.</summary>
    public void Replace(string old, string name, Node value)
    {
        var at = IndexOf(old);
        _items[at] = new(name, value);
        if (_index is null)
            return;
        _index.Remove(old);
        _index[name] = at;
    }

    private void Append(string name, Node value)
    {
        _items.Add(new(name, value));
        if (_index is not null)
        {
            _index[name] = _items.Count - 1;
        }
        else if (_items.Count > ScanMax)
        {
            _index = new Dictionary<string, int>(StringComparer.Ordinal);
            for (var i = 0; i < _items.Count; i++)
                _index[_items[i].Key] = i;
        }
    }

    private int IndexOf(string name)
    {
        if (_index is not null)
            return _index.TryGetValue(name, out var at) ? at : -1;
        for (var i = 0; i < _items.Count; i++)
        {
            if (_items[i].Key == name)
                return i;
        }
        return -1;
    }
}
