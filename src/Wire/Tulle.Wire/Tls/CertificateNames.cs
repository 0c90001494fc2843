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

    /// <summary>Names of a kind of their own: object identifier in dots, and the text.</summary>
    public List<(string Oid, string Value)> OtherNames { get; } = [];

    /// <summary>Subject as RFC 2253 text, most specific first, escaped; the form of XFCC's Subject.</summary>
    public string Subject { get; private set; } = "";

    /// <summary>The first common name as it is written; empty for none.</summary>
    public string CommonName { get; private set; } = "";

    /// <summary>Names for which a server shows this certificate: its DNS names, else its common name.</summary>
    public IReadOnlyList<string> ServerNames
    {
        get
        {
            var names = Sans.Where(s => s.Kind == SanKind.Dns).Select(s => s.Value).ToList();
            return names.Count > 0 ? names : CommonName.Length > 0 ? [CommonName] : [];
        }
    }

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
        if (!Der.Take(ref der, 0x30, out var certificate) || !Der.Take(ref certificate, 0x30, out var body))
            return null;
        var names = new CertificateNames();
        if (body.Length > 0 && body[0] == 0xA0)
            Der.Take(ref body, 0xA0, out _);
        if (!Der.Take(ref body, 0x02, out var serial) || !Der.Take(ref body, 0x30, out _) || !Der.Take(ref body, 0x30, out _)
            || !Der.Take(ref body, 0x30, out var validity) || !Der.Take(ref body, 0x30, out var subject) || !Der.Take(ref body, 0x30, out _))
        {
            return null;
        }
        names.SerialHex = Convert.ToHexStringLower(serial);
        names.NotBefore = ReadTime(ref validity);
        names.NotAfter = ReadTime(ref validity);
        names.CommonName = DistinguishedName.CommonName(subject);
        names.Subject = DistinguishedName.Read(subject);
        while (body.Length > 0)
        {
            if (body[0] == 0xA3 && Der.Take(ref body, 0xA3, out var wrapped) && Der.Take(ref wrapped, 0x30, out var extensions))
                names.ReadExtensions(extensions);
            else if (!Der.TakeAny(ref body, out _, out _))
                break;
        }
        return names;
    }

    private void ReadExtensions(ReadOnlySpan<byte> extensions)
    {
        while (Der.Take(ref extensions, 0x30, out var extension))
        {
            if (!Der.Take(ref extension, 0x06, out var oid) || !oid.SequenceEqual(SanOid))
                continue;
            if (extension.Length > 0 && extension[0] == 0x01)
                Der.Take(ref extension, 0x01, out _);
            if (!Der.Take(ref extension, 0x04, out var octets) || !Der.Take(ref octets, 0x30, out var names))
                return;
            while (Der.TakeAny(ref names, out var tag, out var value))
            {
                // IA5String. A byte above ASCII is not allowed there; it stays the byte that it is, so that two names that differ stay different.
                switch (tag)
                {
                    case 0xA0:
                        ReadOtherName(value);
                        break;
                    case 0x81:
                        Sans.Add((SanKind.Email, Encoding.Latin1.GetString(value)));
                        break;
                    case 0x82:
                        Sans.Add((SanKind.Dns, Encoding.Latin1.GetString(value)));
                        break;
                    case 0x86:
                        Sans.Add((SanKind.Uri, Encoding.Latin1.GetString(value)));
                        break;
                    case 0x87 when value.Length is 4 or 16:
                        Sans.Add((SanKind.Ip, new System.Net.IPAddress(value).ToString()));
                        break;
                }
            }
        }
    }

    /// <summary>RFC 5280 section 4.2.1.6: an identifier and, under [0], any type; strings are read.</summary>
    private void ReadOtherName(ReadOnlySpan<byte> name)
    {
        if (Der.Take(ref name, 0x06, out var oid) && Der.Take(ref name, 0xA0, out var wrapped) && Der.TakeAny(ref wrapped, out var tag, out var value)
            && tag is 0x0C or 0x12 or 0x13 or 0x16 or 0x1A)
        {
            OtherNames.Add((DistinguishedName.ObjectId(oid), tag == 0x0C ? Encoding.UTF8.GetString(value) : Encoding.Latin1.GetString(value)));
        }
    }

    private static DateTimeOffset ReadTime(ref ReadOnlySpan<byte> validity)
    {
        if (!Der.TakeAny(ref validity, out var tag, out var value))
            return default;
        var text = Encoding.ASCII.GetString(value);
        if (tag == 0x17 && text.Length >= 2)
            text = (string.CompareOrdinal(text, 0, "50", 0, 2) < 0 ? "20" : "19") + text;
        return DateTimeOffset.TryParseExact(text, "yyyyMMddHHmmss'Z'", null, System.Globalization.DateTimeStyles.AssumeUniversal, out var time) ? time : default;
    }
}
