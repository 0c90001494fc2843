using System.Globalization;
using Tulle.Base;

namespace Tulle.Xds.Tests;

/// <summary>
/// The child of a test: reads messages that follow the schema, and bombs, on a thread with a small stack. A stack overflow cannot be caught: it ends
/// this process, not the test run. "smallstack SEED SECONDS"; the exit code is 0 when only ProtoException came out.
/// </summary>
internal static class Program
{
    /// <summary>A pool thread of musl has 128 KiB, of glibc 1.5 MiB; between them.</summary>
    private const int StackBytes = 256 * 1024;

    private static int Main(string[] arguments)
    {
        if (arguments is not ["smallstack", var seedText, var secondsText])
            return 64;
        var seed = ulong.Parse(seedText, CultureInfo.InvariantCulture);
        var seconds = double.Parse(secondsText, CultureInfo.InvariantCulture);
        string? failure = null;
        var thread = new Thread(() => failure = Read(seed, seconds), StackBytes);
        thread.Start();
        thread.Join();
        if (failure is null)
            return 0;
        Console.Error.WriteLine($"seed {seed}: {failure}");
        return 1;
    }

    private static string? Read(ulong seed, double seconds)
    {
        var random = new SeededRandom(seed);
        var until = TimeProvider.System.GetTimestamp() + (long)(seconds * TimeProvider.System.TimestampFrequency);
        foreach (var (type, bomb) in ProtoGrammar.Bombs())
        {
            if (Try(type, bomb, mustRefuse: true) is { } broken)
                return broken;
        }
        var types = ProtoSchema.Shared.Messages.Keys.Order(StringComparer.Ordinal).ToList();
        for (var round = 0; round < 2000 || TimeProvider.System.GetTimestamp() < until; round++)
        {
            var type = types[random.Next(types.Count)];
            if (Try(type, new ProtoGrammar(random).Message(type), mustRefuse: false) is { } broken)
                return $"round {round}: {broken}";
        }
        return null;
    }

    private static string? Try(string type, byte[] bytes, bool mustRefuse)
    {
        try
        {
            ProtoReader.Read(type, bytes, ProtoReader.RequestValuesMax);
            return mustRefuse ? $"{type}: a bomb of {bytes.Length} bytes was read" : null;
        }
        catch (ProtoException error)
        {
            return error.Message.Contains("cannot be decoded", StringComparison.Ordinal) ? $"{type}: {error.Message} ({Convert.ToHexString(bytes)})" : null;
        }
    }
}
