using Tulle.Base;
using Tulle.Testing;

namespace Tulle.Loop.Tests;

/// <summary>Every kind of callback of a loop throws: the loop goes on, counts it, and ends no more than the connection concerned.</summary>
public class LoopFaultTests
{
    private sealed class Throwing : ISocketOwner
    {
        public void OnReady(LoopSocket socket) => throw new InvalidOperationException("from a socket event");
    }

    private sealed class EndingItself : ISocketOwner
    {
        public bool IsTold { get; private set; }

        public void OnReady(LoopSocket socket) => throw new InvalidOperationException("from a socket event");

        public void OnFault(LoopSocket socket)
        {
            IsTold = true;
            throw new InvalidOperationException("and from its end");
        }
    }

    private static (EventLoop Loop, SimulatedKernel Kernel) Start()
    {
        var kernel = new SimulatedKernel(1, isCalm: true) { OnConnect = (_, _) => 0 };
        return (new EventLoop(kernel), kernel);
    }

    private static LoopSocket Open(EventLoop loop, ISocketOwner? owner)
    {
        var socket = new LoopSocket(loop, loop.Kernel.Connect(Address.V4(1, 1), null, 0)) { Owner = owner };
        socket.Start(assumeWritable: false);
        return socket;
    }

    [Fact]
    public void N13_a_socket_event_that_throws_ends_its_socket_only()
    {
        var (loop, _) = Start();
        var quiet = Open(loop, null);
        var bad = Open(loop, new Throwing());
        var worse = new EndingItself();
        var second = Open(loop, worse);
        loop.Turn(0);
        Assert.Equal(3, loop.FaultCount);
        Assert.True(worse.IsTold);
        Assert.False(bad.IsOpen);
        Assert.False(second.IsOpen);
        Assert.True(quiet.IsOpen && quiet.IsWritable);
        Assert.Equal(1, loop.SocketCount);
    }

    [Fact]
    public void N13_a_timer_a_deferred_action_a_batch_and_an_event_raised_again_may_throw()
    {
        var (loop, kernel) = Start();
        var counted = 0;
        var later = 0;
        loop.OnFault = () => counted++;
        loop.ArmAfter(new ActionTimer(() => throw new InvalidOperationException("from a timer")), 10);
        loop.ArmAfter(new ActionTimer(() => later++), 10);
        loop.Defer(() => throw new InvalidOperationException("from a deferred action"));
        loop.Defer(() => later++);
        var bad = Open(loop, new Throwing());
        bad.RaiseLater();
        loop.Turn(0);
        Assert.False(bad.IsOpen);
        loop.AfterBatch = () =>
        {
            loop.AfterBatch = null;
            throw new OutOfMemoryException("from a batch");
        };
        kernel.Advance(50);
        loop.Turn(0);
        Assert.Equal(2, later);
        Assert.Equal(4, loop.FaultCount);
        Assert.Equal(4, counted);
    }

    /// <summary>An exception between taking a letter and the end of the mailbox left a count above zero and no wake-up: nothing posted was ever heard again.</summary>
    [Fact]
    public void N13_posted_actions_that_throw_lose_no_later_ones()
    {
        var (loop, _) = Start();
        var heard = 0;
        for (var i = 0; i < 5; i++)
        {
            loop.Post(() => throw new InvalidOperationException("from a posted action"));
            loop.Post(() => heard++);
        }
        loop.Turn(0);
        Assert.Equal(5, heard);
        loop.Post(() => heard++);
        loop.Turn(0);
        Assert.Equal(6, heard);
        Assert.Equal(5, loop.FaultCount);
    }

    /// <summary>A letter that posts another one each time it is read: the other events of the loop have their turn between, and none is forgotten.</summary>
    [Fact]
    public void N13_a_mailbox_that_refills_itself_does_not_hold_the_loop_and_is_not_forgotten()
    {
        var (loop, _) = Start();
        var posted = 0;
        void Again()
        {
            if (++posted < 100)
                loop.Post(Again);
        }
        loop.Post(Again);
        loop.Turn(0);
        Assert.Equal(1, posted);
        for (var turn = 0; turn < 200; turn++)
            loop.Turn(0);
        Assert.Equal(100, posted);
    }

    [Fact]
    public void N13_an_accept_that_throws_leaves_the_listener_and_those_behind_it()
    {
        var (loop, kernel) = Start();
        var listener = kernel.Listen();
        var taken = 0;
        ListenSocket.Start(loop, listener, (fd, remote) =>
        {
            taken++;
            if (taken == 2)
                throw new InvalidOperationException("from an accept");
            _ = kernel.Close(fd);
        });
        for (var i = 0; i < 4; i++)
            kernel.ConnectTo(listener);
        loop.Turn(0);
        Assert.Equal(4, taken);
        Assert.Equal(1, loop.FaultCount);
    }

    /// <summary>Errors of accept(2): those of one connection are passed over, everything else makes the listener look again by itself, because its edge is used up.</summary>
    [Theory]
    [InlineData(Errno.ECONNABORTED, false)]
    [InlineData(Errno.EPROTO, false)]
    [InlineData(Errno.EHOSTUNREACH, false)]
    [InlineData(Errno.EPERM, false)]
    [InlineData(Errno.EMFILE, true)]
    [InlineData(Errno.ENFILE, true)]
    [InlineData(Errno.ENOMEM, true)]
    [InlineData(Errno.ENOBUFS, true)]
    [InlineData(Errno.EINVAL, true)]
    public void N25_no_error_of_accept_stops_a_listener(int errno, bool afterPause)
    {
        var (loop, kernel) = Start();
        var listener = kernel.Listen();
        var taken = 0;
        ListenSocket.Start(loop, listener, (fd, remote) =>
        {
            taken++;
            _ = kernel.Close(fd);
        });
        kernel.AcceptErrors.Enqueue(errno);
        kernel.ConnectTo(listener);
        kernel.ConnectTo(listener);
        loop.Turn(0);
        Assert.Equal(afterPause ? 0 : 2, taken);
        kernel.Advance(150);
        loop.Turn(0);
        Assert.Equal(2, taken);
    }

    /// <summary>A turn of 50 ms must not make the next deadline 50 ms late.</summary>
    [Fact]
    public void N30_how_long_to_sleep_is_asked_of_a_fresh_clock()
    {
        var (loop, kernel) = Start();
        loop.ArmAfter(new ActionTimer(() => { }), 100);
        loop.Post(() => kernel.Advance(80));
        loop.Turn(-1);
        loop.Turn(-1);
        Assert.InRange(kernel.LastWaitMs, 0, 40);
    }
}
