namespace Tulle.Sidecar.Fields;

/// <summary>Why a field is refused today: the issue that brings it, or that none does.</summary>
internal static class Later
{
    public const string Safe = "is not obeyed by this proxy yet (issue: safe)";
    public const string Requests = "is not obeyed by this proxy yet (issue: requests)";
    public const string Transports = "is not obeyed by this proxy yet (issue: transports)";
    public const string Policies = "is not obeyed by this proxy yet (issue: policies)";
    public const string Never = "is not supported by this proxy";
}
