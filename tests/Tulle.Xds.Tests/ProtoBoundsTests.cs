using System.Diagnostics;
using System.Globalization;
using System.Text;
using Tulle.Base.Documents;

namespace Tulle.Xds.Tests;

/// <summary>What a stranger's bytes may cost and what may come out of reading them.</summary>
public class ProtoBoundsTests
{
    private const string DurationHolder = "envoy.config.cluster.v3.Cluster";

    /// <summary>A stack overflow cannot be caught, so the messages are read by a child with a small stack.</summary>
    [Fact]
    public async Task N03_and_N22_nothing_but_ProtoException_comes_out_on_a_small_stack()
    {
        var seconds = Environment.GetEnvironmentVariable("TULLE_FUZZ_SECONDS") ?? "1";
        var seed = Environment.GetEnvironmentVariable("TULLE_FUZZ_SEED") ?? Stopwatch.GetTimestamp().ToString(CultureInfo.InvariantCulture);
        string[] arguments = [typeof(ProtoBoundsTests).Assembly.Location, "smallstack", seed, seconds];
        using var child = Process.Start(new ProcessStartInfo("dotnet", arguments) { RedirectStandardError = true })!;
        var errors = await child.StandardError.ReadToEndAsync();
        await child.WaitForExitAsync();
        Assert.True(child.ExitCode == 0, $"seed {seed}: exit code {child.ExitCode}: {errors[..Math.Min(errors.Length, 2000)]}");
    }

    [Fact]
    public void N03_what_an_error_carries_is_not_opened()
    {
        var server = new XdsServerState(false);
        Assert.NotNull(server.OnRequest(ProtoGrammar.RequestWithBomb(2000)));
    }

    [Fact]
    public void N33_a_frame_over_its_limit_is_refused_by_its_first_bytes()
    {
        ReadOnlySpan<byte> request = [0, 0, 0x40, 0, 1];
        var taken = request;
        Assert.False(GrpcFraming.TryTake(ref taken, out _, GrpcFraming.ResponseBytesMax));
        Assert.Throws<ProtoException>(() =>
        {
            ReadOnlySpan<byte> head = [0, 0, 0x40, 0, 1];
            GrpcFraming.TryTake(ref head, out _, GrpcFraming.RequestBytesMax);
        });
        Assert.Throws<ProtoException>(() =>
        {
            ReadOnlySpan<byte> head = [0, 4, 0, 0, 1];
            GrpcFraming.TryTake(ref head, out _, GrpcFraming.ResponseBytesMax);
        });
    }

    [Fact]
    public void N33_two_byte_messages_without_end_are_counted()
    {
        // resource_locators of a request (field 7), each empty: 2 bytes on the wire, some 100 in memory.
        var bytes = new byte[2 * (ProtoReader.RequestValuesMax + 1)];
        for (var i = 0; i < bytes.Length; i += 2)
            bytes[i] = (7 << 3) | 2;
        var error = Assert.Throws<ProtoException>(() => ProtoReader.Read(XdsTypes.DiscoveryRequest, bytes, ProtoReader.RequestValuesMax));
        Assert.Contains($"{ProtoReader.RequestValuesMax}", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(long.MinValue, 0)]
    [InlineData(315_576_000_001, 0)]
    [InlineData(0, 1_000_000_000)]
    [InlineData(1, -1)]
    public void B11_a_duration_outside_its_range_is_a_ProtoException(long seconds, int nanos)
    {
        // connect_timeout is field 4.
        byte[] duration = [8, .. Varint((ulong)seconds), 16, .. Varint((ulong)(long)nanos)];
        Assert.Throws<ProtoException>(() => ProtoReader.Read(DurationHolder, [(4 << 3) | 2, (byte)duration.Length, .. duration]));
    }

    [Fact]
    public void N22_a_time_at_the_end_of_time_is_a_ProtoException()
    {
        byte[] time = [8, .. Varint(253_402_300_799), 16, .. Varint(2_000_000_000)];
        byte[] url = Encoding.UTF8.GetBytes("type.googleapis.com/google.protobuf.Timestamp");
        byte[] any = [10, (byte)url.Length, .. url, 18, (byte)time.Length, .. time];
        Assert.Throws<ProtoException>(() => ProtoReader.Read(XdsTypes.DiscoveryResponse, [18, (byte)any.Length, .. any]));
    }

    [Fact]
    public void N22_a_number_sent_as_bytes_is_refused()
    {
        // SocketAddress.port_value (3) is a uint32.
        Assert.Throws<ProtoException>(() => ProtoReader.Read("envoy.config.core.v3.SocketAddress", [(3 << 3) | 2, 2, 8, 1]));
    }

    [Fact]
    public void N22_field_numbers_do_not_wrap()
    {
        // Field number 2^32 + 1: its low 32 bits are those of "name".
        Assert.Throws<ProtoException>(() => ProtoReader.Read(DurationHolder, [.. Varint((((1ul << 32) + 1) << 3) | 2), 1, (byte)'x']));
        Assert.Throws<ProtoException>(() => ProtoReader.Read(DurationHolder, [2, 1, (byte)'x']));
    }

    [Fact]
    public void N22_of_a_oneof_the_last_member_counts()
    {
        // Address: socket_address (1), pipe (2).
        var read = ProtoReader.Read("envoy.config.core.v3.Address", [(1 << 3) | 2, 0, (2 << 3) | 2, 0]);
        Assert.Equal(["pipe"], read.Fields.Select(f => f.Key));
    }

    [Fact]
    public void N22_a_message_that_comes_twice_is_refused() =>
        Assert.Throws<ProtoException>(() => ProtoReader.Read("envoy.config.core.v3.Address", [(2 << 3) | 2, 0, (2 << 3) | 2, 0]));

    [Fact]
    public void N22_a_name_that_is_not_utf8_is_refused() => Assert.Throws<ProtoException>(() => ProtoReader.Read(DurationHolder, [10, 2, 0xC3, 0x28]));

    /// <summary>64 times the entries take 64 times as long; quadratic work takes 4,096 times. Between them there is room for a busy machine.</summary>
    [Fact]
    public void N22_a_map_costs_time_in_proportion_to_its_size()
    {
        static double Milliseconds(int count)
        {
            var table = ProtoWriter.Write("istio.networking.nds.v1.NameTable", Node.Map(("table", Node.Map(
                Enumerable.Range(0, count).Select(i => new KeyValuePair<string, Node>($"service-{i}.some-namespace.svc.cluster.local", Node.Map())).ToList()))));
            var best = double.MaxValue;
            for (var run = 0; run < 3; run++)
            {
                var watch = Stopwatch.StartNew();
                var read = ProtoReader.Read("istio.networking.nds.v1.NameTable", table);
                Assert.Equal(count, read["table"]!.Fields.Count);
                best = Math.Min(best, watch.Elapsed.TotalMilliseconds);
            }
            return best;
        }
        Milliseconds(1000);
        var small = Milliseconds(2000);
        var large = Milliseconds(128_000);
        Assert.True(large < small * 1000 + 500, $"2,000 names took {small} ms, 128,000 took {large} ms");
    }

    private static byte[] Varint(ulong value)
    {
        var output = new List<byte>();
        for (; value >= 0x80; value >>= 7)
            output.Add((byte)(value | 0x80));
        output.Add((byte)value);
        return [.. output];
    }
}
