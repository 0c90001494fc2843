using System.Text;

namespace Tulle.Wire.Http1;

/// <summary>
/// A request or response head: the start line and the fields, as slices of one byte array. Edits go to a second, small array, so a head that is only
/// forwarded is never copied before it is encoded. Reused between messages; holds no buffer of its own while idle.
/// </summary>
public sealed class HttpHead
{
    private struct Slot
    {
        public int NameOffset, NameLength, ValueOffset, ValueLength;
        public KnownHeader Known;
        public bool Removed, Extra;
    }

    private Slot[] _slots = new Slot[32];
    private byte[] _data = [];
    private byte[] _extra = new byte[512];
    private int _extraLength;
    private int _count;

    /// <summary>Bytes of the head on the wire, including the empty line.</summary>
    public int Length { get; internal set; }

    public int Count => _count;

    public RequestMethod Method { get; internal set; }

    public int MinorVersion { get; internal set; }

    public int Status { get; set; }

    public bool IsChunked { get; internal set; }

    /// <summary>Value of Content-Length, −1 when there is none.</summary>
    public long ContentLength { get; internal set; } = -1;

    /// <summary>Connection: close was there (or HTTP/1.0 without keep-alive).</summary>
    public bool IsClose { get; internal set; }

    public bool IsUpgrade { get; internal set; }

    /// <summary>Connection names fields, which are for the next hop only.</summary>
    internal bool NamesFields { get; set; }

    public bool ExpectsContinue { get; internal set; }

    /// <summary>The target holds a '#', which no request target may (RFC 9112 section 3.2).</summary>
    public bool HasFragment { get; internal set; }

    private int _methodOffset, _methodLength, _targetOffset, _targetLength, _pathOffset, _pathLength, _authorityOffset, _authorityLength;
    private bool _pathExtra, _authorityExtra, _originalPathKept;

    public bool HasAuthority { get; private set; }

    /// <summary>The scheme as far as it is known: what <see cref="SetScheme"/> was given, else that of an absolute target; empty when neither is there.</summary>
    public ReadOnlySpan<byte> Scheme => _scheme is not null ? _scheme : _targetLength > 8 && _data[_targetOffset] != '/'
        ? Ascii.EqualsIgnoreCase(Target[..8], "https://"u8) ? "https"u8 : Ascii.EqualsIgnoreCase(Target[..7], "http://"u8) ? "http"u8 : default : default;

    private byte[]? _scheme;

    public void SetScheme(byte[] scheme) => _scheme = scheme;

    public ReadOnlySpan<byte> MethodText => _data.AsSpan(_methodOffset, _methodLength);

    /// <summary>The request target as it came.</summary>
    public ReadOnlySpan<byte> Target => _data.AsSpan(_targetOffset, _targetLength);

    /// <summary>Path and query, after any rewriting.</summary>
    public ReadOnlySpan<byte> Path => (_pathExtra ? _extra : _data).AsSpan(_pathOffset, _pathLength);

    /// <summary>Host of the request: from an absolute target, else from the Host field.</summary>
    public ReadOnlySpan<byte> Authority => (_authorityExtra ? _extra : _data).AsSpan(_authorityOffset, _authorityLength);

    public bool PathIsRewritten => _pathExtra && _originalPathKept;

    public void Reset(byte[] data)
    {
        _data = data;
        _scheme = null;
        _count = 0;
        _extraLength = 0;
        Length = 0;
        Method = RequestMethod.Unknown;
        Status = 0;
        MinorVersion = 1;
        IsChunked = IsClose = IsUpgrade = NamesFields = ExpectsContinue = HasAuthority = HasFragment = false;
        ContentLength = -1;
        _pathExtra = _authorityExtra = _originalPathKept = false;
        _pathLength = _authorityLength = _methodLength = _targetLength = 0;
    }

    /// <summary>Lets go of the buffers after a message; a head that grew large is cut back.</summary>
    public void Release()
    {
        _data = [];
        _count = 0;
        if (_extra.Length > 16 * 1024)
            _extra = new byte[512];
    }

    /// <summary>The bytes moved to another array (same offsets): a buffer that grew while the head was in use.</summary>
    public void Rebase(byte[] data) => _data = data;

    internal void SetStart(int methodOffset, int methodLength, int targetOffset, int targetLength)
    {
        _methodOffset = methodOffset;
        _methodLength = methodLength;
        _targetOffset = _pathOffset = targetOffset;
        _targetLength = _pathLength = targetLength;
    }

    internal void SetPathSlice(int offset, int length)
    {
        _pathOffset = offset;
        _pathLength = length;
    }

    internal void SetAuthoritySlice(int offset, int length)
    {
        _authorityOffset = offset;
        _authorityLength = length;
        _authorityExtra = false;
        HasAuthority = true;
    }

