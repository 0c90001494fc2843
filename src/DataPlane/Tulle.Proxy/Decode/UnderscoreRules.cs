using Tulle.Snapshot;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>headers_with_underscores_action: some applications read x_user and x-user as one field, and only one of them was checked by somebody.</summary>
internal static class UnderscoreRules
{
    /// <summary>Fields dropped; −1 refuses the request.</summary>
    public static int Apply(UnderscoreAction action, HttpHead head)
    {
        var dropped = 0;
        for (var i = 0; i < head.Count; i++)
        {
            if (head.IsRemoved(i) || head.Name(i).IndexOf((byte)'_') < 0)
                continue;
            if (action == UnderscoreAction.Reject)
                return -1;
            head.Remove(i);
            dropped++;
        }
        return dropped;
    }
}
