namespace Tulle.LocalPods;

/// <summary>The folder of --state cannot be used; the message says why and what to give instead.</summary>
public sealed class StateFolderException(string message) : Exception(message);

/// <summary>
/// The folder that a mesh keeps its sockets, logs and pods in. It is emptied at the start and removed at the end, as root: so it must be new, empty, or
/// one that an earlier mesh marked as its own, and one mesh at a time holds it.
/// </summary>
public sealed class StateFolder : IDisposable
{
    /// <summary>What marks a folder as a mesh's; tells whether the mesh made the folder.</summary>
    public const string Marker = ".tulle-state";

    /// <summary>Held as long as the mesh lives.</summary>
    private const string Lock = ".tulle-lock";

    private const string MadeByUs = "made by tulle";

    private readonly FileStream _held;
    private readonly bool _isOurs;

    private StateFolder(string path, FileStream held, bool isOurs)
    {
        Path = path;
        _held = held;
        _isOurs = isOurs;
    }

    public string Path { get; }

    /// <summary>Takes the folder, and empties it when an earlier mesh left something in it.</summary>
    /// <exception cref="StateFolderException">It holds what is not a mesh's, or another mesh has it.</exception>
    public static StateFolder Claim(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        if (File.Exists(path))
            throw new StateFolderException($"{path} is a file; give --state a folder that does not exist yet");
        for (var parent = Directory.GetParent(path); parent is not null && !RootlessMode.IsOn; parent = parent.Parent)
        {
            if (parent.Exists && (parent.UnixFileMode & UnixFileMode.OtherExecute) == 0)
                throw new StateFolderException($"{path} is of no use: proxies run as a user of their own (1337), who may not enter {parent.FullName}; give --state a folder that everybody may reach");
        }
        var existed = Directory.Exists(path);
        var marker = System.IO.Path.Combine(path, Marker);
        if (existed && !File.Exists(marker) && Directory.EnumerateFileSystemEntries(path).Any())
            throw new StateFolderException($"{path} is not empty and no mesh made it: what is in it would be deleted; give --state a new or an empty folder");
        Directory.CreateDirectory(path);
        var isOurs = !existed || (File.Exists(marker) && File.ReadAllText(marker) == MadeByUs);
        if (HeldFile.TryTake(System.IO.Path.Combine(path, Lock)) is not { } held)
            throw new StateFolderException($"{path} is in use by the mesh of process {HeldFile.Holder(System.IO.Path.Combine(path, Lock))}; end that one, or give this one another --state");
        HeldFile.WriteHolder(System.IO.Path.Combine(path, Lock));
        File.WriteAllText(marker, isOurs ? MadeByUs : "");
        Empty(path);
        return new StateFolder(path, held, isOurs);
    }

    private static void Empty(string path)
    {
        foreach (var entry in new DirectoryInfo(path).EnumerateFileSystemInfos().Where(e => !e.Name.StartsWith(".tulle-", StringComparison.Ordinal)))
        {
            // A link goes itself, what it leads to stays.
            if (entry is DirectoryInfo { LinkTarget: null } folder)
                folder.Delete(recursive: true);
            else
                entry.Delete();
        }
    }

    public void Dispose()
    {
        try
        {
            Empty(Path);
            foreach (var file in Directory.EnumerateFiles(Path, ".tulle-*"))
                File.Delete(file);
            if (_isOurs)
                Directory.Delete(Path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // A process of a pod that is still on its way out wrote once more. The marker stays, or the next start finds the folder empty.
        }
        _held.Dispose();
    }
}
