using System.Text;

namespace Tulle.Wire.Tests;

/// <summary>Beside the framework's own, for every byte at every place of every short length.</summary>
public class LowerCaseTests
{
    [Fact]
    public void Every_byte_at_every_place_of_every_length_is_what_the_framework_makes_of_it()
    {
        for (var length = 0; length <= 40; length++)
        {
            for (var place = 0; place < Math.Max(1, length); place++)
            {
                for (var value = 0; value < 256; value++)
                {
                    var text = Encoding.ASCII.GetBytes(new string('Q', length));
                    if (length > 0)
                        text[place] = (byte)value;
                    // ToLower of the framework stops at a byte that is not ASCII.
                    var expected = Array.ConvertAll(text, b => b is >= (byte)'A' and <= (byte)'Z' ? (byte)(b + 32) : b);
                    var made = new byte[length + 1];
                    made[length] = 77;
                    LowerCase.Copy(text, made);
                    Assert.True(expected.AsSpan().SequenceEqual(made.AsSpan(0, length)) && made[length] == 77, $"{value} at {place} of {length}");
                    Assert.True(LowerCase.AreEqual(text, expected) && LowerCase.AreEqual(expected, text), $"{value} at {place} of {length} is not found");
                }
            }
        }
    }

    [Fact]
    public void A_difference_at_any_place_is_seen()
    {
        for (var length = 1; length <= 40; length++)
        {
            for (var place = 0; place < length; place++)
            {
                var lower = Encoding.ASCII.GetBytes(new string('q', length));
                var text = Encoding.ASCII.GetBytes(new string('Q', length));
                text[place] = (byte)'R';
                Assert.False(LowerCase.AreEqual(text, lower), $"place {place} of {length}");
                Assert.False(LowerCase.AreEqual(text.AsSpan(1), lower));
            }
        }
    }
}
