using Tulle.Snapshot;
using Tulle.Wire;
using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>Applies configured header edits.</summary>
internal static class HeaderEdits
{
    /// <summary>Largest value that an edit makes, bytes; a longer one is cut. Source: a head may have 60 KiB by default.</summary>
    private const int ValueBytesMax = 256 * 1024;

    /// <param name="staging">Where a value is put together: bytes of the stack would be cleared first, four kilobytes for each request.</param>
    public static void Apply(HeaderEditsConfig edits, HttpHead head, RequestRecord record, byte[] staging)
    {
        for (var i = 0; i < edits.Remove.Count; i++)
            head.Remove(edits.Remove[i]);
        Span<byte> buffer = staging;
        for (var i = 0; i < edits.Add.Count; i++)
        {
            var edit = edits.Add[i];
            var writer = new ByteWriter(buffer);
            for (var part = 0; part < edit.Value.Count; part++)
                LogWriter.WritePart(ref writer, edit.Value[part], record, default);
            while (writer.Overflowed && buffer.Length < ValueBytesMax)
            {
                buffer = new byte[ValueBytesMax];
                writer = new ByteWriter(buffer);
                for (var part = 0; part < edit.Value.Count; part++)
                    LogWriter.WritePart(ref writer, edit.Value[part], record, default);
            }
            if (writer.Length == 0 && !edit.KeepEmpty)
                continue;
            var exists = head.Find(edit.Name) >= 0;
            if (edit.Name.AsSpan().SequenceEqual("host"u8) || edit.Name.AsSpan().SequenceEqual(":authority"u8))
            {
                head.SetAuthority(writer.Written);
                continue;
            }
            if (edit.Name.AsSpan().SequenceEqual(":path"u8))
            {
                head.SetPath(writer.Written, isRewrite: false);
                continue;
            }
            switch (edit.Append)
            {
                case HeaderAppend.Append:
                    head.Add(edit.Name, writer.Written);
                    break;
                case HeaderAppend.AddIfAbsent:
                    if (!exists)
                        head.Add(edit.Name, writer.Written);
                    break;
                case HeaderAppend.Overwrite:
                    head.Set(edit.Name, writer.Written);
                    break;
                default:
                    if (exists)
                        head.Set(edit.Name, writer.Written);
                    break;
            }
        }
    }
}
