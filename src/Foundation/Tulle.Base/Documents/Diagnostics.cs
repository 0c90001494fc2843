namespace Tulle.Base.Documents;

public enum Severity : byte
{
    Info,
    Warning,
    Error,
}

/// <summary>One finding about a document: where, which field, what is wrong and what to do.</summary>
public sealed record Diagnostic(Severity Severity, SourcePosition Position, string Subject, string Path, string Message)
{
    public override string ToString()
    {
        var at = Position.IsKnown || Position.File is not null ? $"{Position}: " : "";
        var subject = Subject.Length > 0 ? $"{Subject}: " : "";
        var path = Path.Length > 0 ? $"{Path}: " : "";
        return $"{at}{Severity.ToString().ToLowerInvariant()}: {subject}{path}{Message}";
    }
}

/// <summary>Findings are collected, never thrown at the first, so that one run shows a user everything to mend.</summary>
public sealed class Diagnostics
{
    private readonly List<Diagnostic> _all = [];

    public IReadOnlyList<Diagnostic> All => _all;

    public bool HasErrors { get; private set; }

    public int ErrorCount { get; private set; }

    public void Add(Diagnostic diagnostic)
    {
        _all.Add(diagnostic);
        if (diagnostic.Severity == Severity.Error)
        {
            HasErrors = true;
            ErrorCount++;
        }
    }

    public void Error(SourcePosition position, string subject, string path, string message) => Add(new(Severity.Error, position, subject, path, message));

    public void Warn(SourcePosition position, string subject, string path, string message) => Add(new(Severity.Warning, position, subject, path, message));

    public string Summary() => string.Join("; ", _all.Where(d => d.Severity == Severity.Error).Select(d => d.ToString()));
}
