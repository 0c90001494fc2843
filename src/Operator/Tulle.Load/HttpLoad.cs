using System.Diagnostics;
using System.Globalization;
using Tulle.Base.Documents;

namespace Tulle.Load;

/// <summary>What a load saw.</summary>
public sealed class LoadReport
{
    private readonly Lock _lock = new();
    private readonly List<double> _latencies = [];

    public long Requests { get; private set; }

    public long Failed { get; private set; }

    /// <summary>Calls that named a server, by "service-version".</summary>
    public Dictionary<string, long> ByServer { get; } = new(StringComparer.Ordinal);

    /// <summary>Hops whose peer showed a mesh identity, of all hops seen.</summary>
    public long MutualTlsHops { get; private set; }

    public long Hops { get; private set; }

    public string LastError { get; private set; } = "";

    internal void Note(double milliseconds, string? error, Node? answer)
    {
        lock (_lock)
        {
            Requests++;
            // A bounded sample: the newest 200,000 are more than any percentile needs.
            if (_latencies.Count < 200_000)
                _latencies.Add(milliseconds);
            if (error is not null)
            {
                Failed++;
                LastError = error;
            }
            if (answer is not null)
                NoteHop(answer);
        }
    }

    private void NoteHop(Node answer)
    {
        var name = answer["name"]?.AsText ?? "";
        ByServer[name] = ByServer.GetValueOrDefault(name) + 1;
        if (answer["peer"] is { } peer)
        {
            Hops++;
            if (peer.AsText.StartsWith("spiffe://", StringComparison.Ordinal))
                MutualTlsHops++;
        }
        foreach (var call in answer["calls"]?.Items ?? [])
            NoteHop(call);
    }

    public double PercentileMs(double percent)
    {
        lock (_lock)
        {
            if (_latencies.Count == 0)
                return 0;
            var sorted = _latencies.Order().ToList();
            return sorted[(int)Math.Min(sorted.Count - 1, Math.Ceiling(percent / 100 * sorted.Count) - 1 < 0 ? 0 : Math.Ceiling(percent / 100 * sorted.Count) - 1)];
        }
    }

    /// <summary>Share of each version among the servers of one service.</summary>
    public Dictionary<string, double> Shares(string service)
    {
        lock (_lock)
        {
            var mine = ByServer.Where(s => s.Key.StartsWith(service + "-", StringComparison.Ordinal)).ToList();
            var total = mine.Sum(s => s.Value);
            return mine.ToDictionary(s => s.Key[(service.Length + 1)..], s => total == 0 ? 0 : (double)s.Value / total, StringComparer.Ordinal);
        }
    }

    public double MutualTlsShare => Hops == 0 ? 0 : (double)MutualTlsHops / Hops;
}

/// <summary>A closed-loop HTTP load: so many connections, each asking again as soon as it was answered, at most at the given rate in all.</summary>
public sealed class HttpLoad(Uri target, int connections, double ratePerSecond)
{
    public LoadReport Report { get; } = new();

    public async Task RunAsync(CancellationToken stop)
    {
        var start = Stopwatch.GetTimestamp();
        long tickets = 0;
        await Task.WhenAll(Enumerable.Range(0, connections).Select(async _ =>
        {
            using var client = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = 1, UseProxy = false }) { Timeout = TimeSpan.FromSeconds(20) };
            while (!stop.IsCancellationRequested)
            {
                // Pace by tickets: the n-th request may not begin before n / rate.
                var due = TimeSpan.FromSeconds(Interlocked.Increment(ref tickets) / ratePerSecond) - Stopwatch.GetElapsedTime(start);
                try
                {
                    if (due > TimeSpan.Zero)
                        await Task.Delay(due, stop);
                    await OneAsync(client, stop);
                }
                catch (OperationCanceledException) when (stop.IsCancellationRequested)
                {
                    return;
                }
            }
        }));
    }

    private async Task OneAsync(HttpClient client, CancellationToken stop)
    {
        var began = Stopwatch.GetTimestamp();
        string? error = null;
        Node? answer = null;
        try
        {
            using var response = await client.GetAsync(target, stop);
            var body = await response.Content.ReadAsByteArrayAsync(stop);
            if ((int)response.StatusCode != 200)
                error = string.Create(CultureInfo.InvariantCulture, $"status {(int)response.StatusCode}: {System.Text.Encoding.UTF8.GetString(body.AsSpan(0, Math.Min(body.Length, 200)))}");
            else
                answer = NodeJson.Parse(body);
        }
        catch (Exception failure) when (failure is HttpRequestException or DocumentException or TaskCanceledException && !stop.IsCancellationRequested)
        {
            error = failure.Message;
        }
        Report.Note(Stopwatch.GetElapsedTime(began).TotalMilliseconds, error, answer);
    }
}
