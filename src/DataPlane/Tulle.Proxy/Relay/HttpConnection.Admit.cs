using Tulle.Base;
using Tulle.Snapshot;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>What the manager's rules say of a request before it is routed, and what the route says of it then. Each refuses by answering.</summary>
internal sealed partial class HttpConnection
{
    /// <summary>Rules about the head as it came. False: it was answered.</summary>
    private bool Admit(HttpHead head)
    {
        var rules = _manager.Rules;
        if (rules.Underscores != UnderscoreAction.Allow && UnderscoreRules.Apply(rules.Underscores, head) is var dropped and not 0)
        {
            if (dropped < 0)
            {
                Worker.Shared.HeadRules.RejectedUnderscores.Add(LoopIndex);
                _keepAlive = false;
                Reply(400, "Bad Request"u8, FailureReason.DownstreamProtocol, "http1.unexpected_underscore");
                return false;
            }
            Worker.Shared.HeadRules.DroppedUnderscores.Add(LoopIndex, dropped);
        }
        if (!head.HasAuthority && head.MinorVersion == 0 && rules.DefaultHostForHttp10.Length > 0)
            head.SetAuthority(rules.DefaultHostForHttp10);
        if (!rules.AllowAbsoluteUrl && head.Target.Length > 0 && head.Target[0] is not ((byte)'/' or (byte)'*') && head.Method != RequestMethod.Connect)
        {
            Reply(404, default, FailureReason.None, "absolute_path_rejected");
            return false;
        }
        RepeatedFields.Join(head);
        if (rules.StripTrailingHostDot)
            HostRules.StripTrailingDot(head);
        return true;
    }

    private bool NormalizePath(HttpHead head)
    {
        var verdict = head.HasFragment ? PathVerdict.Refused : PathRules.Apply(_manager, head);
        if (verdict == PathVerdict.Ok)
            return true;
        if (verdict == PathVerdict.Redirect)
            Reply(307, default, FailureReason.None, "path_normalization_failed", head.Path);
        else
            Reply(400, default, FailureReason.None, "path_normalization_failed");
        return false;
    }

    /// <summary>Who the client is and what it may say. False: it was answered.</summary>
    private bool PrepareFields(HttpHead head, RouteTable? table)
    {
        var refused = RequestFields.Prepare(Worker, _manager, table, head, _record, Facts, _down.Peer);
        if (refused == 0)
            return true;
        Reply(refused, default, FailureReason.None, "rejecting_because_detection_failed");
        return false;
    }

    /// <summary>require_tls goes by the scheme that trusted proxies tell, and spares internal clients where it says so.</summary>
    private bool NeedsTls(VirtualHostConfig host, HttpHead head) => host.RequireTls switch
    {
        "ALL" => !head.Scheme.SequenceEqual("https"u8),
        "EXTERNAL_ONLY" => !_record.IsInternal && !head.Scheme.SequenceEqual("https"u8),
        _ => false,
    };

    /// <summary>Upgrades that the route allows: the manager's, with what the route says of each.</summary>
    private static IReadOnlyList<string> UpgradesOf(HttpManagerConfig manager, RouteConfig route)
    {
        if (route.Action is not { Upgrades.Count: > 0 } action)
            return manager.Upgrades;
        var result = new List<string>(manager.Upgrades.Count + action.Upgrades.Count);
        foreach (var type in manager.Upgrades)
        {
            if (!action.Upgrades.ContainsKey(type))
                result.Add(type);
        }
        foreach (var (type, isAllowed) in action.Upgrades)
        {
            if (isAllowed)
                result.Add(type);
        }
        return result;
    }

    /// <summary>What an internal client asks of the router. False: it was answered.</summary>
    private bool TakeSteering(HttpHead head)
    {
        if (!_record.IsInternal)
            return true;
        if (_manager.StrictFields.Count > 0 && RouterFields.FindInvalid(_manager.StrictFields, head) is var invalid and >= 0)
        {
            var text = $"invalid header '{System.Text.Encoding.Latin1.GetString(head.Name(invalid)).ToLowerInvariant()}' with value '{System.Text.Encoding.Latin1.GetString(head.Value(invalid))}'";
            Reply(400, System.Text.Encoding.Latin1.GetBytes(text), FailureReason.InvalidSteering, $"request_headers_failed_strict_check{{{text.Replace(' ', '_')}}}");
            return false;
        }
        _action = RouterFields.Take(_action!, head, _manager.RespectExpectedTimeout);
        return true;
    }
}
