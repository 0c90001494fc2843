using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Tulle.Native;

/// <summary>What .NET's files do not tell or do.</summary>
public static partial class Files
{
    private const int AtFdCwd = -100, AtSymlinkNoFollow = 0x100, StatxType = 1, TypeMask = 0xF000, TypeSocket = 0xC000;

    /// <summary>struct statx is 256 bytes; stx_mode is a 16-bit field at offset 28 (linux/stat.h).</summary>
    private const int StatxBytes = 256, ModeOffset = 28, InodeOffset = 32, StatxInode = 0x100;

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int folder, string path, int flags, uint mask, Span<byte> result);

    [LibraryImport("libc")]
    private static partial uint umask(uint mask);

    [LibraryImport("libc")]
    private static partial uint geteuid();

    [LibraryImport("libc")]
    private static partial int setfsuid(uint user);

    [LibraryImport("libc")]
    private static partial int setfsgid(uint group);

    /// <summary>Reads a file with the rights of another user: what that user may not read is not read for it.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The user may not read it.</exception>
    public static byte[] ReadAs(int user, string path)
    {
        // The kernel keeps these per thread, and nothing here leaves it. Leaving user 0 takes the right to override permissions along.
        var before = EffectiveUser;
        _ = setfsgid((uint)user);
        _ = setfsuid((uint)user);
        try
        {
            return File.ReadAllBytes(path);
        }
        finally
        {
            _ = setfsuid((uint)before);
            _ = setfsgid((uint)before);
        }
    }

    /// <summary>The user that this process acts as.</summary>
    public static int EffectiveUser { get; } = (int)geteuid();

    /// <summary>Whether a unix socket is at a path (a link is not followed).</summary>
    public static bool IsSocket(string path)
    {
        Span<byte> result = stackalloc byte[StatxBytes];
        return statx(AtFdCwd, path, AtSymlinkNoFollow, StatxType, result) == 0 && (BinaryPrimitives.ReadUInt16LittleEndian(result[ModeOffset..]) & TypeMask) == TypeSocket;
    }

    /// <summary>Number of a file, or of the namespace that a file stands for (/run/netns/NAME); 0 when it cannot be asked.</summary>
    public static ulong InodeOf(string path)
    {
        Span<byte> result = stackalloc byte[StatxBytes];
        return statx(AtFdCwd, path, 0, StatxInode, result) == 0 ? BinaryPrimitives.ReadUInt64LittleEndian(result[InodeOffset..]) : 0;
    }

    /// <summary>Files and sockets that this process makes from now on are its owner's alone.</summary>
    public static void KeepNewFilesPrivate() => _ = umask(0x3F);
}
