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
        List<EndpointConfig>? last = null;
        while (!stop.IsCancellationRequested)
        {
            var endpoints = new List<EndpointConfig>(inline?.Endpoints ?? []);
            var failed = false;
            foreach (var target in cluster.DnsTargets)
            {
                try
                {
                    var addresses = await Dns.GetHostAddressesAsync(target.Host, cluster.DnsV4Only ? AddressFamily.InterNetwork : AddressFamily.Unspecified, stop);
                    var usable = addresses.OrderBy(a => a.AddressFamily == AddressFamily.InterNetwork ? 0 : 1).ToList();
                    // AUTO asks for one family; with both the IPv4 addresses are taken, and LOGICAL_DNS uses only the first.
                    if (usable.Count > 0 && !cluster.DnsV4Only)
                        usable = usable.Where(a => a.AddressFamily == usable[0].AddressFamily).ToList();
                    foreach (var address in cluster.Discovery == DiscoveryKind.LogicalDns ? usable.Take(1) : usable)
                        endpoints.Add(Endpoint(target, address));
                }
                catch (SocketException)
                {
                    failed = true;
                }
                catch (OperationCanceledException)
                {
                    return;
                }
            }
            // A failed look-up keeps what the last one found.
            if (!(failed && endpoints.Count == (inline?.Endpoints.Count ?? 0) && last is not null) && !Same(last, endpoints))
            {
                last = endpoints;
                post(() => onResolved(cluster.Name, new LoadAssignmentConfig { Endpoints = endpoints }));
            }
            try
            {
                await Task.Delay((int)Math.Clamp(cluster.DnsRefreshMs, 100, int.MaxValue), stop);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private static EndpointConfig Endpoint(DnsTargetConfig target, IPAddress address)
    {
        Address.TryParseIp(address.ToString(), target.Port, out var resolved);
        return new EndpointConfig { Address = resolved, Hostname = target.Host, Weight = target.Weight, Priority = target.Priority, Facts = target.Facts };
    }

    private static bool Same(List<EndpointConfig>? a, List<EndpointConfig> b) =>
        a is not null && a.Count == b.Count && a.Select(e => e.Address.ToString()).Order(StringComparer.Ordinal).SequenceEqual(b.Select(e => e.Address.ToString()).Order(StringComparer.Ordinal));
}
