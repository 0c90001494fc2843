using System.Diagnostics;
using Tulle.Base;

namespace Tulle.Testing;

/// <summary>
/// Feeds a parser with changed copies of real inputs, for a second or for TULLE_FUZZ_SECONDS (a soak: TULLE_FUZZ_SECONDS=600 ./test Wire). The first
/// input that breaks a promise is told in hex with its seed; inputs that were answered in a new way join the corpus.
/// </summary>
public static class Fuzzer
{
    private static readonly double s_seconds = double.TryParse(Environment.GetEnvironmentVariable("TULLE_FUZZ_SECONDS"), out var seconds) ? seconds : 1;

    /// <param name="name">Told with a failure.</param>
    /// <param name="corpus">Real inputs.</param>
    /// <param name="tokens">Pieces that mean something to the parser.</param>
    /// <param name="check">Throws when a promise is broken; what it returns tells one kind of answer from another.</param>
    public static void Run(string name, IEnumerable<byte[]> corpus, IReadOnlyList<byte[]> tokens, Func<byte[], SeededRandom, int> check)
    {
        var seed = ulong.TryParse(Environment.GetEnvironmentVariable("TULLE_FUZZ_SEED"), out var given) ? given : (ulong)Stopwatch.GetTimestamp();
        var random = new SeededRandom(seed);
        var inputs = corpus.ToList();
        var answers = new HashSet<int>();
        var watch = Stopwatch.StartNew();
        for (long round = 0; watch.Elapsed.TotalSeconds < s_seconds || round < 1000; round++)
        {
            var input = round < inputs.Count ? inputs[(int)round] : Change(inputs[random.Next(inputs.Count)], inputs, tokens, random);
            try
            {
                if (answers.Add(check(input, random)) && inputs.Count < 10_000)
                    inputs.Add(input);
            }
            catch (Exception error)
            {
                throw new InvalidOperationException($"{name}, seed {seed}, round {round}, input {Convert.ToHexString(input)}: {error.Message}", error);
            }
        }
    }

    private static byte[] Change(byte[] input, List<byte[]> inputs, IReadOnlyList<byte[]> tokens, SeededRandom random)
    {
        var bytes = input.ToList();
        for (var changes = 1 + random.Next(4); changes > 0; changes--)
        {
            var at = random.Next(bytes.Count + 1);
            var count = Math.Min(bytes.Count - at, 1 + random.Next(1 << random.Next(7)));
            switch (random.Next(7))
            {
                case 0 when at < bytes.Count:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1 when at < bytes.Count:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    bytes.RemoveRange(at, count);
                    break;
                case 3:
                    bytes.InsertRange(at, bytes.GetRange(at, count));
                    break;
                case 4 when tokens.Count > 0:
                    bytes.InsertRange(at, tokens[random.Next(tokens.Count)]);
                    break;
                case 5:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
                case 6:
                    var other = inputs[random.Next(inputs.Count)];
                    bytes.RemoveRange(at, bytes.Count - at);
                    bytes.AddRange(other.AsSpan(random.Next(other.Length + 1)));
                    break;
            }
            if (bytes.Count > 64 * 1024)
                bytes.RemoveRange(64 * 1024, bytes.Count - 64 * 1024);
        }
        return [.. bytes];
    }
}
