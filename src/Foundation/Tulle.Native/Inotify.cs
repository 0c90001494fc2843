using System.Runtime.InteropServices;
using System.Text;

namespace Tulle.Native;

/// <summary>One event of a watched folder.</summary>
/// <param name="Watch">Number of the watch; -1 when events were lost.</param>
/// <param name="Mask">What happened, as in inotify(7).</param>
/// <param name="Name">File or folder in the watched folder; empty for the folder itself.</param>
public readonly record struct FolderEvent(int Watch, uint Mask, string Name);

/// <summary>
/// inotify(7). .NET's watcher cannot tell a file that is being written from one that is closed, and that decides whether its content may be used.
/// </summary>
public sealed partial class Inotify : IDisposable
{
    public const uint Modify = 0x2, Attributes = 0x4, CloseWrite = 0x8, MovedFrom = 0x40, MovedTo = 0x80, Create = 0x100, Delete = 0x200, DeleteSelf = 0x400,
        MoveSelf = 0x800, Ignored = 0x8000, QueueOverflow = 0x4000, IsFolder = 0x40000000;

    private const uint OnlyFolder = 0x01000000;
    private const int CloseOnExec = 0x80000, HeaderBytes = 16;

    private readonly int _fd;
    private readonly byte[] _buffer = new byte[64 * 1024];

    [LibraryImport("libc", SetLastError = true)]
    private static partial int inotify_init1(int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int inotify_add_watch(int fd, string path, uint mask);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint read(int fd, Span<byte> buffer, nint count);

    [LibraryImport("libc")]
    private static partial int close(int fd);

    /// <exception cref="IOException">The machine's inotify instances are used up.</exception>
    public Inotify()
    {
        _fd = inotify_init1(CloseOnExec);
        if (_fd < 0)
            throw new IOException($"inotify_init1: errno {Marshal.GetLastPInvokeError()}; fs.inotify.max_user_instances may be used up");
    }

    /// <summary>The number of the watch, or the negated errno (28: fs.inotify.max_user_watches is used up).</summary>
    public int Add(string folder)
    {
        const uint All = Modify | Attributes | CloseWrite | MovedFrom | MovedTo | Create | Delete | DeleteSelf | MoveSelf | OnlyFolder;
        var watch = inotify_add_watch(_fd, folder, All);
        return watch >= 0 ? watch : -Marshal.GetLastPInvokeError();
    }

    /// <summary>Waits for events; false when there will be no more.</summary>
    public bool Read(List<FolderEvent> into)
    {
        const int Interrupted = 4;
        nint count;
        do
            count = read(_fd, _buffer, _buffer.Length);
        while (count < 0 && Marshal.GetLastPInvokeError() == Interrupted);
        if (count <= 0)
            return false;
        for (var rest = _buffer.AsSpan(0, (int)count); rest.Length >= HeaderBytes;)
        {
            var length = MemoryMarshal.Read<int>(rest[12..]);
            var name = rest.Slice(HeaderBytes, length);
            var end = name.IndexOf((byte)0);
            into.Add(new FolderEvent(MemoryMarshal.Read<int>(rest), MemoryMarshal.Read<uint>(rest[4..]), Encoding.UTF8.GetString(end < 0 ? name : name[..end])));
            rest = rest[(HeaderBytes + length)..];
        }
        return true;
    }

    public void Dispose() => _ = close(_fd);
}
