using System.Text;
using Tulle.Base;
using Tulle.Snapshot;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>Finds the route of a request: virtual host by authority, then the first route that matches.</summary>
public static class RouteMatching
{
    private const int AuthorityCharsMax = 512;

    public static VirtualHostConfig? FindHost(RouteTable table, HttpHead head)
    {
        var authority = head.Authority;
        if (authority.Length > AuthorityCharsMax)
            return null;
        Span<char> chars = stackalloc char[authority.Length];
        Encoding.Latin1.GetChars(authority, chars);
        for (var i = 0; i < chars.Length; i++)
        {
            if (chars[i] is >= 'A' and <= 'Z')
                chars[i] = (char)(chars[i] | 0x20);
        }
        return table.FindHost(chars);
    }

    /// <param name="host">Whose routes are tried in order.</param>
    /// <param name="head">The request.</param>
    /// <param name="random">Decides about shares of requests.</param>
    /// <param name="ignoreParameters">ignore_path_parameters_in_path_matching: the path ends at its first semicolon.</param>
    public static RouteConfig? FindRoute(VirtualHostConfig host, HttpHead head, SeededRandom random, bool ignoreParameters = false)
    {
        var routes = host.Routes;
        for (var i = 0; i < routes.Count; i++)
        {
            if (Matches(routes[i].Match, head, random, ignoreParameters))
                return routes[i];
        }
        return null;
    }

    private static bool Matches(RouteMatchConfig match, HttpHead head, SeededRandom random, bool ignoreParameters)
    {
        if (match.IsConnect != (head.Method == RequestMethod.Connect))
            return false;
        if (match.IsConnect)
            return MatchesRest(match, head, random);
        var full = head.Path;
        var query = full.IndexOf((byte)'?');
        var path = query < 0 ? full : full[..query];
        if (ignoreParameters && path.IndexOf((byte)';') is var parameters and >= 0)
            path = path[..parameters];
        return MatchesPath(match, path) && MatchesRest(match, head, random);
    }

    private static bool MatchesPath(RouteMatchConfig match, ReadOnlySpan<byte> path)
    {
        if (match.Prefix is { } prefix)
            return match.IgnoreCase ? path.Length >= prefix.Length && Ascii.EqualsIgnoreCase(path[..prefix.Length], prefix) : path.StartsWith(prefix);
        if (match.Path is { } exact)
            return match.IgnoreCase ? Ascii.EqualsIgnoreCase(path, exact) : path.SequenceEqual(exact);
        if (match.SeparatedPrefix is { } separated)
        {
            return path.Length >= separated.Length && (path.Length == separated.Length || path[separated.Length] == '/')
                && (match.IgnoreCase ? Ascii.EqualsIgnoreCase(path[..separated.Length], separated) : path.StartsWith(separated));
        }
        return match.Regex is not null && LatinText.IsMatch(match.Regex, path);
    }

    private static bool MatchesRest(RouteMatchConfig match, HttpHead head, SeededRandom random)
    {
        for (var i = 0; i < match.Headers.Count; i++)
        {
            if (!HeaderMatching.Matches(match.Headers[i], head))
                return false;
        }
        if (match.Query.Count > 0)
        {
            var at = head.Path.IndexOf((byte)'?');
            var query = at < 0 ? default : head.Path[(at + 1)..];
            for (var i = 0; i < match.Query.Count; i++)
            {
                if (!HeaderMatching.MatchesQuery(match.Query[i], query))
                    return false;
            }
        }
        return match.FractionPerMillion is not { } share || random.Next(1_000_000) < share;
    }

    /// <summary>Picks among weighted clusters.</summary>
    public static WeightedClusterConfig? PickCluster(IReadOnlyList<WeightedClusterConfig> clusters, int totalWeight, SeededRandom random)
    {
        if (clusters.Count == 1)
            return clusters[0];
        if (totalWeight <= 0)
            return null;
        var ticket = random.Next(totalWeight);
        for (var i = 0; i < clusters.Count; i++)
        {
            ticket -= clusters[i].Weight;
            if (ticket < 0)
                return clusters[i];
        }
        return null;
    }
}
