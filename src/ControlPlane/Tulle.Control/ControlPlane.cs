using Tulle.Model;

namespace Tulle.Control;

/// <summary>From the folders to the streams: reads, publishes, and does it again at every change, until it is told to stop.</summary>
internal static class ControlPlane
{
    /// <summary>Where a failed reading is tried again.</summary>
    private static readonly TimeSpan AgainAfter = TimeSpan.FromSeconds(1);

    public static async Task RunAsync(ControlOptions options, FolderSource source, CertificateAuthority authority, CancellationToken stop)
    {
        using var watch = new FolderWatch(options.Folders);
        source.IsBeingWritten = watch.IsBeingWritten;
        if (watch.Problem.Length > 0)
            Console.Error.WriteLine($"tulle-control: {watch.Problem}; folders are looked at once a second");
        var log = new TranslationLog();
        var xds = new XdsService(caller => new ResourceMaker(caller, options, log), Next(source.Read(), 1), TimeProvider.System);
        var server = new ControlServer(options, authority, xds, new CertificateService(options, authority), new DebugPages(xds, source, log));
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var serving = server.RunAsync(stop).ContinueWith(
            task =>
            {
                ended.Cancel();
                return task;
            }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default).Unwrap();
        await FollowAsync(source, watch, xds, ended.Token);
        await serving;
    }

    private static Published Next(MeshModel model, long number) =>
        new(number, model, $"{TimeProvider.System.GetUtcNow():yyyy-MM-dd'T'HH:mm:ss'Z'}/{number}");

    private static async Task FollowAsync(FolderSource source, FolderWatch watch, XdsService xds, CancellationToken stop)
    {
        var wait = source.LookAgainAfter;
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await watch.NextAsync(wait, stop);
                xds.Publish(Next(source.Read(), xds.Published.Number + 1));
                wait = source.LookAgainAfter;
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception error)
            {
                // Whatever it is, traffic runs on with what was published; the next reading may succeed.
                Console.Error.WriteLine($"tulle-control: error: the folders cannot be turned into a model, the last one stays in force: {error}");
                wait = AgainAfter;
            }
        }
    }
}
