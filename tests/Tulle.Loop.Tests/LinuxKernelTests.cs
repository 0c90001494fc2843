using System.Runtime.InteropServices;
using Tulle.Base;
using Tulle.Native;

namespace Tulle.Loop.Tests;

/// <summary>What the real kernel does where it is not what one expects.</summary>
public sealed class LinuxKernelTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tulle-kernel-").FullName;
    private readonly LinuxKernel _kernel = new();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private Address Socket(string name) => Address.Pipe(Path.Combine(_folder, name));

    private static int Descriptors() => Directory.GetFileSystemEntries("/proc/self/fd").Length;

    /// <summary>EAGAIN of a Unix socket means that nothing is under way: taken for success it became a reset of a request that was never sent.</summary>
    [Fact]
    public void N20_a_full_backlog_is_a_failed_connect()
    {
        Assert.Equal(0, ListenSocket.Open(Socket("full"), 0, transparent: false, out var listener));
        var opened = new List<int> { listener };
        var result = 0;
        for (var i = 0; i < 10 && result >= 0; i++)
        {
            result = _kernel.Connect(Socket("full"), null, 0);
            if (result >= 0)
                opened.Add(result);
        }
        Assert.Equal(-Errno.EAGAIN, result);
        opened.ForEach(fd => _ = _kernel.Close(fd));
    }

    [Fact]
    public void N34_the_file_of_a_dead_socket_is_replaced_and_a_living_or_foreign_one_is_not()
    {
        Assert.Equal(0, ListenSocket.Open(Socket("s"), 8, transparent: false, out var first));
        Assert.Equal(-Errno.EADDRINUSE, ListenSocket.Open(Socket("s"), 8, transparent: false, out _));
        _ = _kernel.Close(first);
        Assert.Equal(0, ListenSocket.Open(Socket("s"), 8, transparent: false, out var second));
        Assert.Equal(0, ListenSocket.Share(second, out var shared));
        var client = _kernel.Connect(Socket("s"), null, 0);
        Assert.True(client >= 0);
        var accepted = _kernel.Accept(shared, out _);
        Assert.True(accepted >= 0, "the second descriptor has another queue");
        foreach (var fd in new[] { second, shared, client, accepted })
            _ = _kernel.Close(fd);
        ListenSocket.RemoveFile(Socket("s"));
        Assert.False(File.Exists(Path.Combine(_folder, "s")));
        File.WriteAllText(Path.Combine(_folder, "precious"), "data");
        Assert.Equal(-Errno.EADDRINUSE, ListenSocket.Open(Socket("precious"), 8, transparent: false, out _));
        Assert.Equal("data", File.ReadAllText(Path.Combine(_folder, "precious")));
    }

    [Fact]
    public void A_path_that_is_too_long_is_an_error_and_no_exception()
    {
        foreach (var length in new[] { 108, 109, 110, 111, 300 })
        {
            var address = Address.Pipe("/" + new string('x', length - 1));
            Assert.True(ListenSocket.Open(address, 8, transparent: false, out _) < 0);
            Assert.True(_kernel.Connect(address, null, 0) < 0);
        }
    }

    /// <summary>Pipes of an ordinary user have 4 or 8 KiB once all of his have used up their pages: such a one is not used, counted, and leaves no descriptor.</summary>
    [Fact]
    public void N18_a_pipe_that_is_too_small_is_not_used()
    {
        var before = Descriptors();
        Assert.Null(SplicePipe.TryCreate(64 * 1024, 128 * 1024, out var capacity));
        Assert.InRange(capacity, 1, 128 * 1024 - 1);
        Assert.Equal(before, Descriptors());
        using var pipe = SplicePipe.TryCreate(64 * 1024, 4096, out _);
        Assert.NotNull(pipe);
    }

    [Fact]
    public void N18_pipes_are_kept_a_few_and_used_again()
    {
        var pool = new PipePool();
        var before = Descriptors();
        var pipes = Enumerable.Range(0, 10).Select(_ => pool.Take()!).ToList();
        pipes.ForEach(pool.Return);
        var kept = Descriptors() - before;
        Assert.InRange(kept, 2, 8);
        Assert.Contains(pool.Take(), pipes);
        Assert.Equal(kept, Descriptors() - before);
        Assert.Equal(0, pool.Failures);
    }

    [Fact]
    public void N26_each_processor_has_the_kernels_layout_of_an_event()
    {
        Assert.Equal((12, 4), Libc.EpollLayout(Architecture.X64));
        Assert.Equal((16, 8), Libc.EpollLayout(Architecture.Arm64));
    }

    [Fact]
    public void N30_the_wall_clock_follows_a_correction_and_leaves_small_differences_alone()
    {
        long monotonic = 5_000_000, wall = 1_000_000_000;
        var clock = new CorrectedClock(() => monotonic, () => wall);
        void Pass(long micros, long correction)
        {
            monotonic += micros;
            wall += micros + correction;
        }
        Pass(500_000, 0);
        Assert.Equal(wall, clock.Micros);
        Pass(2_000_000, 50_000);
        Assert.Equal(wall - 50_000, clock.Micros);
        Pass(2_000_000, 3_600_000_000);
        Assert.Equal(wall, clock.Micros);
        Pass(2_000_000, -7_200_000_000);
        Assert.Equal(wall, clock.Micros);
    }

    [Fact]
    public void Row28_keep_alive_has_the_numbers_of_the_cluster()
    {
        Assert.True(Address.TryParseIp("127.0.0.1", 0, out var any));
        Assert.Equal(0, ListenSocket.Open(any, 8, transparent: false, out var listener));
        var fd = _kernel.Connect(Libc.LocalAddress(listener), null, 0);
        Assert.False(Libc.KeepAliveOf(fd).IsOn);
        var before = Libc.KeepAliveOf(fd);
        Assert.Equal(0, _kernel.KeepAlive(fd, 3, 77, 0));
        Assert.Equal((true, 3, 77, before.IntervalSeconds), Libc.KeepAliveOf(fd));
        Assert.Equal(0, _kernel.KeepAlive(fd, 0, 0, 11));
        Assert.Equal((true, 3, 77, 11), Libc.KeepAliveOf(fd));
        _ = _kernel.Close(fd);
        _ = _kernel.Close(listener);
    }
}
