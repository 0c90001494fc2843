using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Tulle.Testing;
using Tulle.Wire.Tls;

namespace Tulle.Wire.Tests;

/// <summary>Names in certificates: what a hostile one says stays inside its own value.</summary>
public class CertificateNamesTests
{
    private static readonly ECDsa s_key = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    /// <summary>A certificate with a subject of these attributes (several in one part are joined by the caller's lists) and this alternative names extension.</summary>
    private static byte[] Certificate((string Oid, UniversalTagNumber Kind, string Text)[][] subject, Action<AsnWriter>? names = null)
    {
        var name = new AsnWriter(AsnEncodingRules.DER);
        using (name.PushSequence())
        {
            foreach (var part in subject)
            {
                using (name.PushSetOf())
                {
                    foreach (var (oid, kind, text) in part)
                    {
                        using (name.PushSequence())
                        {
                            name.WriteObjectIdentifier(oid);
                            name.WriteCharacterString(kind == UniversalTagNumber.OctetString ? UniversalTagNumber.PrintableString : kind, text);
                        }
                    }
                }
            }
        }
        var request = new CertificateRequest(new X500DistinguishedName(name.Encode()), s_key, HashAlgorithmName.SHA256);
        if (names is not null)
        {
            var writer = new AsnWriter(AsnEncodingRules.DER);
            using (writer.PushSequence())
                names(writer);
            request.CertificateExtensions.Add(new X509Extension("2.5.29.17", writer.Encode(), false));
        }
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(80));
        var der = certificate.RawData;
        // What no issuer of good faith writes the class does not either: the tag is changed afterwards.
        foreach (var (_, kind, text) in subject.SelectMany(p => p).Where(a => a.Kind == UniversalTagNumber.OctetString))
        {
            byte[] written = [(byte)UniversalTagNumber.PrintableString, (byte)text.Length, .. Encoding.ASCII.GetBytes(text)];
            for (var at = der.AsSpan().IndexOf(written); at >= 0; at = der.AsSpan().IndexOf(written))
                der[at] = (byte)kind;
        }
        return der;
    }

    private static string Subject(params (string Oid, UniversalTagNumber Kind, string Text)[] attributes) =>
        CertificateNames.TryRead(Certificate(attributes.Select(a => new[] { a }).ToArray()))!.Subject;

    private static string CommonName(string text) => Subject(("2.5.4.3", UniversalTagNumber.UTF8String, text));

    [Theory]
    [InlineData("bob", "CN=bob")]
    [InlineData("bob\";URI=spiffe://admin\r\nX-Injected: yes", "CN=bob\\\"\\;URI=spiffe://admin\\0D\\0AX-Injected: yes")]
    [InlineData("x\",By=spiffe://x/admin;URI=spiffe://x/root", "CN=x\\\"\\,By=spiffe://x/admin\\;URI=spiffe://x/root")]
    [InlineData("a,O=admin", "CN=a\\,O=admin")]
    [InlineData("a+b<c>d\\e", "CN=a\\+b\\<c\\>d\\\\e")]
    [InlineData("#a#", "CN=\\#a#")]
    [InlineData(" a b ", "CN=\\ a b\\ ")]
    [InlineData(" ", "CN=\\ ")]
    [InlineData("é", "CN=\\C3\\A9")]
    [InlineData("a\0b\u007f", "CN=a\\00b\\7F")]
    public void N08_H19_a_subject_is_escaped_as_RFC_2253_has_it(string name, string expected) => Assert.Equal(expected, CommonName(name));

    [Fact]
    public void N08_parts_come_from_the_last_to_the_first_with_their_short_names()
    {
        Assert.Equal("CN=a,OU=b,O=c,C=DE", Subject(("2.5.4.6", UniversalTagNumber.PrintableString, "DE"), ("2.5.4.10", UniversalTagNumber.UTF8String, "c"),
            ("2.5.4.11", UniversalTagNumber.BMPString, "b"), ("2.5.4.3", UniversalTagNumber.IA5String, "a")));
        // An attribute without a name, and a value that is no text, are told as they are encoded.
        Assert.Equal("1.2.3.4=#0C0161", Subject(("1.2.3.4", UniversalTagNumber.UTF8String, "a")));
        Assert.Equal("CN=#040161", Subject(("2.5.4.3", UniversalTagNumber.OctetString, "a")));
        Assert.Equal("emailAddress=a@b,UID=u,DC=test", Subject(("0.9.2342.19200300.100.1.25", UniversalTagNumber.IA5String, "test"),
            ("0.9.2342.19200300.100.1.1", UniversalTagNumber.UTF8String, "u"), ("1.2.840.113549.1.9.1", UniversalTagNumber.IA5String, "a@b")));
        Assert.Equal("O=b+CN=a", CertificateNames.TryRead(Certificate([[("2.5.4.3", UniversalTagNumber.UTF8String, "a"), ("2.5.4.10", UniversalTagNumber.UTF8String, "b")]]))!.Subject);
    }

    [Fact]
    public void N08_bytes_above_ASCII_in_alternative_names_stay_what_they_are()
    {
        static CertificateNames Read(byte last) => CertificateNames.TryRead(Certificate([], w => w.WriteOctetString([.. "spiffe://x/"u8, last], new Asn1Tag(TagClass.ContextSpecific, 6))))!;
        Assert.NotEqual(Read(0x80).FirstUri, Read(0x81).FirstUri);
        Assert.DoesNotContain('?', Read(0x80).FirstUri!);
    }

    [Fact]
    public void Names_of_a_server_are_its_DNS_names_else_its_common_name()
    {
        Assert.Equal(["cn.test"], CertificateNames.TryRead(Certificate([[("2.5.4.3", UniversalTagNumber.UTF8String, "cn.test")]]))!.ServerNames);
        Assert.Equal(["a.test"], CertificateNames.TryRead(Certificate([[("2.5.4.3", UniversalTagNumber.UTF8String, "cn.test")]],
            w => w.WriteCharacterString(UniversalTagNumber.IA5String, "a.test", new Asn1Tag(TagClass.ContextSpecific, 2))))!.ServerNames);
    }

    /// <summary>Whatever the subject holds, its text is printable ASCII and no part of it ends a quoted value.</summary>
    [Fact]
    public void Subjects_and_other_names_of_any_bytes()
    {
        var seed = Certificate([[("2.5.4.3", UniversalTagNumber.UTF8String, "a\",;\r\nb"), ("2.5.4.10", UniversalTagNumber.BMPString, "c")], [("1.2.3.4", UniversalTagNumber.OctetString, "x")]], w =>
        {
            w.WriteCharacterString(UniversalTagNumber.IA5String, "spiffe://x/y", new Asn1Tag(TagClass.ContextSpecific, 6));
            using (w.PushSequence(new Asn1Tag(TagClass.ContextSpecific, 0)))
            {
                w.WriteObjectIdentifier("1.2.3.4");
                using (w.PushSequence(new Asn1Tag(TagClass.ContextSpecific, 0)))
                    w.WriteCharacterString(UniversalTagNumber.UTF8String, "me");
            }
        });
        Fuzzer.Run("certificate names", [seed], [[0x31], [0x30], [0x06], [0x0C], [0x1E], [0x1C], [0xA0], [0x22], [0x0D, 0x0A], [0x80], [0xff, 0xff, 0xff, 0xff]], (input, _) =>
        {
            if (CertificateNames.TryRead(input) is not { } read)
                return 0;
            var escaped = false;
            foreach (var character in read.Subject)
            {
                if (character is < ' ' or > '~' || (!escaped && character is '"' or ';'))
                    throw new InvalidOperationException($"the subject is not safe between quotation marks: {read.Subject}");
                escaped = !escaped && character == '\\';
            }
            if (escaped)
                throw new InvalidOperationException($"the subject ends in an open escape: {read.Subject}");
            return HashCode.Combine(read.Sans.Count, read.OtherNames.Count, read.ServerNames.Count, read.Subject.Length);
        });
    }
}
