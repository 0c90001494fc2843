using System.Globalization;
using System.Text;

namespace Tulle.Wire.Tls;

/// <summary>
/// The text of an X.501 name as RFC 2253 has it and OpenSSL and BoringSSL print it: most specific part first, every byte that could end a part, a value or
/// a line escaped, bytes above ASCII as hex. What a certificate says cannot look like anything else than what it says.
/// </summary>
internal static class DistinguishedName
{
    private static readonly Dictionary<string, string> s_labels = new(StringComparer.Ordinal)
    {
        ["2.5.4.3"] = "CN",
        ["2.5.4.4"] = "SN",
        ["2.5.4.5"] = "serialNumber",
        ["2.5.4.6"] = "C",
        ["2.5.4.7"] = "L",
        ["2.5.4.8"] = "ST",
        ["2.5.4.9"] = "street",
        ["2.5.4.10"] = "O",
        ["2.5.4.11"] = "OU",
        ["2.5.4.12"] = "title",
        ["2.5.4.13"] = "description",
        ["2.5.4.15"] = "businessCategory",
        ["2.5.4.17"] = "postalCode",
        ["2.5.4.41"] = "name",
        ["2.5.4.42"] = "GN",
        ["2.5.4.43"] = "initials",
        ["2.5.4.44"] = "generationQualifier",
        ["2.5.4.46"] = "dnQualifier",
        ["2.5.4.65"] = "pseudonym",
        ["1.2.840.113549.1.9.1"] = "emailAddress",
        ["1.2.840.113549.1.9.2"] = "unstructuredName",
        ["0.9.2342.19200300.100.1.1"] = "UID",
        ["0.9.2342.19200300.100.1.25"] = "DC",
    };

    private const byte Utf8String = 0x0C, UniversalString = 0x1C, BmpString = 0x1E;

    /// <summary>The content of a Name (RFC 5280 section 4.1.2.4). What is no attribute ends it.</summary>
    public static string Read(ReadOnlySpan<byte> name)
    {
        var parts = new List<string>();
        while (Der.Take(ref name, 0x31, out var set))
        {
            var isFirst = true;
            while (Der.Take(ref set, 0x30, out var attribute))
            {
                if (!Der.Take(ref attribute, 0x06, out var oid))
                    continue;
                var whole = attribute;
                if (!Der.TakeAny(ref attribute, out var tag, out var value))
                    continue;
                // From the last to the first, so a part of several values begins with its last one.
                parts.Add(isFirst ? "," : "+");
                parts.Add(Attribute(oid, tag, value, whole[..(whole.Length - attribute.Length)]));
                isFirst = false;
            }
        }
        var text = new StringBuilder();
        for (var i = parts.Count - 2; i >= 0; i -= 2)
        {
            text.Append(parts[i + 1]);
            if (i > 0)
                text.Append(parts[i]);
        }
        return text.ToString();
    }

    /// <summary>The text of the first common name as it is, without escapes; empty when there is none.</summary>
    public static string CommonName(ReadOnlySpan<byte> name)
    {
        while (Der.Take(ref name, 0x31, out var set))
        {
            while (Der.Take(ref set, 0x30, out var attribute))
            {
                if (Der.Take(ref attribute, 0x06, out var oid) && oid.SequenceEqual((ReadOnlySpan<byte>)[0x55, 4, 3])
                    && Der.TakeAny(ref attribute, out var tag, out var value) && Bytes(tag, value) is { } bytes)
                {
                    return Encoding.Latin1.GetString(bytes);
                }
            }
        }
        return "";
    }

    private static string Attribute(ReadOnlySpan<byte> oid, byte tag, ReadOnlySpan<byte> value, ReadOnlySpan<byte> der)
    {
        var number = ObjectId(oid);
        var text = new StringBuilder();
        if (s_labels.TryGetValue(number, out var label) && Bytes(tag, value) is { } bytes)
        {
            text.Append(label).Append('=');
            for (var i = 0; i < bytes.Length; i++)
                Escape(text, bytes[i], isFirst: i == 0, isLast: i == bytes.Length - 1);
            return text.ToString();
        }
        return text.Append(label ?? number).Append("=#").Append(Convert.ToHexString(der)).ToString();
    }

    private static void Escape(StringBuilder text, byte value, bool isFirst, bool isLast)
    {
        if (value is < 0x20 or >= 0x7F)
        {
            text.Append('\\').Append(value.ToString("X2", CultureInfo.InvariantCulture));
            return;
        }
        if (value is (byte)',' or (byte)'+' or (byte)'"' or (byte)'\\' or (byte)'<' or (byte)'>' or (byte)';'
            || (value == ' ' && (isFirst || isLast)) || (value == '#' && isFirst))
        {
            text.Append('\\');
        }
        text.Append((char)value);
    }

    /// <summary>A string of any of the string types in UTF-8, as its issuer wrote it; null for what is no string.</summary>
    private static byte[]? Bytes(byte tag, ReadOnlySpan<byte> value)
    {
        switch (tag)
        {
            case Utf8String:
                return value.ToArray();
            // Numeric, Printable, T61, IA5, the two times, Visible: one byte is one character.
            case 0x12 or 0x13 or 0x14 or 0x16 or 0x17 or 0x18 or 0x1A:
                return Encoding.UTF8.GetBytes(Encoding.Latin1.GetString(value));
            case BmpString when value.Length % 2 == 0:
                return Encoding.UTF8.GetBytes(Encoding.BigEndianUnicode.GetString(value));
            case UniversalString when value.Length % 4 == 0:
                return Encoding.UTF8.GetBytes(new UTF32Encoding(bigEndian: true, byteOrderMark: false).GetString(value));
            default:
                return null;
        }
    }

    /// <summary>Dotted decimal; a number above 2^63 is written as hex with an x in front.</summary>
    public static string ObjectId(ReadOnlySpan<byte> oid)
    {
        var text = new StringBuilder();
        ulong number = 0;
        var isFirst = true;
        foreach (var part in oid)
        {
            if (number > ulong.MaxValue >> 8)
                return "x" + Convert.ToHexString(oid);
            number = (number << 7) | (uint)(part & 0x7F);
            if ((part & 0x80) != 0)
                continue;
            if (isFirst)
            {
                var top = Math.Min(number / 40, 2);
                text.Append(top.ToString(CultureInfo.InvariantCulture));
                number -= top * 40;
                isFirst = false;
            }
            text.Append('.').Append(number.ToString(CultureInfo.InvariantCulture));
            number = 0;
        }
        return text.ToString();
    }
}
