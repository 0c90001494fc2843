using Tulle.Base;

namespace Tulle.Loop.Tests;

/// <summary>Somebody on the path changes a stream of records. Whatever he does, what is delivered is a prefix of what was sent, and only close_notify ends it.</summary>
public class ChangedRecordTests
{
    private static readonly string[] Messages = ["PAY 1 TO ALICE;", "BUT ONLY IF SHE SIGNED;", "COMMIT;"];

    private delegate List<byte[]> Change(List<byte[]> records, int which, RecordPair pair);

    private static byte[] Flip(byte[] record, int at)
    {
        var changed = record.ToArray();
        changed[at] ^= 1;
        return changed;
    }

    private static List<byte[]> With(List<byte[]> records, int which, params byte[][] instead) => [.. records[..which], .. instead, .. records[(which + 1)..]];

    private static readonly (string Name, Change Make)[] Changes =
    [
        ("one bit of the type", (r, i, _) => With(r, i, Flip(r[i], 0))),
        ("one bit of the version", (r, i, _) => With(r, i, Flip(r[i], 2))),
        ("one bit of the length", (r, i, _) => With(r, i, Flip(r[i], 4))),
        ("one bit of the text", (r, i, _) => With(r, i, Flip(r[i], 5))),
        ("one bit of the tag", (r, i, _) => With(r, i, Flip(r[i], r[i].Length - 1))),
        ("taken out", (r, i, _) => With(r, i)),
        ("sent twice", (r, i, _) => With(r, i, r[i], r[i])),
        ("swapped with the next", (r, i, _) => i + 1 < r.Count ? [.. r[..i], r[i + 1], r[i], .. r[(i + 2)..]] : With(r, i)),
        ("without its last byte", (r, i, _) => With(r, i, r[i][..^1])),
        ("oversized", (r, i, _) => With(r, i, [23, 3, 3, 0x41, 0x01, .. new byte[16_641]])),
        ("emptied", (r, i, _) => With(r, i, [23, 3, 3, 0, 0])),
        ("sent in clear", (r, i, _) => With(r, i, [23, 3, 3, 0, 5, .. "hello"u8])),
        ("replaced by a change_cipher_spec", (r, i, _) => With(r, i, [20, 3, 3, 0, 1, 1])),
        ("behind a change_cipher_spec", (r, i, _) => With(r, i, [20, 3, 3, 0, 1, 1], r[i])),
        ("behind an alert in clear", (r, i, _) => With(r, i, [21, 3, 3, 0, 2, 1, 0], r[i])),
    ];

    /// <summary>Each change of each record, the batch arriving in two parts at every cut. A record that does not open ends the stream for good, with an alert.</summary>
    [Theory]
    [InlineData(0x1301)]
    [InlineData(0x1302)]
    [InlineData(0x1303)]
    public void N02_what_is_delivered_is_a_prefix_and_only_close_notify_is_an_end(int suite)
    {
        var (loop, kernel) = RecordPair.NewLoop();
        var whole = string.Concat(Messages);
        var step = suite == 0x1301 ? 2 : 13;
        foreach (var (name, change) in Changes)
        {
            for (var which = 0; which <= Messages.Length; which++)
            {
                for (var cut = 0; ; cut += cut < 130 ? step : 997)
                {
                    using var pair = new RecordPair(loop, kernel, suite: suite);
                    var records = Messages.Select(m => pair.Seal(System.Text.Encoding.ASCII.GetBytes(m))).ToList();
                    records.Add(pair.Seal([1, 0], 21));
                    var stream = change(records, which, pair).SelectMany(r => r).ToArray();
                    if (cut > stream.Length)
                        break;
                    var got = new List<byte>();
                    pair.Send(stream.AsSpan(0, cut));
                    pair.ReadInto(got);
                    if (cut < stream.Length)
                        pair.Send(stream.AsSpan(cut));
                    pair.Far.ShutdownWrite();
                    kernel.Deliver();
                    loop.Turn(0);
                    var end = pair.ReadInto(got);
                    var what = $"record {which} {name}, cut at {cut}";
                    var text = System.Text.Encoding.ASCII.GetString([.. got]);
                    Assert.True(whole.StartsWith(text, StringComparison.Ordinal), $"{what}: delivered '{text}'");
                    Assert.Equal(end, pair.ReadInto(got));
                    if (pair.Transport.End == StreamEnd.Ended)
                        // What follows a close_notify is nobody's business; before it all must have come.
                        Assert.True(text == whole && end == 0, $"{what}: an end although something is missing");
                    else if (pair.Transport.End == StreamEnd.Failed)
                        Assert.True(end < 0, $"{what}: a failure reads as an end");
                    else
                        Assert.Equal(StreamEnd.Truncated, pair.Transport.End);
                    if (which < Messages.Length && name != "taken out" && name != "without its last byte" && name != "one bit of the length")
                        Assert.Equal(StreamEnd.Failed, pair.Transport.End);
                }
            }
        }
    }

