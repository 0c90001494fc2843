using System.Text.RegularExpressions;

namespace Tulle.Interop.Tests;

/// <summary>The same cases through a real Envoy and through tulle-proxy: what both sides of the proxy observe must be equal.</summary>
public class AgainstEnvoyTests
{
    /// <summary>Cases that differ, with the reason; docs/differences.md says more. Nothing may join them.</summary>
    private static readonly Dictionary<string, string> s_differences = new(StringComparer.Ordinal)
    {
        ["A.typed_per_filter_disabled"] = "needs fault injection",
        ["B.retry_headers_external"] = "a loopback peer's own address in x-forwarded-for",
        ["C.bad_chunk_sizes"] = "stricter",
        ["C.bad_host_value"] = "stricter",
        ["C.bad_request_lines"] = "stricter",
        ["C.duplicate_host"] = "stricter",
        ["C.hop_by_hop_response"] = "stricter",
        ["C.nul_in_header"] = "the detail's text",
        ["C.obs_fold"] = "stricter",
        ["C.upgrade_denied"] = "the refused upgrade's body is passed on",
        ["R.response_non_ascii"] = "its half in HTTP/2",
        ["R.slow_upload"] = "its half in HTTP/2",
    };

    [NeedsFact("peers", "python3")]
    public async Task Both_proxies_behave_the_same()
    {
        var folder = Path.Combine(Surroundings.Peers, "envoydiff");
        var envoy = await Surroundings.PeerAsync("envoy");
        var (_, output, errors) = await Program.RunAsync("python3",
            [Path.Combine(folder, "envoydiff.py"), "--ref", envoy, "--cand", $"{Surroundings.Proxy} --concurrency 1 --file-flush-interval-msec 50 --drain-time-s 2 --drain-strategy immediate",
             "--jobs", "2", "--owner", "safe", "-v", Path.Combine(folder, "cases_open")], 540);
        var verdicts = Regex.Matches(output, @"^(equal|different|candidate-\S+|bad-case|skipped) +(\S+) ", RegexOptions.Multiline).Select(m => (Verdict: m.Groups[1].Value, Case: m.Groups[2].Value)).ToList();
        Assert.True(verdicts.Count >= 160, output + errors);
        Assert.DoesNotContain(verdicts, v => v.Verdict is not ("equal" or "skipped" or "bad-case") && !s_differences.ContainsKey(v.Case));
    }
}
