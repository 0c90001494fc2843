using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Tulle.Wire.Istio;

namespace Tulle.Wire.Tests;

public class WorkloadStructTests
{
    [Fact]
    public void A_struct_of_one_text_has_the_bytes_of_the_protobuf_encoding()
    {
        // Struct { fields { key: "a" value { string_value: "b" } } fields { key: "LABELS" value { struct_value {} } } }
        byte[] expected = [0x0A, 0x0C, 0x0A, 0x06, .. "LABELS"u8, 0x12, 0x02, 0x2A, 0x00, 0x0A, 0x08, 0x0A, 0x01, .. "a"u8, 0x12, 0x03, 0x1A, 0x01, .. "b"u8];
        Assert.Equal(Convert.ToHexString(expected), Convert.ToHexString(WorkloadStruct.Write([new("a", "b")], [])));
    }

    [Fact]
    public void What_is_written_is_read_back_in_all_three_forms()
    {
        Prop.ForAll<Dictionary<NonEmptyString, string>, Dictionary<NonEmptyString, string>>((facts, labels) =>
        {
            var told = facts.Where(f => Plain(f.Key.Get)).ToDictionary(f => f.Key.Get, f => Text(f.Value));
            var marks = labels.Where(l => Plain(l.Key.Get)).ToDictionary(l => l.Key.Get, l => Text(l.Value));
            var workload = WorkloadStruct.Write(told, marks);
            if (workload.Length > WorkloadStruct.BytesMax / 2)
                return true;
            var expected = told.Concat(marks.Select(m => KeyValuePair.Create("LABELS/" + m.Key, m.Value))).OrderBy(t => t.Key, StringComparer.Ordinal).ToList();
            bool Same(Dictionary<string, string>? read) => read is not null && read.OrderBy(t => t.Key, StringComparer.Ordinal).SequenceEqual(expected);
            var exchange = WorkloadStruct.ToExchange(workload, "node");
            return Same(WorkloadStruct.Read(workload)) && Same(WorkloadStruct.ReadField(WorkloadStruct.ToField(workload))) && Same(WorkloadStruct.ReadExchange(exchange))
                && WorkloadStruct.ExchangeLength([.. exchange, .. "the stream"u8]) == exchange.Length;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Every_shorter_start_of_an_exchange_asks_for_more_and_anything_else_is_none()
    {
        var exchange = WorkloadStruct.ToExchange(WorkloadStruct.Write([new("WORKLOAD_NAME", "web-v1")], []), "node");
        for (var length = 0; length < exchange.Length; length++)
            Assert.Equal(-1, WorkloadStruct.ExchangeLength(exchange.AsSpan(0, length)));
        Assert.Equal(0, WorkloadStruct.ExchangeLength("GET / HTTP/1.1"u8));
        Assert.Equal(0, WorkloadStruct.ExchangeLength([0x3D, 0x23, 0x04, 0x67, 0x7F, 0xFF, 0xFF, 0xFF]));
    }

    [Fact]
    public void Any_bytes_are_read_or_refused_never_more()
    {
        Prop.ForAll<byte[], int>((bytes, seed) =>
        {
            // Half of them begin as a real one, with one byte changed.
            var workload = WorkloadStruct.Write([new("NAME", "a"), new("NAMESPACE", "b")], [new("app", "c")]);
            workload[(uint)seed % workload.Length] = (byte)(seed >> 8);
            byte[] hostile = seed % 2 == 0 ? bytes : [.. workload, .. bytes];
            _ = WorkloadStruct.Read(hostile);
            _ = WorkloadStruct.ReadField(hostile);
            _ = WorkloadStruct.ReadExchange([0, 0, 0, 0, 0, 0, 0, 0, .. hostile]);
            return WorkloadStruct.ExchangeLength(hostile) <= WorkloadStruct.BytesMax + 8;
        }).QuickCheckThrowOnFailure();
        // Structs in structs without end: each byte pair opens another.
        Assert.Null(WorkloadStruct.Read(Nested(20)));
        Assert.NotNull(WorkloadStruct.Read(Nested(3)));
        Assert.Null(WorkloadStruct.Read(new byte[WorkloadStruct.BytesMax + 1]));
    }

    private static byte[] Nested(int depth)
    {
        byte[] inner = [];
        for (var i = 0; i < depth; i++)
        {
            byte[] value = [0x2A, (byte)inner.Length, .. inner];
            byte[] entry = [0x0A, 0x01, (byte)'k', 0x12, (byte)value.Length, .. value];
            inner = [0x0A, (byte)entry.Length, .. entry];
        }
        return inner;
    }

    private static bool Plain(string name) => !name.Contains('/', StringComparison.Ordinal) && name != "LABELS" && Text(name) == name;

    /// <summary>As UTF-8 carries it: FsCheck makes lone surrogates too.</summary>
    private static string Text(string? value) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(value ?? ""));

    /// <summary>Every name carries the names of the structs around it: 15 KB became 6.4 MB.</summary>
    [Fact]
    public void N21_names_inside_a_long_name_are_bounded_together()
    {
        var inner = new List<byte>();
        for (var i = 0; i < 600; i++)
            inner.AddRange([0x0A, 0x0C, 0x0A, 0x06, .. Encoding.ASCII.GetBytes($"k{i:D5}"), 0x12, 0x02, 0x1A, 0x00]);
        static byte[] Long(int tag, byte[] content) => [(byte)tag, (byte)(content.Length & 0x7F | 0x80), (byte)(content.Length >> 7), .. content];
        byte[] hostile = Long(0x0A, [.. Long(0x0A, Encoding.ASCII.GetBytes(new string('x', 5400))), .. Long(0x12, Long(0x2A, [.. inner]))]);
        Assert.InRange(hostile.Length, 12_000, WorkloadStruct.BytesMax);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Null(WorkloadStruct.Read(hostile));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
    }
}
