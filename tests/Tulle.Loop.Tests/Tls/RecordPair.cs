using Tulle.Base;
using Tulle.Testing;

namespace Tulle.Loop.Tests;

/// <summary>A transport behind its handshake on a simulated kernel, and at the far end a record layer with the same keys that may send whatever it likes.</summary>
internal sealed class RecordPair : IDisposable
{
    private static readonly TlsPeer Nobody = new();
    private readonly byte[] _buffer = new byte[20_000];
    private readonly byte[] _wire = new byte[200_000];

    public RecordPair(EventLoop loop, SimulatedKernel kernel, bool isServer = true, int suite = 0x1301)
    {
        Loop = loop;
        Kernel = kernel;
        SimulatedSocket? far = null;
        kernel.OnConnect = (_, other) =>
        {
            far = other;
            return 0;
        };
        var socket = new LoopSocket(loop, kernel.Connect(Address.V4(1, 1), null, 0)) { Signal = new Signal() };
        Far = far!;
        Transport = new TlsTransport(socket, Layer(suite, 1, 2), isServer, Nobody);
        Peer = Layer(suite, 2, 1);
        socket.Start(assumeWritable: true);
    }

    public EventLoop Loop { get; }

    public SimulatedKernel Kernel { get; }

    public SimulatedSocket Far { get; }

    public TlsTransport Transport { get; }

    public RecordLayer Peer { get; }

    public static (EventLoop Loop, SimulatedKernel Kernel) NewLoop()
    {
        var kernel = new SimulatedKernel(1, windowBytes: 300_000, isCalm: true);
        return (new EventLoop(kernel), kernel);
    }

    private static RecordLayer Layer(int suite, byte read, byte write)
    {
        var length = suite == 0x1302 ? 48 : 32;
        return RecordLayer.Create(suite, [.. Enumerable.Repeat(read, length)], [.. Enumerable.Repeat(write, length)], 0)!;
    }

    public byte[] Seal(ReadOnlySpan<byte> content, byte type = 23)
    {
        var record = new byte[content.Length + 22];
        Assert.Equal(record.Length, Peer.Seal(content, type, record));
        return record;
    }

    /// <summary>Sends, lets it arrive and gives the loop a turn.</summary>
    public void Send(ReadOnlySpan<byte> bytes)
    {
        Assert.Equal(bytes.Length, Far.Write(bytes));
        Kernel.Deliver();
        Loop.Turn(0);
    }

    /// <summary>Reads until there is nothing to read or the stream is over; what the last call answered.</summary>
    public int ReadInto(List<byte> got)
    {
        for (var call = 0; ; call++)
        {
            Assert.True(call < 10_000, "reading does not come to an end");
            var count = Transport.Read(_buffer);
            if (count <= 0)
                return count;
            got.AddRange(_buffer.AsSpan(0, count));
        }
    }

    /// <summary>What the transport sent, opened: the content types in order, and the last alert.</summary>
    public (List<RecordContent> Contents, TlsAlert? Alert) Sent()
    {
        var contents = new List<RecordContent>();
        TlsAlert? alert = null;
        var count = Math.Max(0, Far.ReadAll(_wire));
        for (var at = 0; at < count;)
        {
            var length = 5 + RecordLayer.BodyLength(_wire.AsSpan(at));
            contents.Add(Peer.Open(_wire.AsSpan(at, length), out var content));
            if (contents[^1] == RecordContent.Handshake && content[0] == 24)
                Peer.UpdateReadKey();
            if (contents[^1] == RecordContent.Invalid && Peer.Error.StartsWith("the peer sent alert ", StringComparison.Ordinal))
                alert = (TlsAlert)byte.Parse(Peer.Error[20..]);
            at += length;
        }
        return (contents, alert);
    }

    /// <summary>After a failure: the reason is sticky in both directions, the peer was told it as an alert, and no close_notify follows.</summary>
    public void AssertFailed(TlsAlert? alert, string what)
    {
        Assert.True(Transport.End == StreamEnd.Failed, $"{what}: the stream is {Transport.End}");
        Assert.True(Transport.CanRead, $"{what}: nobody would learn of the end");
        Assert.True(Transport.Read(_buffer) < 0, $"{what}: reading goes on");
        Assert.True(Transport.Write("more"u8) < 0, $"{what}: writing goes on");
        Assert.NotEmpty(Transport.Error);
        Transport.ShutdownWrite();
        Transport.Close();
        var (contents, sent) = Sent();
        Assert.True(sent == alert, $"{what}: alert {sent} instead of {alert}");
        Assert.DoesNotContain(RecordContent.CloseNotify, contents);
    }

    public void Dispose()
    {
        Transport.Close();
        Peer.Dispose();
        Far.Close();
        Assert.Equal(0, Loop.Buffers.Rented);
    }
}
