using System.Buffers.Text;
using System.Runtime.CompilerServices;
using System.Text;

namespace Tulle.Wire;

/// <summary>Appends bytes to a fixed span. When they do not fit, nothing more is written and <see cref="Overflowed"/> says so.</summary>
public ref struct ByteWriter(Span<byte> target)
{
    private readonly Span<byte> _target = target;

    public int Length { get; private set; }

    public bool Overflowed { get; private set; }

    public readonly ReadOnlySpan<byte> Written => _target[..Length];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(scoped ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > _target.Length - Length)
        {
            Overflowed = true;
            return;
        }
        bytes.CopyTo(_target[Length..]);
        Length += bytes.Length;
    }

    public void Add(byte value)
    {
        if ((uint)Length < (uint)_target.Length)
            _target[Length++] = value;
        else
            Overflowed = true;
    }

    /// <summary>Appends a field name in lower case.</summary>
    public void AddLower(scoped ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > _target.Length - Length)
        {
            Overflowed = true;
            return;
        }
        LowerCase.Copy(bytes, _target[Length..]);
        Length += bytes.Length;
    }

    public void AddNumber(long value)
    {
        if (Utf8Formatter.TryFormat(value, _target[Length..], out var written))
            Length += written;
        else
            Overflowed = true;
    }

    public void AddHex(long value)
    {
        if (Utf8Formatter.TryFormat(value, _target[Length..], out var written, new System.Buffers.StandardFormat('x')))
            Length += written;
        else
            Overflowed = true;
    }

    public void AddText(scoped ReadOnlySpan<char> text)
    {
        if (Encoding.UTF8.TryGetBytes(text, _target[Length..], out var written))
            Length += written;
        else
            Overflowed = true;
    }

    public void AddField(scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> value)
    {
        var length = name.Length + value.Length + 4;
        if (length > _target.Length - Length)
        {
            Overflowed = true;
            return;
        }
        var line = _target.Slice(Length, length);
        LowerCase.Copy(name, line);
        var at = name.Length;
        line[at++] = (byte)':';
        line[at++] = (byte)' ';
        value.CopyTo(line[at..]);
        line[^2] = (byte)'\r';
        line[^1] = (byte)'\n';
        Length += length;
    }
}
