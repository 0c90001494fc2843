using System.Globalization;
using Tulle.Base.Documents;

namespace Tulle.Xds;

/// <summary>The types of google.protobuf that JSON writes in a form of their own.</summary>
internal sealed partial class ProtoTree
{
    /// <summary>10,000 years, the range of google.protobuf.Duration (duration.proto).</summary>
    private const long DurationSecondsMax = 315_576_000_000;

    /// <summary>Years 1 and 9999, the range of google.protobuf.Timestamp (timestamp.proto).</summary>
    private const long TimestampSecondsMin = -62_135_596_800, TimestampSecondsMax = 253_402_300_799;

    private const long NanosPerSecond = 1_000_000_000;

    private Node ReadWellKnown(string type, ReadOnlySpan<byte> data)
    {
        Enter(type);
        var result = WellKnown.WrapperKind(type) is { } kind ? ReadWrapper(kind, data) : type switch
        {
            "google.protobuf.Any" => ReadAny(data),
            "google.protobuf.Duration" => ReadDuration(data),
            "google.protobuf.Timestamp" => ReadTimestamp(data),
            "google.protobuf.Struct" => ReadStruct(data),
            "google.protobuf.Value" => ReadStructValue(data),
            "google.protobuf.ListValue" => ReadListValue(data),
            _ => Node.Map(),
        };
        _depth--;
        return result;
    }

    private static Node ReadWrapper(ProtoKind kind, ReadOnlySpan<byte> data)
    {
        var value = ProtoWire.Default(kind);
        while (!data.IsEmpty)
        {
            var (number, wire) = ProtoWire.ReadTag(ref data);
            if (number == 1)
                value = ProtoWire.ReadScalar(kind, ref data, wire);
            else
                ProtoWire.Skip(ref data, wire);
        }
        return value;
    }

    /// <summary>The content of an Any; a type outside the contract keeps its bytes.</summary>
    private Node ReadAny(ReadOnlySpan<byte> data)
    {
        var url = "";
        ReadOnlySpan<byte> value = default;
        while (!data.IsEmpty)
        {
            var (number, wire) = ProtoWire.ReadTag(ref data);
            if (number == 1)
                url = ProtoWire.ReadText(ref data, wire);
            else if (number == 2)
                value = ProtoWire.ReadBytes(ref data, wire);
            else
                ProtoWire.Skip(ref data, wire);
        }
        var type = url[(url.LastIndexOf('/') + 1)..];
        var fields = new ProtoFields();
        fields.Set("@type", Node.Of(url));
        if (WellKnown.IsKnown(type))
            fields.Set("value", ReadWellKnown(type, value));
        else if (ProtoSchema.Shared.Find(type) is { } message)
            ReadFields(message, value, fields);
        else if (url.Length > 0)
            fields.Set("@bytes", Node.Of(Convert.ToBase64String(value)));
        return fields.ToNode();
    }

    private static Node ReadDuration(ReadOnlySpan<byte> data)
    {
        var (seconds, nanos) = ReadSecondsAndNanos(data);
        if (seconds is > DurationSecondsMax or < -DurationSecondsMax || nanos is >= NanosPerSecond or <= -NanosPerSecond || (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0))
            throw new ProtoException($"a duration of {seconds} seconds and {nanos} nanoseconds is outside its range");
        // Beyond what 64-bit nanoseconds hold (292 years) the fraction does not matter.
        return Node.Of(Math.Abs(seconds) > 9_000_000_000 ? $"{seconds}s" : Durations.FormatNanos((seconds * NanosPerSecond) + nanos));
    }

    private static Node ReadTimestamp(ReadOnlySpan<byte> data)
    {
        var (seconds, nanos) = ReadSecondsAndNanos(data);
        if (seconds is < TimestampSecondsMin or > TimestampSecondsMax || nanos is < 0 or >= NanosPerSecond)
            throw new ProtoException($"a time of {seconds} seconds and {nanos} nanoseconds is outside its range");
        var time = DateTimeOffset.FromUnixTimeSeconds(seconds).AddTicks(nanos / 100);
        return Node.Of(time.ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", CultureInfo.InvariantCulture));
    }

    private static (long Seconds, long Nanos) ReadSecondsAndNanos(ReadOnlySpan<byte> data)
    {
        long seconds = 0;
        long nanos = 0;
        while (!data.IsEmpty)
        {
            var (number, wire) = ProtoWire.ReadTag(ref data);
            if (number == 1)
                seconds = ProtoWire.ReadScalar(ProtoKind.Int64, ref data, wire).AsInteger;
            else if (number == 2)
                nanos = ProtoWire.ReadScalar(ProtoKind.Int32, ref data, wire).AsInteger;
            else
                ProtoWire.Skip(ref data, wire);
        }
        return (seconds, nanos);
    }

    private Node ReadStruct(ReadOnlySpan<byte> data)
    {
        Enter("a Struct");
        var fields = new ProtoFields();
        while (!data.IsEmpty)
        {
            CountValue();
            var (number, wire) = ProtoWire.ReadTag(ref data);
            if (number == 1)
                ReadStructEntry(ProtoWire.ReadBytes(ref data, wire), fields);
            else
                ProtoWire.Skip(ref data, wire);
        }
        _depth--;
        return fields.ToNode();
    }

    private void ReadStructEntry(ReadOnlySpan<byte> entry, ProtoFields fields)
    {
        var key = "";
        var value = Node.Null();
        while (!entry.IsEmpty)
        {
            CountValue();
            var (number, wire) = ProtoWire.ReadTag(ref entry);
            if (number == 1)
                key = ProtoWire.ReadText(ref entry, wire);
            else if (number == 2)
                value = ReadStructValue(ProtoWire.ReadBytes(ref entry, wire));
            else
                ProtoWire.Skip(ref entry, wire);
        }
        fields.Set(key, value);
    }

    private Node ReadStructValue(ReadOnlySpan<byte> data)
    {
        Enter("a Value");
        var result = Node.Null();
        while (!data.IsEmpty)
        {
            CountValue();
            var (kind, wire) = ProtoWire.ReadTag(ref data);
            switch (kind)
            {
                case 1:
                    ProtoWire.Expect(wire, ProtoWire.Varint);
                    ProtoWire.ReadVarint(ref data);
                    result = Node.Null();
                    break;
                case 2:
                    var number = ProtoWire.ReadScalar(ProtoKind.Double, ref data, wire).AsDouble;
                    result = number == Math.Floor(number) && Math.Abs(number) < 9e15 ? Node.Of((long)number) : Node.Of(number);
                    break;
                case 3:
                    result = ProtoWire.ReadScalar(ProtoKind.String, ref data, wire);
                    break;
                case 4:
                    result = ProtoWire.ReadScalar(ProtoKind.Bool, ref data, wire);
                    break;
                case 5:
                    result = ReadStruct(ProtoWire.ReadBytes(ref data, wire));
                    break;
                case 6:
                    result = ReadListValue(ProtoWire.ReadBytes(ref data, wire));
                    break;
                default:
                    ProtoWire.Skip(ref data, wire);
                    break;
            }
        }
        _depth--;
        return result;
    }

    private Node ReadListValue(ReadOnlySpan<byte> data)
    {
        Enter("a list");
        var items = new List<Node>();
        while (!data.IsEmpty)
        {
            CountValue();
            var (number, wire) = ProtoWire.ReadTag(ref data);
            if (number == 1)
                items.Add(ReadStructValue(ProtoWire.ReadBytes(ref data, wire)));
            else
                ProtoWire.Skip(ref data, wire);
        }
        _depth--;
        return Node.List(items);
    }
}
