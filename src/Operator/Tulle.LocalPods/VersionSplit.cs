using Tulle.Resources;

namespace Tulle.LocalPods;

/// <summary>How a rule divides the requests of a service among versions: what an unattended run is judged by.</summary>
/// <param name="Service">First label of the host.</param>
/// <param name="Shares">Version (the subset's label version, else its name) to its share, adding up to 1.</param>
public sealed record VersionSplit(string Service, IReadOnlyDictionary<string, double> Shares)
{
    /// <summary>The weighted routes without a condition, of every VirtualService.</summary>
    public static IReadOnlyList<VersionSplit> Of(ResourceSet set)
    {
        var result = new List<VersionSplit>();
        foreach (var route in set.VirtualServices.SelectMany(v => v.Http).Where(r => r.Matches.Count == 0 && r.Routes.Count > 1))
        {
            var host = route.Routes[0].Destination.Host;
            var total = route.Routes.Sum(r => r.Weight);
            if (total == 0 || route.Routes.Any(r => r.Destination.Host != host || r.Destination.Subset.Length == 0))
                continue;
            var shares = new Dictionary<string, double>(StringComparer.Ordinal);
            foreach (var part in route.Routes)
            {
                var version = Version(set, host, part.Destination.Subset);
                shares[version] = shares.GetValueOrDefault(version) + (double)part.Weight / total;
            }
            result.Add(new VersionSplit(host.Split('.')[0], shares));
        }
        return result;
    }

    private static string Version(ResourceSet set, string host, string subset) => set.DestinationRules.Where(r => r.Host.Split('.')[0] == host.Split('.')[0])
        .SelectMany(r => r.Subsets).FirstOrDefault(s => s.Name == subset)?.Labels.GetValueOrDefault("version") ?? subset;
}
