using System.Text;

namespace Tulle.Wire.Tls;

public enum SanKind : byte
{
    Email,
    Dns,
    Uri,
    Ip,
    Other,
}

/// <summary>The names a certificate vouches for, read from its DER (RFC 5280 sections 4.1 and 4.2.1.6), with validity and serial number.</summary>
public sealed class CertificateNames
{
    private static ReadOnlySpan<byte> SanOid => [0x55, 0x1D, 0x11];

    public List<(SanKind Kind, string Value)> Sans { get; } = [];

    /// <summary>Subject as RFC 2253 text, most specific first; the form of XFCC's Subject.</summary>
    public string Subject { get; private set; } = "";

    public string SerialHex { get; private set; } = "";

    public DateTimeOffset NotBefore { get; private set; }

    public DateTimeOffset NotAfter { get; private set; }

    public string? FirstUri
    {
        get
        {
            foreach (var (kind, value) in Sans)
            {
                if (kind == SanKind.Uri)
                    return value;
            }
            return null;
        }
    }

    /// <summary>Null when the bytes are no certificate.</summary>
    public static CertificateNames? TryRead(ReadOnlySpan<byte> der)
    {
        if (!Take(ref der, 0x30, out var certificate) || !Take(ref certificate, 0x30, out var body))
            return null;
        var names = new CertificateNames();
        if (body.Length > 0 && body[0] == 0xA0)
            Take(ref body, 0xA0, out _);
        if (!Take(ref body, 0x02, out var serial) || !Take(ref body, 0x30, out _) || !Take(ref body, 0x30, out _)
            || !Take(ref body, 0x30, out var validity) || !Take(ref body, 0x30, out var subject) || !Take(ref body, 0x30, out _))
        {
            return null;
        }
        names.SerialHex = Convert.ToHexStringLower(serial);
        names.NotBefore = ReadTime(ref validity);
        names.NotAfter = ReadTime(ref validity);
        names.Subject = ReadName(subject);
        while (body.Length > 0)
        {
            if (body[0] == 0xA3 && Take(ref body, 0xA3, out var wrapped) && Take(ref wrapped, 0x30, out var extensions))
                names.ReadExtensions(extensions);
            else if (!TakeAny(ref body, out _, out _))
                break;
        }
        return names;
    }

    private void ReadExtensions(ReadOnlySpan<byte> extensions)
    {
        while (Take(ref extensions, 0x30, out var extension))
        {
            if (!Take(ref extension, 0x06, out var oid) || !oid.SequenceEqual(SanOid))
                continue;
            if (extension.Length > 0 && extension[0] == 0x01)
                Take(ref extension, 0x01, out _);
            if (!Take(ref extension, 0x04, out var octets) || !Take(ref octets, 0x30, out var names))
                return;
            while (TakeAny(ref names, out var tag, out var value))
            {
                switch (tag)
                {
                    case 0x81:
                        Sans.Add((SanKind.Email, Encoding.ASCII.GetString(value)));
                        break;
                    case 0x82:
                        Sans.Add((SanKind.Dns, Encoding.ASCII.GetString(value)));
                        break;
                    case 0x86:
                        Sans.Add((SanKind.Uri, Encoding.ASCII.GetString(value)));
                        break;
                    case 0x87 when value.Length is 4 or 16:
                        Sans.Add((SanKind.Ip, new System.Net.IPAddress(value).ToString()));
                        break;
                }
            }
        }
    }

    private static string ReadName(ReadOnlySpan<byte> name)
    {
        var parts = new List<string>();
        while (Take(ref name, 0x31, out var set))
        {
            if (!Take(ref set, 0x30, out var attribute) || !Take(ref attribute, 0x06, out var oid) || !TakeAny(ref attribute, out _, out var value))
                continue;
            var label = oid.SequenceEqual(new byte[] { 0x55, 4, 3 }) ? "CN" : oid.SequenceEqual(new byte[] { 0x55, 4, 10 }) ? "O"
                : oid.SequenceEqual(new byte[] { 0x55, 4, 11 }) ? "OU" : oid.SequenceEqual(new byte[] { 0x55, 4, 6 }) ? "C"
                : oid.SequenceEqual(new byte[] { 0x55, 4, 7 }) ? "L" : oid.SequenceEqual(new byte[] { 0x55, 4, 8 }) ? "ST" : "OID";
            parts.Insert(0, $"{label}={Encoding.UTF8.GetString(value)}");
        }
        return string.Join(",", parts);
    }

    private static DateTimeOffset ReadTime(ref ReadOnlySpan<byte> validity)
    {
        if (!TakeAny(ref validity, out var tag, out var value))
            return default;
        var text = Encoding.ASCII.GetString(value);
        if (tag == 0x17 && text.Length >= 2)
            text = (string.CompareOrdinal(text, 0, "50", 0, 2) < 0 ? "20" : "19") + text;
        return DateTimeOffset.TryParseExact(text, "yyyyMMddHHmmss'Z'", null, System.Globalization.DateTimeStyles.AssumeUniversal, out var time) ? time : default;
    }

    private static bool Take(ref ReadOnlySpan<byte> der, byte tag, out ReadOnlySpan<byte> value)
    {
        value = default;
        return der.Length > 0 && der[0] == tag && TakeAny(ref der, out _, out value);
    }

    /// <summary>One tag-length-value of DER; definite lengths only.</summary>
    private static bool TakeAny(ref ReadOnlySpan<byte> der, out byte tag, out ReadOnlySpan<byte> value)
    {
        tag = 0;
        value = default;
        if (der.Length < 2)
            return false;
        tag = der[0];
        int length = der[1];
        var at = 2;
        if (length >= 0x80)
        {
            var bytes = length & 0x7F;
            if (bytes is 0 or > 3 || der.Length < 2 + bytes)
                return false;
            length = 0;
            for (var i = 0; i < bytes; i++)
                length = (length << 8) | der[at++];
        }
        if (length > der.Length - at)
            return false;
        value = der.Slice(at, length);
        der = der[(at + length)..];
        return true;
    }
}
