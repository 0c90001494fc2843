using Tulle.Base;

namespace Tulle.Loop.Tests;

/// <summary>What RFC 8446 says must end a connection behind the handshake, and what has a limit of ours.</summary>
public class RecordLimitTests
{
    private static readonly byte[] KeyUpdate = [24, 0, 0, 1, 0];
    private static readonly byte[] KeyUpdateAsking = [24, 0, 0, 1, 1];

    private static RecordPair Start(bool isServer = true)
    {
        var (loop, kernel) = RecordPair.NewLoop();
        return new RecordPair(loop, kernel, isServer);
    }

    private static void Fails(TlsAlert? alert, string what, Func<RecordPair, byte[]> send, bool isServer = true, string delivered = "")
    {
        using var pair = Start(isServer);
        pair.Send(send(pair));
        var got = new List<byte>();
        Assert.True(pair.ReadInto(got) < 0, what);
        Assert.Equal(delivered, System.Text.Encoding.ASCII.GetString([.. got]));
        pair.AssertFailed(alert, what);
    }

    [Fact]
    public void N10_a_record_above_the_limit_is_refused_by_its_header()
    {
        Fails(TlsAlert.RecordOverflow, "16,641 bytes promised", _ => [23, 3, 3, 0x41, 0x01]);
        Fails(TlsAlert.RecordOverflow, "60,000 bytes, whole", p => p.Seal(new byte[60_000]));
        Fails(TlsAlert.RecordOverflow, "60,000 bytes, whole, behind data", p => [.. p.Seal("abc"u8), .. p.Seal(new byte[60_000])], delivered: "abc");
        Fails(TlsAlert.BadRecordMac, "16 bytes: no room for a type and a tag", _ => [23, 3, 3, 0, 16, .. new byte[16]]);
    }

    [Fact]
    public void N10_content_above_16384_bytes_is_a_record_overflow_and_16384_are_not()
    {
        Fails(TlsAlert.RecordOverflow, "content of 16,385 bytes", p => p.Seal(new byte[16_385]));
        Fails(TlsAlert.RecordOverflow, "content of 16,600 bytes", p => p.Seal(new byte[16_600]));
        using var pair = Start();
        pair.Send(pair.Seal(new byte[16_384]));
        var got = new List<byte>();
        Assert.Equal(-Errno.EAGAIN, pair.ReadInto(got));
        Assert.Equal(16_384, got.Count);
    }

    [Fact]
    public void X09_what_must_end_a_connection_ends_it_with_the_right_alert()
    {
        Fails(TlsAlert.UnexpectedMessage, "change_cipher_spec in clear", _ => [20, 3, 3, 0, 1, 1]);
        Fails(TlsAlert.UnexpectedMessage, "change_cipher_spec encrypted", p => p.Seal([1], 20));
        Fails(TlsAlert.UnexpectedMessage, "HTTP in clear", _ => [.. "GET / HTTP/1.1\r\n"u8]);
        Fails(TlsAlert.UnexpectedMessage, "content type 99", p => p.Seal("x"u8, 99));
        Fails(TlsAlert.UnexpectedMessage, "no content type", p => p.Seal(new byte[5], 0));
        Fails(TlsAlert.UnexpectedMessage, "an empty handshake record", p => p.Seal([], 22));
        Fails(TlsAlert.UnexpectedMessage, "an empty alert record", p => p.Seal([], 21));
        Fails(TlsAlert.DecodeError, "an alert of one byte", p => p.Seal([2], 21));
        Fails(null, "an alert of the peer", p => p.Seal([2, 40], 21));
        Fails(null, "an alert of the peer that calls itself a warning", p => p.Seal([1, 80], 21));
        Fails(TlsAlert.UnexpectedMessage, "a ClientHello behind the handshake", p => p.Seal([1, 0, 0, 4, 1, 2, 3, 4], 22));
        Fails(TlsAlert.UnexpectedMessage, "a ticket to a server", p => p.Seal([4, 0, 0, 4, 1, 2, 3, 4], 22));
        Fails(TlsAlert.UnexpectedMessage, "a certificate request to a client", p => p.Seal([13, 0, 0, 4, 1, 2, 3, 4], 22), isServer: false);
        Fails(TlsAlert.IllegalParameter, "a ticket of 40,000 bytes", p => p.Seal([4, 0, 0x9C, 0x40], 22), isServer: false);
        Fails(TlsAlert.IllegalParameter, "a KeyUpdate that asks for 2", p => p.Seal([24, 0, 0, 1, 2], 22));
        Fails(TlsAlert.DecodeError, "a KeyUpdate of two bytes", p => p.Seal([24, 0, 0, 2, 0, 0], 22));
        Fails(TlsAlert.UnexpectedMessage, "messages behind a KeyUpdate", p => p.Seal([.. KeyUpdate, .. KeyUpdate], 22));
        Fails(TlsAlert.UnexpectedMessage, "half a message behind a KeyUpdate", p => p.Seal([.. KeyUpdate, 24], 22));
        Fails(TlsAlert.UnexpectedMessage, "half a KeyUpdate, then data", p => [.. p.Seal("a"u8), .. p.Seal([24, 0], 22), .. p.Seal("b"u8)], delivered: "a");
    }

    [Fact]
    public void User_canceled_is_a_warning_and_not_an_end()
    {
        using var pair = Start();
        pair.Send([.. pair.Seal([1, 90], 21), .. pair.Seal("still here"u8)]);
        var got = new List<byte>();
        Assert.Equal(-Errno.EAGAIN, pair.ReadInto(got));
        Assert.Equal("still here"u8, got.ToArray());
    }

