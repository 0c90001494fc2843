using System.Globalization;

namespace Tulle.LocalPods;

/// <summary>A file that one process at a time holds, as long as it lives. Who holds it is written beside it: a held file cannot be read.</summary>
internal static class HeldFile
{
    /// <summary>The held file, made when it is not there; null when another process has it.</summary>
    public static FileStream? TryTake(string file)
    {
        try
        {
            return new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>Whether the held file still has its name: it was not removed while we waited for it.</summary>
    public static bool IsStillNamed(FileStream held) =>
        new FileInfo(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{held.SafeFileHandle.DangerousGetHandle()}")).LinkTarget == Path.GetFullPath(held.Name);

    public static string HolderFile(string file) => file + ".pid";

    public static void WriteHolder(string file) => File.WriteAllText(HolderFile(file), Environment.ProcessId.ToString(CultureInfo.InvariantCulture));

    public static string Holder(string file) => File.Exists(HolderFile(file)) ? File.ReadAllText(HolderFile(file)) : "?";
}
