using System.Net;
using System.Net.Sockets;
using Tulle.Base;
using Tulle.Snapshot;

namespace Tulle.Sidecar;

/// <summary>Keeps the endpoints of STRICT_DNS and LOGICAL_DNS clusters up to date; look-ups run on the thread pool, results go to the control thread.</summary>
internal sealed class DnsResolver(Action<Action> post, Action<string, LoadAssignmentConfig> onResolved)
{
    private readonly Dictionary<string, CancellationTokenSource> _running = new(StringComparer.Ordinal);

    public void Update(IEnumerable<ConvertedCluster> clusters)
    {
        var wanted = clusters.ToDictionary(c => $"{c.Config.Name}#{c.Config.ContentHash}", StringComparer.Ordinal);
        foreach (var (key, gone) in _running)
        {
            if (wanted.ContainsKey(key))
                continue;
            gone.Cancel();
            _running.Remove(key);
        }
        foreach (var (key, cluster) in wanted)
        {
            if (_running.ContainsKey(key))
                continue;
            var stop = new CancellationTokenSource();
            _running[key] = stop;
            _ = Task.Run(() => ResolveAsync(cluster.Config, cluster.Inline, stop.Token));
        }
    }

    private async Task ResolveAsync(ClusterConfig cluster, LoadAssignmentConfig? inline, CancellationToken stop)
    {
        // What each name was last known to be: one that cannot be resolved now keeps its endpoints, the others change without it.
        var known = new List<EndpointConfig>?[cluster.DnsTargets.Count];
        List<EndpointConfig>? last = null;
        var random = new SeededRandom((ulong)Environment.TickCount64 ^ cluster.ContentHash);
        while (!stop.IsCancellationRequested)
        {
            var failed = false;
            for (var i = 0; i < known.Length; i++)
            {
                var found = await LookUpAsync(cluster, cluster.DnsTargets[i], stop);
                if (stop.IsCancellationRequested)
                    return;
                failed |= found is null;
                known[i] = found ?? known[i];
            }
            var endpoints = new List<EndpointConfig>(inline?.Endpoints ?? []);
            foreach (var found in known)
                endpoints.AddRange(found ?? []);
            // The first answer is told even when it is empty: the cluster waits for it.
            if (!Same(last, endpoints))
            {
                last = endpoints;
                post(() => onResolved(cluster.Name, new LoadAssignmentConfig { Endpoints = endpoints, Overprovisioning = inline?.Overprovisioning ?? 1.4 }));
            }
            try
            {
                var pause = failed ? cluster.DnsFailureRefreshMs : cluster.DnsRefreshMs + (cluster.DnsJitterMs > 0 ? random.Next((int)Math.Min(int.MaxValue, cluster.DnsJitterMs)) : 0);
                await Task.Delay((int)Math.Clamp(pause, 1, int.MaxValue), stop);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    /// <summary>The endpoints of a name; null when the look-up failed. LOGICAL_DNS uses the first address only.</summary>
    private static async Task<List<EndpointConfig>?> LookUpAsync(ClusterConfig cluster, DnsTargetConfig target, CancellationToken stop)
    {
        try
        {
            var addresses = await Dns.GetHostAddressesAsync(target.Host, Family(cluster.DnsFamily), stop);
            var usable = Choose(cluster.DnsFamily, addresses);
            var result = new List<EndpointConfig>();
            foreach (var address in cluster.Discovery == DiscoveryKind.LogicalDns ? usable.Take(1) : usable)
            {
                if (Address.TryParseIp(address.ToString(), target.Port, out var resolved))
                    result.Add(target.At(resolved));
            }
            return result;
        }
        catch (SocketException error) when (error.SocketErrorCode is SocketError.HostNotFound or SocketError.NoData)
        {
            // The name exists no more, or has no such address: an answer, and it is "nowhere".
            return [];
        }
        catch (SocketException)
        {
            return null;
        }
        catch (OperationCanceledException)
        {
            return null;
        }
    }

    private static AddressFamily Family(DnsFamily family) => family switch
    {
        DnsFamily.V4Only => AddressFamily.InterNetwork,
        DnsFamily.V6Only => AddressFamily.InterNetworkV6,
        _ => AddressFamily.Unspecified,
    };

    /// <summary>AUTO takes IPv6 if there is any, V4_PREFERRED the other way round, ALL both.</summary>
    private static IEnumerable<IPAddress> Choose(DnsFamily family, IPAddress[] addresses)
    {
        var v4 = addresses.Where(a => a.AddressFamily == AddressFamily.InterNetwork);
        var v6 = addresses.Where(a => a.AddressFamily == AddressFamily.InterNetworkV6);
        return family switch
        {
            DnsFamily.V4Only => v4,
            DnsFamily.V6Only => v6,
            DnsFamily.All => v6.Concat(v4),
            DnsFamily.V4Preferred => v4.Any() ? v4 : v6,
            _ => v6.Any() ? v6 : v4,
        };
    }

    private static bool Same(List<EndpointConfig>? a, List<EndpointConfig> b) => a is not null && a.Count == b.Count
        && a.Select(e => (e.Hostname, e.Address.ToString())).Order().SequenceEqual(b.Select(e => (e.Hostname, e.Address.ToString())).Order());
}