    private static byte[] Update(RecordPair pair, byte[] message)
    {
        var record = pair.Seal(message, 22);
        pair.Peer.SealKeyUpdate(new byte[64]); // The same secrets, one step further, without the message.
        return record;
    }

    [Fact]
    public void N07_32_records_without_content_are_borne_and_33_in_a_row_are_not()
    {
        foreach (var (name, make) in new (string, Func<RecordPair, byte[]>)[]
        {
            ("empty records", p => p.Seal([])), ("KeyUpdates", p => Update(p, KeyUpdate)), ("KeyUpdates that ask", p => Update(p, KeyUpdateAsking)), ("warnings", p => p.Seal([1, 90], 21)),
        })
        {
            using var pair = Start();
            var got = new List<byte>();
            for (var round = 1; round <= 3; round++)
            {
                for (var i = 0; i < 32; i++)
                    pair.Send(make(pair));
                pair.Send(pair.Seal("x"u8));
                while (pair.ReadInto(got) != -Errno.EAGAIN || got.Count < round)
                    Assert.True(pair.Transport.End == StreamEnd.Open, $"{name}: ended after {got.Count} rounds: {pair.Transport.Error}");
            }
            for (var i = 0; i < 33; i++)
                pair.Send(make(pair));
            while (pair.ReadInto(got) == -Errno.EAGAIN)
                pair.Loop.Turn(0);
            pair.AssertFailed(TlsAlert.UnexpectedMessage, name);
        }
    }

    /// <summary>A peer that puts one byte between its KeyUpdates may go on, but each call takes no more than 32 of them; then the others have their turn and it is told again.</summary>
    [Fact]
    public void N07_a_call_does_a_bounded_amount_of_barren_work_and_comes_back_by_itself()
    {
        using var pair = Start();
        var stream = new List<byte>();
        for (var i = 0; i < 1000; i++)
        {
            stream.AddRange(Update(pair, KeyUpdate));
            stream.AddRange(pair.Seal("x"u8));
        }
        pair.Send([.. stream]);
        var signal = pair.Transport.Socket.Signal!;
        signal.Clear();
        var target = new byte[16 * 1024];
        var got = 0;
        var calls = 0;
        while (got < 1000)
        {
            var count = pair.Transport.Read(target);
            Assert.InRange(count, 1, 32);
            got += count;
            calls++;
            if (got < 1000)
            {
                pair.Loop.Turn(0);
                Assert.True(signal.IsCompleted, "nobody would have come back");
            }
        }
        Assert.InRange(calls, 31, 40);
    }

    [Fact]
    public void N07_one_answer_waits_however_many_KeyUpdates_ask_for_one()
    {
        var kernel = new Tulle.Testing.SimulatedKernel(1, windowBytes: 4000, isCalm: true);
        var loop = new EventLoop(kernel);
        using var pair = new RecordPair(loop, kernel);
        // Nothing can be sent: the peer does not read.
        while (!pair.Transport.HasUnsent)
            Assert.True(pair.Transport.Write(new byte[1000]) > 0);
        var got = new List<byte>();
        for (var i = 0; i < 500; i++)
        {
            pair.Send(Update(pair, KeyUpdateAsking));
            pair.Send(pair.Seal("x"u8));
            Assert.Equal(-Errno.EAGAIN, pair.ReadInto(got));
        }
        Assert.Equal(500, got.Count);
        var contents = new List<RecordContent>();
        var buffered = new List<byte>();
        var buffer = new byte[4096];
        for (var turn = 0; turn < 20; turn++)
        {
            int count;
            while ((count = pair.Far.ReadAll(buffer)) > 0)
                buffered.AddRange(buffer.AsSpan(0, count));
            loop.Turn(0);
            pair.Transport.Flush();
        }
        var stream = buffered.ToArray().AsSpan();
        while (stream.Length > 0)
        {
            var length = 5 + RecordLayer.BodyLength(stream);
            contents.Add(pair.Peer.Open(stream[..length], out _));
            if (contents[^1] == RecordContent.Handshake)
                pair.Peer.UpdateReadKey();
            stream = stream[length..];
        }
        Assert.Equal(1, contents.Count(c => c == RecordContent.Handshake));
        Assert.DoesNotContain(RecordContent.Invalid, contents);
    }

    /// <summary>The error of the write that seals was forgotten, so a relay went on to read and seal for a client that was gone.</summary>
    [Fact]
    public void N38_a_write_to_a_peer_that_is_gone_fails_and_goes_on_failing()
    {
        using var pair = Start();
        Assert.Equal(5, pair.Transport.Write("first"u8));
        pair.Far.Reset();
        for (var i = 0; i < 5; i++)
            Assert.True(pair.Transport.Write(new byte[1000]) < 0, $"write {i} is taken for good");
        Assert.True(pair.Transport.ShutdownWrite() < 0);
    }

    [Fact]
    public void A_ticket_may_come_in_parts()
    {
        using var pair = Start(isServer: false);
        byte[] ticket = [4, 0, 0x13, 0x88, .. new byte[5000]];
        foreach (var cut in new[] { 1, 3, 4, 5, 4000, 5003 })
        {
            pair.Send([.. pair.Seal(ticket.AsSpan(0, cut), 22), .. pair.Seal(ticket.AsSpan(cut), 22), .. pair.Seal("x"u8)]);
            var got = new List<byte>();
            Assert.Equal(-Errno.EAGAIN, pair.ReadInto(got));
            Assert.Single(got);
        }
    }
}
