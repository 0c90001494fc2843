namespace Tulle.Loop;

/// <summary>How the receiving direction of a transport stands. It leaves <see cref="Open"/> once and for good.</summary>
public enum StreamEnd : byte
{
    Open,

    /// <summary>The peer said that it is done: FIN on a plain stream, close_notify on an encrypted one.</summary>
    Ended,

    /// <summary>FIN without close_notify: what came may have been cut by somebody on the path. Only encrypted streams can tell.</summary>
    Truncated,

    /// <summary>A reset, or bytes that break the protocol. What was delivered before is right; nothing more comes.</summary>
    Failed,
}
