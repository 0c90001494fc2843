using Tulle.Snapshot;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>What a connection manager does to the fields of every response.</summary>
internal static class ResponseFields
{
    public static void Prepare(ProxyWorker worker, HttpManagerConfig manager, HttpHead head, HttpHead request)
    {
        if (manager.AlwaysSetRequestIdInResponse && request.Find(KnownHeader.RequestId) is var id and >= 0)
            head.Set(KnownHeader.RequestId, request.Value(id));
        switch (manager.ServerHeader)
        {
            case ServerHeaderMode.Overwrite:
                head.Set(KnownHeader.Server, manager.ServerName);
                break;
            case ServerHeaderMode.AppendIfAbsent:
                if (head.Find(KnownHeader.Server) < 0)
                    head.Add(KnownHeader.Server, manager.ServerName);
                break;
        }
        if (head.Find(KnownHeader.Date) < 0)
            head.Add(KnownHeader.Date, worker.Date());
        if (manager.Via.Length > 0)
        {
            var index = head.Find(KnownHeader.Via);
            head.Set(KnownHeader.Via, index < 0 ? manager.Via : (byte[])[.. head.Value(index), .. ", "u8, .. manager.Via]);
        }
    }
}
