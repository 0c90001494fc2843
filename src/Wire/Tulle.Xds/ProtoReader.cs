using Tulle.Base.Documents;

namespace Tulle.Xds;

/// <summary>The bytes are not the message they should be.</summary>
public sealed class ProtoException(string message) : Exception(message);

/// <summary>
/// Protobuf bytes to a tree in the form of proto3 JSON with snake_case names. A field that the contract does not know becomes "#number", so that
/// whoever reads the tree can reject it by name instead of losing it. The bytes may come from a stranger: depth, size and time are bounded, and
/// nothing but <see cref="ProtoException"/> comes out.
/// </summary>
public static class ProtoReader
{
    /// <summary>
    /// Nesting of messages, a message inside an Any counted as one deeper. Source: protobuf's own default of 100 (C++ does not count an Any,
    /// because it keeps its bytes; here it is opened at once, on the same stack).
    /// </summary>
    public const int DepthMax = 100;

    /// <summary>
    /// Values of one message that a server sent. Two bytes can make an empty message of some 100 bytes of memory, so a limit in bytes alone is none.
    /// Source: a mesh of 20,000 clusters of 150 values each, times five.
    /// </summary>
    public const int ResponseValuesMax = 16_000_000;

    /// <summary>Values of one message that a client sent. Source: a request names resources; 200,000 of them with room for the node.</summary>
    public const int RequestValuesMax = 500_000;

    /// <exception cref="ProtoException">Truncated, malformed, too deep or too many values.</exception>
    public static Node Read(string type, ReadOnlySpan<byte> data, int valuesMax = ResponseValuesMax)
    {
        var message = ProtoSchema.Shared[type];
        try
        {
            return new ProtoTree(valuesMax).ReadMessage(message, data);
        }
        catch (Exception error) when (error is ArgumentException or ArithmeticException or FormatException or InvalidOperationException or IndexOutOfRangeException)
        {
            // Not expected; the callers' filters know one exception, and a stranger's bytes must not find their way past them.
            throw new ProtoException($"{type} cannot be decoded: {error.Message}");
        }
    }
}
