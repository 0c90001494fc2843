namespace Tulle.LocalPods.Tests;

/// <summary>How the folder is followed, and what is said of pods that are slow.</summary>
public sealed class FollowingTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-folder-").FullName;

    private const string Deployment = """
        apiVersion: apps/v1
        kind: Deployment
        metadata: { name: web, namespace: shop }
        spec: { replicas: 2, selector: { matchLabels: { app: web } }, template: { metadata: { labels: { app: web }, annotations: { tulle.dev/run: process } }, spec: { containers: [ { name: web, command: [ "true" ] } ] } } }
        """;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Write(string text)
    {
        var file = Path.Combine(_folder, "web.yaml");
        File.WriteAllText(file, text);
        return file;
    }

    [Fact]
    public void B4_a_file_that_is_empty_for_a_moment_ends_no_pod()
    {
        var source = new MeshFolder(_folder);
        var file = Write(Deployment);
        Assert.Equal(2, PlannedPod.Of(source.Read().Set).Count);
        Write("");
        var (set, lookAgain) = source.Read();
        Assert.Equal(2, PlannedPod.Of(set).Count);
        Assert.True(lookAgain);
        // Empty for longer than a save takes: meant.
        File.SetLastWriteTimeUtc(file, File.GetLastWriteTimeUtc(file).AddMilliseconds(-MeshFolder.EmptyMs - 1));
        (set, lookAgain) = source.Read();
        Assert.Empty(PlannedPod.Of(set));
        Assert.False(lookAgain);
    }

    [Fact]
    public void A_broken_file_keeps_its_last_good_pods()
    {
        var source = new MeshFolder(_folder);
        Write(Deployment);
        var before = PlannedPod.Of(source.Read().Set).Keys.Order().ToList();
        Write(Deployment + "\n  broken: [");
        Assert.Equal(before, PlannedPod.Of(source.Read().Set).Keys.Order());
    }

    [Fact]
    public void A_changed_template_is_another_pod_of_the_same_owner()
    {
        var source = new MeshFolder(_folder);
        Write(Deployment);
        var before = PlannedPod.Of(source.Read().Set).Values.ToList();
        Write(Deployment.Replace("\"true\"", "\"false\"", StringComparison.Ordinal));
        var after = PlannedPod.Of(source.Read().Set).Values.ToList();
        Assert.Empty(before.Select(p => p.Key).Intersect(after.Select(p => p.Key)));
        Assert.Equal(before.Select(p => p.Owner), after.Select(p => p.Owner));
    }

    [Fact]
    public void E2_what_a_pod_waits_for_is_said_after_two_seconds_once()
    {
        var waiting = new PodWaiting();
        Assert.Null(waiting.TakeDue(PodPhase.Starting, 100_000));
        waiting.For("its readinessProbe, GET :8080/ready", 1000);
        waiting.Reason = "answered 404";
        Assert.Null(waiting.TakeDue(PodPhase.Starting, 1000 + PodWaiting.FirstMs - 1));
        Assert.Null(waiting.TakeDue(PodPhase.Ready, 1000 + PodWaiting.FirstMs));
        var said = waiting.TakeDue(PodPhase.Starting, 1000 + PodWaiting.FirstMs);
        Assert.Equal("waits for its readinessProbe, GET :8080/ready, 2 s now (answered 404); edits are taken meanwhile", said);
        Assert.Null(waiting.TakeDue(PodPhase.Starting, 1000 + PodWaiting.FirstMs + 1));
        Assert.NotNull(waiting.TakeDue(PodPhase.Starting, 1000 + PodWaiting.FirstMs + PodWaiting.AgainMs));
        waiting.For("", 50_000);
        Assert.Null(waiting.TakeDue(PodPhase.Starting, 1_000_000));
    }

    [Fact]
    public void E3_an_address_that_is_none_is_told_and_the_other_names_stay()
    {
        using var server = new DnsServer(System.Net.IPAddress.Loopback, 0);
        Assert.Equal([("db.shop", "foo")], server.Replace([("web.shop", "10.96.0.1"), ("db.shop", "foo")]));
        byte[] query = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, (byte)'w', (byte)'e', (byte)'b', 4, (byte)'s', (byte)'h', (byte)'o', (byte)'p', 0, 0, 1, 0, 1];
        Assert.Equal(10, server.Answer(query)![^4]);
    }
}
