using Tulle.Base.Documents;
using Tulle.Testing;

namespace Tulle.Xds.Tests;

/// <summary>Protobuf and gRPC frames from a control plane or a client that we do not know.</summary>
public class FuzzTests
{
    private const string ListenerType = "envoy.config.listener.v3.Listener";

    private static byte[] Listener() => ProtoWriter.Write(ListenerType, NodeYaml.Parse("""
        name: l
        address: { socket_address: { address: 10.0.0.2, port_value: 8080 } }
        metadata: { filter_metadata: { istio: { a: [ 1, x, true, null, { b: 2.5 } ] } } }
        listener_filters_timeout: 0.1s
        filter_chains:
        - filter_chain_match: { prefix_ranges: [ { address_prefix: 10.0.0.0, prefix_len: 8 } ], application_protocols: [ istio ] }
          filters:
          - name: h
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: h, route_config: { virtual_hosts: [ { name: v, domains: ["*"] } ] } }
        """));

    [Fact]
    public void Messages() => Fuzzer.Run("protobuf", [Listener()], [[0x0A], [0x80, 0x80, 0x80, 0x80, 0x10], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], [0x0B], [0x0C], "type.googleapis.com/"u8.ToArray()], (input, _) =>
    {
        try
        {
            var read = ProtoReader.Read(ListenerType, input);
            // What was read can be written, and means the same then.
            var written = ProtoWriter.Write(ListenerType, read);
            if (!ProtoWriter.Write(ListenerType, ProtoReader.Read(ListenerType, written)).AsSpan().SequenceEqual(written))
                throw new InvalidOperationException("written and read again it is another message");
            return read.Fields.Count;
        }
        catch (ProtoException error)
        {
            return error.Message.Split(' ')[0].GetHashCode(StringComparison.Ordinal);
        }
    });

    [Fact]
    public void Frames() => Fuzzer.Run("gRPC frames", [[.. GrpcFraming.Frame("abc"u8), .. GrpcFraming.Frame([])]], [[0, 0, 0, 0, 1], [1], [0xff]], (input, random) =>
    {
        var whole = Take(input, out var error);
        var half = random.Next(input.Length + 1);
        var part = Take(input[..half], out var early);
        if (!whole.Take(part.Count).SequenceEqual(part) || (early && !error))
            throw new InvalidOperationException("a part is read otherwise than the whole");
        return HashCode.Combine(whole.Count, error);
    });

    private static List<string> Take(byte[] input, out bool failed)
    {
        var found = new List<string>();
        ReadOnlySpan<byte> data = input;
        failed = false;
        try
        {
            while (GrpcFraming.TryTake(ref data, out var message, GrpcFraming.ResponseBytesMax))
                found.Add(Convert.ToHexString(message));
        }
        catch (ProtoException)
        {
            failed = true;
        }
        return found;
    }
}