    [Fact]
    public void N02_the_record_before_the_changed_one_is_delivered_and_the_one_behind_it_never()
    {
        var (loop, kernel) = RecordPair.NewLoop();
        using var pair = new RecordPair(loop, kernel);
        var records = Messages.Select(m => pair.Seal(System.Text.Encoding.ASCII.GetBytes(m))).ToList();
        records[1][9] ^= 4;
        pair.Send(records.SelectMany(r => r).ToArray());
        var got = new List<byte>();
        Assert.Equal(-Errno.ECONNRESET, pair.ReadInto(got));
        Assert.Equal(Messages[0], System.Text.Encoding.ASCII.GetString([.. got]));
        // Nor does anything that comes later, although it would open.
        pair.Send(pair.Seal("and more"u8));
        pair.AssertFailed(TlsAlert.BadRecordMac, "a changed record");
    }

    [Fact]
    public void N11_an_end_without_close_notify_is_told_from_a_right_one()
    {
        var (loop, kernel) = RecordPair.NewLoop();
        foreach (var (cutInRecord, notice, expected, result) in new[]
        {
            (false, true, StreamEnd.Ended, 0), (false, false, StreamEnd.Truncated, 0), (true, false, StreamEnd.Truncated, -Errno.ECONNRESET),
        })
        {
            using var pair = new RecordPair(loop, kernel);
            pair.Send(pair.Seal("abc"u8));
            if (cutInRecord)
                pair.Send(pair.Seal("def"u8).AsSpan(0, 12));
            if (notice)
                pair.Send(pair.Seal([1, 0], 21));
            pair.Far.ShutdownWrite();
            kernel.Deliver();
            loop.Turn(0);
            var got = new List<byte>();
            Assert.Equal(result, pair.ReadInto(got));
            Assert.Equal("abc"u8, got.ToArray());
            Assert.Equal(expected, pair.Transport.End);
        }
    }

    [Fact]
    public void N11_an_abort_says_no_close_notify_and_resets()
    {
        var (loop, kernel) = RecordPair.NewLoop();
        using var pair = new RecordPair(loop, kernel);
        Assert.Equal(4, pair.Transport.Write("half"u8));
        pair.Transport.Abort();
        Assert.Equal([RecordContent.ApplicationData], pair.Sent().Contents);
        Assert.True(pair.Far.IsReset);
    }

    [Fact]
    public void N11_what_was_cut_off_elsewhere_ends_here_without_close_notify()
    {
        var (loop, kernel) = RecordPair.NewLoop();
        using var pair = new RecordPair(loop, kernel);
        pair.Transport.Write("half"u8);
        pair.Transport.ShutdownWrite(isComplete: false);
        pair.Transport.Close();
        Assert.Equal([RecordContent.ApplicationData], pair.Sent().Contents);
        Assert.True(pair.Far.IsEnded);
    }

    [Fact]
    public void A_close_says_close_notify_once()
    {
        var (loop, kernel) = RecordPair.NewLoop();
        using var pair = new RecordPair(loop, kernel);
        pair.Transport.Write("all"u8);
        pair.Transport.ShutdownWrite();
        pair.Transport.ShutdownWrite();
        Assert.True(pair.Transport.Write("more"u8) < 0);
        pair.Transport.Close();
        Assert.Equal([RecordContent.ApplicationData, RecordContent.CloseNotify], pair.Sent().Contents);
    }
}
