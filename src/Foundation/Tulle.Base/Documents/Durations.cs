using System.Globalization;

namespace Tulle.Base.Documents;

/// <summary>Durations as people and protobuf write them.</summary>
public static class Durations
{
    /// <summary>Reads "1.5s", "250ms", "1m30s", "1h"; false when the text is none of these.</summary>
    public static bool TryParseMs(ReadOnlySpan<char> text, out double milliseconds)
    {
        milliseconds = 0;
        var sign = 1;
        if (text.Length > 0 && text[0] == '-')
        {
            sign = -1;
            text = text[1..];
        }
        if (text.IsEmpty)
            return false;
        while (!text.IsEmpty)
        {
            var digits = text.IndexOfAnyExcept("0123456789.");
            if (digits <= 0 || !double.TryParse(text[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number))
                return false;
            text = text[digits..];
            var unitLength = text.IndexOfAny("0123456789.");
            var unit = unitLength < 0 ? text : text[..unitLength];
            var scale = unit switch
            {
                "h" => 3_600_000d,
                "m" => 60_000d,
                "s" => 1000d,
                "ms" => 1d,
                "us" or "µs" => 0.001,
                "ns" => 0.000001,
                _ => -1,
            };
            if (scale < 0)
                return false;
            milliseconds += number * scale;
            text = text[unit.Length..];
        }
        milliseconds *= sign;
        return true;
    }

    /// <summary>Proto JSON form: seconds with none, three, six or nine decimals.</summary>
    public static string Format(double milliseconds) => FormatNanos((long)Math.Round(milliseconds * 1e6));

    public static string FormatNanos(long nanos)
    {
        var seconds = nanos / 1_000_000_000;
        var rest = Math.Abs(nanos % 1_000_000_000);
        var sign = nanos < 0 && seconds == 0 ? "-" : "";
        return rest == 0 ? $"{sign}{seconds}s"
            : rest % 1_000_000 == 0 ? $"{sign}{seconds}.{rest / 1_000_000:D3}s"
            : rest % 1000 == 0 ? $"{sign}{seconds}.{rest / 1000:D6}s"
            : $"{sign}{seconds}.{rest:D9}s";
    }
}
