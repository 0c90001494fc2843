namespace Tulle.Proxy;

/// <summary>
/// Earliest deadline first: an entry of weight w comes up w times as often as one of weight 1, evenly spread. A binary heap in three arrays; picking
/// costs log n and allocates nothing.
/// </summary>
internal sealed class EdfSchedule
{
    private readonly double[] _deadlines;
    private readonly long[] _orders; // Equal deadlines come up in the order in which they were put back.
    private readonly int[] _entries;
    private int _count;
    private long _order;
    private double _now;

    public EdfSchedule(int capacity)
    {
        _deadlines = new double[capacity];
        _orders = new long[capacity];
        _entries = new int[capacity];
    }

    public int Count => _count;

    /// <summary>The entry that is due; it must be put back with <see cref="Add"/> (its weight may have changed).</summary>
    public int Take()
    {
        var entry = _entries[0];
        _now = _deadlines[0];
        _count--;
        if (_count > 0)
        {
            Move(_count, 0);
            Sink();
        }
        return entry;
    }

    public void Add(int entry, double weight)
    {
        var at = _count++;
        _deadlines[at] = _now + 1 / weight;
        _orders[at] = _order++;
        _entries[at] = entry;
        while (at > 0 && Before(at, (at - 1) / 2))
        {
            Swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    private void Sink()
    {
        var at = 0;
        while (true)
        {
            var least = at;
            var left = 2 * at + 1;
            if (left < _count && Before(left, least))
                least = left;
            if (left + 1 < _count && Before(left + 1, least))
                least = left + 1;
            if (least == at)
                return;
            Swap(at, least);
            at = least;
        }
    }

    private bool Before(int a, int b) => _deadlines[a] < _deadlines[b] || (_deadlines[a] == _deadlines[b] && _orders[a] < _orders[b]);

    private void Move(int from, int to)
    {
        _deadlines[to] = _deadlines[from];
        _orders[to] = _orders[from];
        _entries[to] = _entries[from];
    }

    private void Swap(int a, int b)
    {
        (_deadlines[a], _deadlines[b]) = (_deadlines[b], _deadlines[a]);
        (_orders[a], _orders[b]) = (_orders[b], _orders[a]);
        (_entries[a], _entries[b]) = (_entries[b], _entries[a]);
    }
}
