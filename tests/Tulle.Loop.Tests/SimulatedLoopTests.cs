using Tulle.Base;
using Tulle.Native;
using Tulle.Testing;

namespace Tulle.Loop.Tests;

/// <summary>The loop, its sockets and signals on a kernel that does all that Linux may do: short writes, EINTR, late events, hang-ups, reused descriptors.</summary>
public class SimulatedLoopTests
{
    /// <summary>Sends back what it reads, then closes when its peer does: one flat async method, as connections are written.</summary>
    private sealed class Echo(EventLoop loop, int fd)
    {
        private readonly Signal _signal = new();
        private byte[]? _waiting;
        private int _start, _end;

        public bool IsOver { get; private set; }

        public async void RunAsync()
        {
            var socket = new LoopSocket(loop, fd) { Signal = _signal };
            var transport = new PlainTransport(socket);
            socket.Start(assumeWritable: true);
            while (Step(transport))
                await _signal;
            if (_waiting is not null)
                loop.Buffers.Return(_waiting);
            transport.Close();
            IsOver = true;
        }

        private bool Step(PlainTransport transport)
        {
            while (true)
            {
                if (_end > _start)
                {
                    var sent = transport.Write(_waiting.AsSpan(_start, _end - _start));
                    if (sent < 0)
                        return sent == -Errno.EAGAIN;
                    _start += sent;
                    continue;
                }
                _waiting ??= loop.Buffers.Rent(BufferPool.Small);
                var count = transport.Read(_waiting);
                if (count <= 0)
                    return count == -Errno.EAGAIN;
                (_start, _end) = (0, count);
            }
        }
    }

    private static (EventLoop Loop, SimulatedKernel Kernel, List<Echo> Echoes, int Listener) Start(ulong seed)
    {
        var kernel = new SimulatedKernel(seed);
        var loop = new EventLoop(kernel, seed: seed);
        var echoes = new List<Echo>();
        var listener = kernel.Listen();
        ListenSocket.Start(loop, listener, (fd, _) =>
        {
            var echo = new Echo(loop, fd);
            echoes.Add(echo);
            echo.RunAsync();
        });
        return (loop, kernel, echoes, listener);
    }

    private static void Until(EventLoop loop, SimulatedKernel kernel, Func<bool> holds, string what)
    {
        for (var turn = 0; !holds(); turn++)
        {
            Assert.True(turn < 200_000, what);
            kernel.Deliver();
            loop.Turn(0);
            kernel.Advance(1);
        }
    }

    [Fact]
    public void Every_byte_comes_back_in_order_whatever_the_kernel_does()
    {
        for (ulong seed = 1; seed <= 60; seed++)
        {
            var (loop, kernel, echoes, listener) = Start(seed);
            var random = new SeededRandom(seed);
            var clients = Enumerable.Range(0, 1 + random.Next(5)).Select(_ => (Socket: kernel.ConnectTo(listener), Data: Enumerable.Range(0, random.Next(20_000)).Select(i => (byte)(i * 7)).ToArray(), Back: new List<byte>())).ToArray();
            var sent = new int[clients.Length];
            var buffer = new byte[4096];
            Until(loop, kernel, () =>
            {
                for (var i = 0; i < clients.Length; i++)
                {
                    sent[i] += Math.Max(0, clients[i].Socket.Write(clients[i].Data.AsSpan(sent[i])));
                    if (sent[i] == clients[i].Data.Length)
                        clients[i].Socket.ShutdownWrite();
                    int count;
                    while ((count = clients[i].Socket.ReadAll(buffer)) > 0)
                        clients[i].Back.AddRange(buffer.AsSpan(0, count));
                }
                return clients.All(c => c.Back.Count == c.Data.Length && c.Socket.IsEnded);
            }, $"seed {seed}: {string.Join(", ", clients.Select(c => $"{c.Back.Count} of {c.Data.Length}"))}");
            Assert.All(clients, c => Assert.Equal(c.Data, c.Back));
            Assert.All(echoes, e => Assert.True(e.IsOver));
            Assert.Equal(0, loop.Buffers.Rented);
            Assert.Equal(1, loop.SocketCount);
        }
    }

    [Fact]
    public void What_came_before_a_hang_up_is_read_before_the_end_is_seen()
    {
        for (ulong seed = 1; seed <= 40; seed++)
        {
            var (loop, kernel, echoes, listener) = Start(seed);
            var client = kernel.ConnectTo(listener);
            client.Write(new byte[300]);
            client.ShutdownWrite();
            var got = 0;
            var buffer = new byte[4096];
            Until(loop, kernel, () =>
            {
                int count;
                while ((count = client.ReadAll(buffer)) > 0)
                    got += count;
                return client.IsEnded;
            }, $"seed {seed}: {got} of 300");
            Assert.Equal(300, got);
            Assert.True(echoes[0].IsOver);
        }
    }

    [Fact]
    public void A_reset_ends_the_connection_and_leaves_nothing()
    {
        for (ulong seed = 1; seed <= 40; seed++)
        {
            var (loop, kernel, echoes, listener) = Start(seed);
            var client = kernel.ConnectTo(listener);
            client.Write(new byte[500]);
            Until(loop, kernel, () => echoes.Count == 1, "accepted");
            client.Reset();
            Until(loop, kernel, () => echoes[0].IsOver, $"seed {seed}: the reset was not noticed");
            Assert.Equal(0, loop.Buffers.Rented);
        }
    }

    private sealed class Counting : ISocketOwner
    {
        public int Events { get; private set; }

        public void OnReady(LoopSocket socket) => Events++;
    }

    private sealed class ClosingOther(LoopSocket other, Func<LoopSocket> reopen) : ISocketOwner
    {
        public LoopSocket? Reopened { get; private set; }

        public void OnReady(LoopSocket socket)
        {
            if (Reopened is not null)
                return;
            other.Close();
            Reopened = reopen();
        }
    }

    [Fact]
    public void An_event_of_a_closed_descriptor_never_reaches_the_socket_that_got_its_number()
    {
        var kernel = new SimulatedKernel(1, isCalm: true);
        var loop = new EventLoop(kernel);
        kernel.OnConnect = (_, _) => 0;
        LoopSocket Open()
        {
            var socket = new LoopSocket(loop, kernel.Connect(Address.V4(1, 1), null, 0));
            return socket;
        }
        var first = Open();
        var second = Open();
        var newcomer = new Counting();
        var closing = new ClosingOther(second, () =>
        {
            var socket = Open();
            Assert.False(second.IsOpen);
            socket.Owner = newcomer;
            socket.Start(assumeWritable: false);
            return socket;
        });
        first.Owner = closing;
        var old = new Counting();
        second.Owner = old;
        var number = second.Fd;
        first.Start(assumeWritable: false);
        second.Start(assumeWritable: false);
        // Both are writable: one batch carries two events, and the first closes the second's socket and reuses its number.
        loop.Turn(0);
        Assert.Equal(number, closing.Reopened!.Fd);
        Assert.Equal(0, newcomer.Events);
        Assert.Equal(0, old.Events);
        loop.Turn(0);
        Assert.Equal(1, newcomer.Events);
    }
}
