using System.Buffers.Binary;
using System.Globalization;
using System.Net;

namespace Tulle.Base;

public enum AddressKind : byte
{
    None,
    V4,
    V6,
    Pipe,
}

/// <summary>A socket address as plain data: IPv4, IPv6 or a Unix socket path. Value type, so that a connection's addresses cost no object.</summary>
public readonly struct Address : IEquatable<Address>
{
    private readonly ulong _high;
    private readonly ulong _low;

    private Address(AddressKind kind, ulong high, ulong low, ushort port, string? path)
    {
        Kind = kind;
        _high = high;
        _low = low;
        Port = port;
        Path = path;
    }

    public AddressKind Kind { get; }

    public ushort Port { get; }

    /// <summary>Path of a Unix socket; a leading '@' means the abstract name space. Null for IP addresses.</summary>
    public string? Path { get; }

    public bool IsIp => Kind is AddressKind.V4 or AddressKind.V6;

    /// <summary>0.0.0.0 or ::.</summary>
    public bool IsAny => IsIp && _high == 0 && _low == 0;

    public bool IsLoopback => Kind == AddressKind.V4 ? _low >> 24 == 127 : Kind == AddressKind.V6 && _high == 0 && _low == 1;

    public static Address V4(uint hostOrder, int port) => new(AddressKind.V4, 0, hostOrder, (ushort)port, null);

    public static Address V6(ulong high, ulong low, int port) => new(AddressKind.V6, high, low, (ushort)port, null);

    public static Address Pipe(string path) => new(AddressKind.Pipe, 0, 0, 0, path);

    public Address WithPort(int port) => new(Kind, _high, _low, (ushort)port, Path);

    /// <summary>The bytes of the IP address in network order: 4 or 16; the count is returned.</summary>
    public int CopyBytes(Span<byte> target)
    {
        if (Kind == AddressKind.V4)
        {
            BinaryPrimitives.WriteUInt32BigEndian(target, (uint)_low);
            return 4;
        }
        BinaryPrimitives.WriteUInt64BigEndian(target, _high);
        BinaryPrimitives.WriteUInt64BigEndian(target[8..], _low);
        return 16;
    }

    public static Address FromBytes(ReadOnlySpan<byte> bytes, int port) => bytes.Length == 4
        ? V4(BinaryPrimitives.ReadUInt32BigEndian(bytes), port)
        : V6(BinaryPrimitives.ReadUInt64BigEndian(bytes), BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]), port).Unmapped();

    /// <summary>An IPv4 address that came as ::ffff:a.b.c.d is the same peer.</summary>
    private Address Unmapped() => Kind == AddressKind.V6 && _high == 0 && _low >> 32 == 0xFFFF ? V4((uint)_low, Port) : this;

    public static bool TryParseIp(string text, int port, out Address address)
    {
        address = default;
        if (TryParseV4(text, out var v4))
        {
            address = V4(v4, port);
            return true;
        }
        // What is left must be IPv6: IPAddress also accepts "1" and "010.0.0.1", but an address in a configuration is written in full.
        if (!text.Contains(':') || !IPAddress.TryParse(text, out var ip))
            return false;
        Span<byte> bytes = stackalloc byte[16];
        ip.TryWriteBytes(bytes, out var written);
        address = FromBytes(bytes[..written], port);
        return true;
    }

    /// <summary>Four decimal numbers of 0 to 255 without leading zeros.</summary>
    private static bool TryParseV4(string text, out uint value)
    {
        value = 0;
        int dots = 0, digits = 0;
        uint part = 0;
        foreach (var letter in text)
        {
            if (letter == '.' && digits > 0 && dots < 3)
            {
                value = value << 8 | part;
                (part, digits) = (0, 0);
                dots++;
            }
            else if (char.IsAsciiDigit(letter) && (digits == 0 || part != 0) && part * 10 + (letter - '0') <= 255)
            {
                part = part * 10 + (uint)(letter - '0');
                digits++;
            }
            else
            {
                return false;
            }
        }
        value = value << 8 | part;
        return dots == 3 && digits > 0;
    }

    /// <summary>Whether both IPs share the first bits.</summary>
    public bool InPrefix(in Address prefix, int bits)
    {
        if (Kind != prefix.Kind || !IsIp)
            return false;
        if (bits == 0)
            return true;
        if (Kind == AddressKind.V4)
            return (uint)(_low ^ prefix._low) >> (32 - Math.Min(bits, 32)) == 0;
        if (bits <= 64)
            return (_high ^ prefix._high) >> (64 - bits) == 0;
        return _high == prefix._high && (bits >= 128 ? _low == prefix._low : (_low ^ prefix._low) >> (128 - bits) == 0);
    }

    public bool SameIp(in Address other) => Kind == other.Kind && _high == other._high && _low == other._low;

    public string IpText()
    {
        Span<byte> text = stackalloc byte[64];
        return System.Text.Encoding.ASCII.GetString(text[..FormatIp(text)]);
    }

    /// <summary>Writes the IP without port; returns the bytes written. The target needs 46 bytes.</summary>
    public int FormatIp(Span<byte> target)
    {
        if (Kind == AddressKind.V4)
        {
            var length = 0;
            for (var shift = 24; shift >= 0; shift -= 8)
            {
                ((byte)(_low >> shift)).TryFormat(target[length..], out var written, default, CultureInfo.InvariantCulture);
                length += written;
                if (shift > 0)
                    target[length++] = (byte)'.';
            }
            return length;
        }
        if (Kind != AddressKind.V6)
            return 0;
        Span<byte> bytes = stackalloc byte[16];
        CopyBytes(bytes);
        new IPAddress(bytes).TryFormat(target, out var count);
        return count;
    }

    /// <summary>Writes "1.2.3.4:80", "[::1]:80" or the path; returns the bytes written, 0 when the target is too small.</summary>
    public int Format(Span<byte> target)
    {
        if (Kind == AddressKind.Pipe)
            return System.Text.Encoding.UTF8.TryGetBytes(Path, target, out var pathBytes) ? pathBytes : 0;
        if (Kind == AddressKind.None || target.Length < 56)
            return 0;
        var length = 0;
        if (Kind == AddressKind.V6)
            target[length++] = (byte)'[';
        length += FormatIp(target[length..]);
        if (Kind == AddressKind.V6)
            target[length++] = (byte)']';
        target[length++] = (byte)':';
        Port.TryFormat(target[length..], out var written, default, CultureInfo.InvariantCulture);
        return length + written;
    }

    public override string ToString()
    {
        if (Kind == AddressKind.Pipe)
            return Path!;
        Span<byte> text = stackalloc byte[64];
        return System.Text.Encoding.ASCII.GetString(text[..Format(text)]);
    }

    public bool Equals(Address other) => Kind == other.Kind && _high == other._high && _low == other._low && Port == other.Port && Path == other.Path;

    public override bool Equals(object? obj) => obj is Address other && Equals(other);

    public override int GetHashCode() => HashCode.Combine(_high, _low, Port, Path);

    public static bool operator ==(Address left, Address right) => left.Equals(right);

    public static bool operator !=(Address left, Address right) => !left.Equals(right);
}
