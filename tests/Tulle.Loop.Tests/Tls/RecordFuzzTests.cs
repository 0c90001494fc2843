using Tulle.Base;
using Tulle.Testing;

namespace Tulle.Loop.Tests;

/// <summary>
/// Whatever a peer with the right keys sends, and whatever somebody without them puts between: no exception, what is delivered is a prefix of what was
/// sealed as data, an end is believed only after close_notify, nothing is left rented. TULLE_FUZZ_SECONDS lets it run long.
/// </summary>
public class RecordFuzzTests
{
    /// <summary>A program of the peer: operation, then its arguments. Cut short it does what is left of it.</summary>
    private static int Play(byte[] program, EventLoop loop, SimulatedKernel kernel, bool isServer)
    {
        using var pair = new RecordPair(loop, kernel, isServer);
        var sealedData = new List<byte>();
        var got = new List<byte>();
        var noticed = false;
        var answer = 0;
        for (var at = 0; at < program.Length;)
        {
            var operation = program[at++];
            var length = Math.Min(at < program.Length ? program[at++] : 0, program.Length - at);
            var bytes = program.AsSpan(at, length);
            at += length;
            switch (operation % 6)
            {
                case 0: // Data.
                    pair.Send(pair.Seal(bytes));
                    sealedData.AddRange(bytes);
                    break;
                case 1 when length > 0: // Any content type.
                    pair.Send(pair.Seal(bytes[1..], bytes[0]));
                    // The type is the last byte that is not zero: what follows it is padding.
                    byte[] inner = [.. bytes[1..], bytes[0]];
                    var end = inner.AsSpan().LastIndexOfAnyExcept((byte)0);
                    if (end >= 0 && inner[end] == 23)
                        sealedData.AddRange(inner.AsSpan(0, end));
                    noticed |= end == 2 && inner[end] == 21 && inner[1] == 0;
                    break;
                case 2: // A handshake record; after a KeyUpdate the peer changes its key, too.
                    pair.Send(pair.Seal(bytes, 22));
                    if (length == 5 && bytes[0] == 24)
                        pair.Peer.SealKeyUpdate(new byte[64]);
                    break;
                case 3: // Bytes as they are.
                    pair.Send(bytes);
                    break;
                case 4: // Data of many bytes.
                    var large = new byte[length * 67];
                    large.AsSpan().Fill(operation);
                    pair.Send(pair.Seal(large));
                    sealedData.AddRange(large);
                    break;
                default:
                    pair.Send([]);
                    answer = answer * 31 + pair.ReadInto(got);
                    break;
            }
        }
        pair.Far.ShutdownWrite();
        kernel.Deliver();
        for (var turn = 0; turn < 1000 && pair.ReadInto(got) == -Errno.EAGAIN; turn++)
            loop.Turn(0);
        if (!sealedData.Take(got.Count).SequenceEqual(got))
            throw new InvalidOperationException($"{got.Count} bytes were delivered that are no prefix of what was sealed");
        if (pair.Transport.End == StreamEnd.Ended && !noticed)
            throw new InvalidOperationException("an end without close_notify");
        if (pair.Transport.End == StreamEnd.Open)
            throw new InvalidOperationException("the end is not noticed");
        return HashCode.Combine(answer, pair.Transport.End, pair.Transport.Error.Length, Math.Min(got.Count, 3));
    }

    private static readonly List<byte[]> s_corpus =
    [
        [0, 3, 65, 66, 67, 5, 0, 0, 2, 68, 69],
        [2, 5, 24, 0, 0, 1, 1, 0, 1, 65, 2, 5, 24, 0, 0, 1, 0, 0, 1, 66],
        [2, 12, 4, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 65],
        [2, 3, 24, 0, 0, 2, 2, 1, 0, 0, 1, 65],
        [1, 3, 21, 1, 0, 0, 1, 65],
        [1, 3, 21, 1, 90, 1, 3, 21, 2, 40],
        [3, 6, 20, 3, 3, 0, 1, 1, 3, 5, 23, 3, 3, 0x41, 1],
        [4, 250, .. new byte[250], 0, 0, 0, 0, 5, 0],
        [0, 1, 65, 3, 3, 23, 3, 3],
    ];

    private static readonly List<byte[]> s_tokens = [[24, 0, 0, 1, 0], [24, 0, 0, 1, 1], [4, 0, 0, 2], [21, 1, 0], [23, 3, 3, 0, 20], [2, 5, 24, 0, 0, 1, 1], [0, 0], [5, 0], [0xff, 0xff]];

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Records_and_messages_behind_the_handshake(bool isServer)
    {
        var (loop, kernel) = RecordPair.NewLoop();
        Fuzzer.Run(isServer ? "records to a server" : "records to a client", s_corpus, s_tokens, (input, _) => Play(input, loop, kernel, isServer));
        Assert.Equal(0, loop.FaultCount);
    }
}