    internal void AddSlice(int nameOffset, int nameLength, int valueOffset, int valueLength, KnownHeader known)
    {
        if (_count == _slots.Length)
            Array.Resize(ref _slots, _count * 2);
        _slots[_count++] = new Slot { NameOffset = nameOffset, NameLength = nameLength, ValueOffset = valueOffset, ValueLength = valueLength, Known = known };
    }

    public KnownHeader Known(int index) => _slots[index].Known;

    public bool IsRemoved(int index) => _slots[index].Removed;

    public ReadOnlySpan<byte> Name(int index)
    {
        ref var slot = ref _slots[index];
        return (slot.Extra ? _extra : _data).AsSpan(slot.NameOffset, slot.NameLength);
    }

    public ReadOnlySpan<byte> Value(int index)
    {
        ref var slot = ref _slots[index];
        return (slot.Extra ? _extra : _data).AsSpan(slot.ValueOffset, slot.ValueLength);
    }

    public int Find(KnownHeader known, int from = 0)
    {
        for (var i = from; i < _count; i++)
        {
            if (_slots[i].Known == known && !_slots[i].Removed)
                return i;
        }
        return -1;
    }

    /// <summary>Index of the next field of that name (lower case), or −1.</summary>
    public int Find(ReadOnlySpan<byte> lowerName, int from = 0)
    {
        for (var i = from; i < _count; i++)
        {
            if (_slots[i].NameLength == lowerName.Length && !_slots[i].Removed && LowerCase.AreEqual(Name(i), lowerName))
                return i;
        }
        return -1;
    }

    public void Remove(int index) => _slots[index].Removed = true;

    public void Remove(KnownHeader known)
    {
        for (var i = 0; i < _count; i++)
        {
            if (_slots[i].Known == known)
                _slots[i].Removed = true;
        }
    }

    public void Remove(ReadOnlySpan<byte> lowerName)
    {
        for (var i = Find(lowerName); i >= 0; i = Find(lowerName, i + 1))
            _slots[i].Removed = true;
    }

    public void Add(ReadOnlySpan<byte> lowerName, ReadOnlySpan<byte> value, KnownHeader known = KnownHeader.Unknown)
    {
        if (_count == _slots.Length)
            Array.Resize(ref _slots, _count * 2);
        var nameOffset = Append(lowerName);
        var valueOffset = Append(value);
        _slots[_count++] = new Slot
        {
            NameOffset = nameOffset,
            NameLength = lowerName.Length,
            ValueOffset = valueOffset,
            ValueLength = value.Length,
            Known = known == KnownHeader.Unknown ? KnownHeaders.Find(lowerName) : known,
            Extra = true,
        };
    }

    public void Add(KnownHeader known, ReadOnlySpan<byte> value) => Add(KnownHeaders.Name(known), value, known);

    public void Set(KnownHeader known, ReadOnlySpan<byte> value)
    {
        // The value may lie in this head's own extra bytes: append first, then remove the others.
        var before = _count;
        Add(known, value);
        for (var i = 0; i < before; i++)
        {
            if (_slots[i].Known == known)
                _slots[i].Removed = true;
        }
    }

    public void Set(ReadOnlySpan<byte> lowerName, ReadOnlySpan<byte> value)
    {
        var before = _count;
        Add(lowerName, value);
        for (var i = 0; i < before; i++)
        {
            if (_slots[i].NameLength == lowerName.Length && !_slots[i].Removed && LowerCase.AreEqual(Name(i), lowerName))
                _slots[i].Removed = true;
        }
    }

    /// <summary>Takes a new path and query.</summary>
    public void SetPath(ReadOnlySpan<byte> path, bool isRewrite)
    {
        _pathOffset = Append(path);
        _pathLength = path.Length;
        _pathExtra = true;
        _originalPathKept |= isRewrite;
    }

    public void SetAuthority(ReadOnlySpan<byte> authority)
    {
        _authorityOffset = Append(authority);
        _authorityLength = authority.Length;
        _authorityExtra = true;
        HasAuthority = true;
    }

    /// <summary>How many fields and extra bytes there are now: <see cref="Rewind"/> undoes what was added after.</summary>
    public (int Count, int Extra) Mark() => (_count, _extraLength);

    public void Rewind((int Count, int Extra) mark) => (_count, _extraLength) = mark;

    private int Append(ReadOnlySpan<byte> bytes)
    {
        var offset = _extraLength;
        var needed = offset + bytes.Length;
        if (needed > _extra.Length)
        {
            var grown = new byte[Math.Max(needed, _extra.Length * 2)];
            _extra.AsSpan(0, _extraLength).CopyTo(grown);
            // Copy before the old array is let go: the source may lie in it.
            bytes.CopyTo(grown.AsSpan(offset));
            _extra = grown;
        }
        else
        {
            bytes.CopyTo(_extra.AsSpan(offset));
        }
        _extraLength = needed;
        return offset;
    }
}
