using System.Formats.Asn1;
using System.Security.Cryptography.X509Certificates;

namespace Tulle.Control;

/// <summary>URI names of a certificate, read as what they are (RFC 5280 section 4.2.1.6) and never as text that happens to be in the bytes.</summary>
internal static class AlternativeNames
{
    private const string SubjectAlternativeName = "2.5.29.17";

    /// <summary>uniformResourceIdentifier [6] IA5String.</summary>
    private static readonly Asn1Tag Uri = new(TagClass.ContextSpecific, 6);

    /// <summary>All URI names, in their order. Empty when there are none or when the extension is malformed: half of a list proves nothing.</summary>
    public static IReadOnlyList<string> UrisOf(X509Certificate2 certificate)
    {
        var result = new List<string>();
        try
        {
            foreach (var extension in certificate.Extensions.Where(e => e.Oid?.Value == SubjectAlternativeName))
            {
                var reader = new AsnReader(extension.RawData, AsnEncodingRules.DER);
                var names = reader.ReadSequence();
                reader.ThrowIfNotEmpty();
                while (names.HasData)
                {
                    if (names.PeekTag().HasSameClassAndValue(Uri))
                        result.Add(Text(names.ReadCharacterString(UniversalTagNumber.IA5String, Uri)));
                    else
                        names.ReadEncodedValue();
                }
            }
        }
        catch (AsnContentException)
        {
            return [];
        }
        return result;
    }

    /// <summary>A name with a control character in it is no name.</summary>
    private static string Text(string name) => name.All(c => c is > ' ' and < (char)127) ? name : throw new AsnContentException();
}
