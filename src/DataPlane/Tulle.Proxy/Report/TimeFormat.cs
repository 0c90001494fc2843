using System.Globalization;
using Tulle.Wire;

namespace Tulle.Proxy;

/// <summary>%START_TIME(…)%: the words of strftime, in UTC, and Envoy's own %s (seconds since 1970), %f and %1f … %9f (fractions of a second).</summary>
internal static class TimeFormat
{
    /// <param name="writer">Where to.</param>
    /// <param name="format">The words; empty means 2026-11-21T16:40:05.123Z.</param>
    /// <param name="micros">Microseconds since 1970.</param>
    public static void Write(ref ByteWriter writer, ReadOnlySpan<byte> format, long micros)
    {
        var time = DateTime.UnixEpoch.AddTicks(micros * 10);
        if (format.IsEmpty)
        {
            Add(ref writer, time, "yyyy-MM-dd'T'HH:mm:ss.fff'Z'");
            return;
        }
        for (var at = 0; at < format.Length; at++)
        {
            if (format[at] != (byte)'%' || at + 1 == format.Length)
            {
                writer.Add(format[at]);
                continue;
            }
            var digits = 0;
            if (char.IsAsciiDigit((char)format[at + 1]) && at + 2 < format.Length && format[at + 2] == (byte)'f')
                digits = format[++at] - '0';
            if (!Word(ref writer, (char)format[++at], digits, time, micros))
                writer.Add(format.Slice(at - 1, 2));
        }
    }

    private static bool Word(ref ByteWriter writer, char word, int digits, DateTime time, long micros)
    {
        switch (word)
        {
            case '%':
                writer.Add((byte)'%');
                return true;
            case 's':
                writer.AddNumber(micros / 1_000_000);
                return true;
            case 'f':
                Fraction(ref writer, micros % 1_000_000 * 1000, digits is 0 ? 9 : digits);
                return true;
            case 'n':
                writer.Add((byte)'\n');
                return true;
            case 't':
                writer.Add((byte)'\t');
                return true;
            case 'j':
                Padded(ref writer, time.DayOfYear, 3);
                return true;
            case 'e':
                if (time.Day < 10)
                    writer.Add((byte)' ');
                writer.AddNumber(time.Day);
                return true;
            case 'u':
                writer.AddNumber(time.DayOfWeek == DayOfWeek.Sunday ? 7 : (int)time.DayOfWeek);
                return true;
            case 'w':
                writer.AddNumber((int)time.DayOfWeek);
                return true;
            case 'Z':
                writer.Add("UTC"u8);
                return true;
            case 'z':
                writer.Add("+0000"u8);
                return true;
        }
        var pattern = word switch
        {
            'Y' => "yyyy",
            'y' => "yy",
            'm' => "MM",
            'd' => "dd",
            'H' => "HH",
            'I' => "hh",
            'M' => "mm",
            'S' => "ss",
            'p' => "tt",
            'T' => "HH:mm:ss",
            'R' => "HH:mm",
            'F' => "yyyy-MM-dd",
            'D' or 'x' => "MM/dd/yy",
            'b' or 'h' => "MMM",
            'B' => "MMMM",
            'a' => "ddd",
            'A' => "dddd",
            'X' => "HH:mm:ss",
            'c' => "ddd MMM d HH:mm:ss yyyy",
            _ => null,
        };
        if (pattern is null)
            return false;
        Add(ref writer, time, pattern);
        return true;
    }

    private static void Add(ref ByteWriter writer, DateTime time, string pattern)
    {
        Span<byte> text = stackalloc byte[64];
        time.TryFormat(text, out var length, pattern, CultureInfo.InvariantCulture);
        writer.Add(text[..length]);
    }

    private static void Fraction(ref ByteWriter writer, long nanos, int digits)
    {
        for (long scale = 100_000_000; digits > 0; digits--, scale /= 10)
            writer.Add((byte)('0' + nanos / scale % 10));
    }

    private static void Padded(ref ByteWriter writer, int value, int width)
    {
        Span<byte> text = stackalloc byte[8];
        value.TryFormat(text, out var length, width == 3 ? "D3" : "D2", CultureInfo.InvariantCulture);
        writer.Add(text[..length]);
    }
}
