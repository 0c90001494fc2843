using System.Globalization;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace Tulle.LocalPods;

/// <summary>
/// A mesh's place on this machine: a number from which its namespaces, its bridge and its addresses are named. The lock file of the number is held as
/// long as the mesh's process lives, so whatever carries the name of a number that nobody holds was left by a mesh that was killed.
/// </summary>
public sealed class MeshSlot : IDisposable
{
    /// <summary>Meshes on one machine at a time: 8, one second byte of 10.0.0.0/8 each, from 244 (the range that clusters commonly use for pods) on.</summary>
    public const int CountMax = 8;

    private readonly FileStream _lock;
    private bool _isReleased;

    private MeshSlot(int number, FileStream held)
    {
        Number = number;
        _lock = held;
    }

    public int Number { get; }

    public string NamespacePrefix => string.Create(CultureInfo.InvariantCulture, $"tulle-{Number}-");

    public string Bridge => string.Create(CultureInfo.InvariantCulture, $"tulle-{Number}");

    /// <summary>The first two bytes of its pods' addresses.</summary>
    public string Network => NetworkOf(Number);

    public string Gateway => Network + ".0.1";

    private static string NetworkOf(int number) => string.Create(CultureInfo.InvariantCulture, $"10.{244 + number}");

    /// <summary>Takes a free number and removes what killed meshes left under theirs. Meshes that live are not touched.</summary>
    /// <param name="folder">Where the lock files are; the same for all meshes of a machine.</param>
    /// <exception cref="CommandException">All are taken.</exception>
    public static async Task<MeshSlot> ClaimAsync(string folder = "/run/tulle-meshes")
    {
        Directory.CreateDirectory(folder);
        MeshSlot? mine = null;
        var holders = new List<string>();
        for (var number = 0; number < CountMax; number++)
        {
            var file = Path.Combine(folder, number.ToString(CultureInfo.InvariantCulture));
            var isLeft = File.Exists(file);
            if (!isLeft && (mine is not null || IsTaken(NetworkOf(number))))
                continue;
            if (TryLock(file) is not { } held)
            {
                holders.Add(HeldFile.Holder(file));
                continue;
            }
            var slot = new MeshSlot(number, held);
            if (isLeft)
                await PodNetwork.CleanAsync(slot);
            if (mine is null)
                mine = slot;
            else
                slot.Dispose();
        }
        return mine ?? throw new CommandException(
            $"there is no room for one more mesh on this machine: the {CountMax} address ranges from {NetworkOf(0)}.0.0/16 on are in use (meshes of the processes {string.Join(", ", holders)}); end one");
    }

    /// <summary>The locked file; null when another process holds it.</summary>
    private static FileStream? TryLock(string file)
    {
        while (HeldFile.TryTake(file) is { } held)
        {
            // Its last holder may have removed the file between our opening and our locking it: then the name is free or another's.
            if (HeldFile.IsStillNamed(held))
            {
                HeldFile.WriteHolder(file);
                return held;
            }
            held.Dispose();
        }
        return null;
    }

    /// <summary>Whether an interface of the machine has an address of that range already: another tool's pods, not ours.</summary>
    private static bool IsTaken(string network) => NetworkInterface.GetAllNetworkInterfaces()
        .SelectMany(i => i.GetIPProperties().UnicastAddresses)
        .Any(a => a.Address.AddressFamily == AddressFamily.InterNetwork && a.Address.ToString().StartsWith(network + ".", StringComparison.Ordinal));

    public void Dispose()
    {
        if (_isReleased)
            return;
        _isReleased = true;
        // Removed while it is held: who opens it meanwhile sees that the name is gone.
        File.Delete(HeldFile.HolderFile(_lock.Name));
        File.Delete(_lock.Name);
        _lock.Dispose();
    }
}
