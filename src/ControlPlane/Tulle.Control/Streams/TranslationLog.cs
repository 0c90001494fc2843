namespace Tulle.Control;

/// <summary>Each message once: what is wrong for one proxy is wrong at every push.</summary>
internal sealed class TranslationLog
{
    /// <summary>Messages remembered. Source: more different ones than that are a fault of their own; beyond it the memory starts anew.</summary>
    private const int SaidMax = 1000;

    private readonly HashSet<string> _said = new(StringComparer.Ordinal);
    private long _failures;

    /// <summary>Resources that could not be made since the start.</summary>
    public long Failures => Interlocked.Read(ref _failures);

    public void Fail(string what)
    {
        Interlocked.Increment(ref _failures);
        Say($"xds: error: cannot be made, proxies keep what they have: {what}");
    }

    public void Say(string text)
    {
        lock (_said)
        {
            if (_said.Count >= SaidMax)
                _said.Clear();
            if (!_said.Add(text))
                return;
        }
        Console.Error.WriteLine(text);
    }
}
