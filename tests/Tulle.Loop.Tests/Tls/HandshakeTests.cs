using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Tulle.Base;
using Tulle.Native;
using Tulle.Testing;

namespace Tulle.Loop.Tests;

/// <summary>Whole handshakes between two transports on a simulated kernel, and what follows them at once.</summary>
public class HandshakeTests
{
    private static readonly TlsContext s_server13 = Server(0x0303, 0x0304), s_server12 = Server(0x0303, 0x0303);
    private static readonly TlsContext s_client = new(new TlsContextOptions { IsServer = false });

    private static TlsContext Server(int min, int max)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=test", key, HashAlgorithmName.SHA256);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1));
        return new TlsContext(new TlsContextOptions
        {
            IsServer = true,
            MinVersion = min,
            MaxVersion = max,
            TicketCount = 2,
            Certificates = [(System.Text.Encoding.ASCII.GetBytes(certificate.ExportCertificatePem()), System.Text.Encoding.ASCII.GetBytes(key.ExportPkcs8PrivateKeyPem()), "")],
        });
    }

    private sealed class Pair
    {
        private readonly SimulatedKernel _kernel;

        public Pair(SimulatedKernel kernel, EventLoop loop, TlsContext server, TlsResumption? resumption = null)
        {
            _kernel = kernel;
            Loop = loop;
            var (near, far) = kernel.OpenPair();
            Client = new TlsTransport(Open(near), s_client, "test", resumption: resumption);
            Server = new TlsTransport(Open(far), server, "");
        }

        private LoopSocket Open(int fd)
        {
            var socket = new LoopSocket(Loop, fd) { Signal = new Signal() };
            socket.Start(assumeWritable: true);
            return socket;
        }

        public EventLoop Loop { get; }

        public TlsTransport Client { get; }

        public TlsTransport Server { get; }

        public void Turn()
        {
            _kernel.Deliver();
            Loop.Turn(0);
            _kernel.Advance(1);
        }

        /// <summary>Until the client is done; the server may be behind by its last flight.</summary>
        public void HandshakeOfClient()
        {
            var server = -Errno.EAGAIN;
            for (var turn = 0; ; turn++)
            {
                Assert.True(turn < 10_000, "the handshake does not end");
                var client = Client.Handshake();
                if (client == 0)
                    return;
                Assert.True(client == -Errno.EAGAIN, Client.Error);
                Turn();
                if (server == -Errno.EAGAIN)
                    server = Server.Handshake();
                Assert.True(server is 0 or -Errno.EAGAIN, Server.Error);
                Turn();
            }
        }

        public void HandshakeOfServer()
        {
            for (var turn = 0; Server.Peer is null; turn++)
            {
                Assert.True(turn < 10_000, "the handshake does not end");
                Assert.True(Server.Handshake() is 0 or -Errno.EAGAIN, Server.Error);
                Client.Flush();
                Turn();
            }
        }

        public void Close()
        {
            Client.Close();
            Server.Close();
            Assert.Equal(0, Loop.Buffers.Rented);
        }
    }

    /// <summary>100 KiB behind the Finished, all there before the server looks, read in pieces of every size: nothing is lost, and nobody has to wait for an event that came already.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void N01_N06_what_follows_the_handshake_at_once_arrives_whole(bool is13)
    {
        foreach (var (count, piece) in new[] { (100, 1), (60_000, 16_384), (100_000, 16_384), (100_000, 3000), (200_000, 65_536), (200_000, 160_000) })
        {
            var kernel = new SimulatedKernel(1, windowBytes: 400_000, isCalm: true);
            var pair = new Pair(kernel, new EventLoop(kernel), is13 ? s_server13 : s_server12);
            pair.HandshakeOfClient();
            var data = new byte[count];
            Fill(data, 7);
            if (!is13)
                pair.HandshakeOfServer();
            for (var sent = 0; sent < count;)
            {
                var taken = pair.Client.Write(data.AsSpan(sent));
                Assert.True(taken > 0);
                sent += taken;
            }
            pair.Turn();
            pair.HandshakeOfServer();
            var got = new List<byte>();
            var target = new byte[piece];
            // No turn of the loop in between: all of it is here, so CanRead must say so until the end.
            while (pair.Server.CanRead)
            {
                var read = pair.Server.Read(target);
                if (read == -Errno.EAGAIN)
                {
                    Assert.True(got.Count == count, $"{got.Count} of {count} bytes, {piece} at a time, and nothing more is announced");
                    break;
                }
                Assert.True(read > 0, pair.Server.Error);
                got.AddRange(target.AsSpan(0, read));
            }
            Assert.Equal(count, got.Count);
            Assert.Equal(data, got.ToArray());
            pair.Close();
        }
    }

    [Fact]
    public void Both_versions_carry_bytes_both_ways_and_end_rightly_whatever_the_kernel_does()
    {
        for (ulong seed = 1; seed <= 30; seed++)
        {
            var kernel = new SimulatedKernel(seed, windowBytes: 2000);
            var pair = new Pair(kernel, new EventLoop(kernel), seed % 2 == 0 ? s_server13 : s_server12);
            pair.HandshakeOfClient();
            pair.HandshakeOfServer();
            var data = new byte[30_000];
            Fill(data, seed);
            int up = 0, down = 0;
            var target = new byte[5000];
            var (atServer, atClient) = (new List<byte>(), new List<byte>());
            void Move(TlsTransport from, ref int sent, TlsTransport to, List<byte> got)
            {
                if (sent < data.Length)
                    sent += Math.Max(0, from.Write(data.AsSpan(sent)));
                else
                    from.Flush();
                if (sent == data.Length)
                    from.ShutdownWrite();
                for (int count; (count = to.Read(target)) > 0;)
                    got.AddRange(target.AsSpan(0, count));
            }
            for (var turn = 0; pair.Client.End == StreamEnd.Open || pair.Server.End == StreamEnd.Open; turn++)
            {
                Assert.True(turn < 100_000, $"seed {seed}: {atServer.Count} and {atClient.Count} bytes");
                Move(pair.Client, ref up, pair.Server, atServer);
                Move(pair.Server, ref down, pair.Client, atClient);
                pair.Turn();
            }
            Assert.Equal((StreamEnd.Ended, StreamEnd.Ended), (pair.Client.End, pair.Server.End));
            Assert.Equal(data, atServer.ToArray());
            Assert.Equal(data, atClient.ToArray());
            pair.Close();
        }
    }

    [Fact]
    public void A_client_resumes_with_the_ticket_it_was_given()
    {
        var resumption = new TlsResumption();
        for (var round = 0; round < 3; round++)
        {
            var kernel = new SimulatedKernel(1, windowBytes: 100_000, isCalm: true);
            var pair = new Pair(kernel, new EventLoop(kernel), s_server13, resumption);
            pair.HandshakeOfClient();
            pair.HandshakeOfServer();
            Assert.Equal(5, pair.Server.Write("hello"u8));
            pair.Turn();
            var target = new byte[100];
            Assert.Equal(5, pair.Client.Read(target));
            Assert.Equal(round > 0, pair.Client.Peer!.IsResumed);
            pair.Close();
        }
    }

    /// <summary>SSL_get_error looks into the thread's error queue: what a misspelt certificate left there must not end the next connection that reads.</summary>
    [Fact]
    public void N28_an_error_that_somebody_left_behind_ends_no_other_connection()
    {
        var kernel = new SimulatedKernel(1, windowBytes: 100_000, isCalm: true);
        var pair = new Pair(kernel, new EventLoop(kernel), s_server12);
        pair.HandshakeOfClient();
        pair.HandshakeOfServer();
        var noPem = "no certificate"u8;
        var bio = OpenSsl.BIO_new_mem_buf(noPem, noPem.Length);
        Assert.Equal(0, OpenSsl.PEM_read_bio_X509(bio, 0, 0, 0));
        _ = OpenSsl.BIO_free(bio);
        Assert.Equal(-Errno.EAGAIN, pair.Server.Read(new byte[100]));
        Assert.Equal(5, pair.Client.Write("hello"u8));
        pair.Turn();
        Assert.Equal(5, pair.Server.Read(new byte[100]));
        pair.Close();
    }

    [Fact]
    public void X19_half_a_handshake_holds_one_small_buffer_and_a_silent_one_nothing()
    {
        var kernel = new SimulatedKernel(1, windowBytes: 100_000, isCalm: true);
        var loop = new EventLoop(kernel);
        var (near, far) = kernel.OpenPair();
        var socket = new LoopSocket(loop, far) { Signal = new Signal() };
        socket.Start(assumeWritable: true);
        var server = new TlsTransport(socket, s_server13, "");
        Assert.Equal(-Errno.EAGAIN, server.Handshake());
        Assert.Equal(0, loop.Buffers.RentedBytes);
        var hello = Hello();
        kernel.Send(near, hello.AsSpan(0, hello.Length - 1));
        kernel.Deliver();
        loop.Turn(0);
        Assert.Equal(-Errno.EAGAIN, server.Handshake());
        Assert.Equal(BufferPool.Small, loop.Buffers.RentedBytes);
        server.Close();
        Assert.Equal(0, loop.Buffers.RentedBytes);
    }

    private static byte[] Hello()
    {
        using var session = new SslSession(new SslContext(new SslContextOptions { IsServer = false }), "shop.example", null, null);
        session.Handshake();
        var hello = new byte[session.DrainPending];
        session.Drain(hello);
        return hello;
    }

    /// <summary>Any first bytes: an answer or a wait, never an exception, and never more than a record is held.</summary>
    [Fact]
    public void First_bytes_of_strangers()
    {
        var kernel = new SimulatedKernel(1, windowBytes: 100_000, isCalm: true);
        var loop = new EventLoop(kernel);
        var hello = Hello();
        Fuzzer.Run("first bytes", [hello, [.. "GET / HTTP/1.1\r\nHost: a\r\n\r\n"u8], [20, 3, 3, 0, 1, 1, .. hello], [22, 3, 1, 0, 0, .. hello]], [[22, 3, 1], [20, 3, 3, 0, 1, 1], [21, 3, 3, 0, 2, 1, 0], [0xff, 0xff], [22, 3, 3, 0, 0]], (input, random) =>
        {
            var (near, far) = kernel.OpenPair();
            var socket = new LoopSocket(loop, far) { Signal = new Signal() };
            socket.Start(assumeWritable: true);
            var server = new TlsTransport(socket, s_server13, "");
            var result = -Errno.EAGAIN;
            for (var at = 0; at < input.Length && result == -Errno.EAGAIN;)
            {
                var count = Math.Min(input.Length - at, 1 + random.Next(2000));
                kernel.Send(near, input.AsSpan(at, count));
                at += count;
                kernel.Deliver();
                loop.Turn(0);
                result = server.Handshake();
                Require(result < 0, "a handshake that ended without a key");
                Require(loop.Buffers.RentedBytes <= BufferPool.Large + BufferPool.Medium, $"{loop.Buffers.RentedBytes} bytes are held");
            }
            server.Close();
            _ = kernel.Close(near);
            Require(loop.Buffers.Rented == 0, "a buffer is left");
            return HashCode.Combine(result, server.Error);
        });
    }

    private static void Fill(byte[] data, ulong seed)
    {
        var random = new SeededRandom(seed);
        for (var i = 0; i < data.Length; i++)
            data[i] = (byte)random.Next(256);
    }

    private static void Require(bool holds, string what)
    {
        if (!holds)
            throw new InvalidOperationException(what);
    }
}
