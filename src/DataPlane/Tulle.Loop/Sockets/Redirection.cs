using Tulle.Base;
using Tulle.Native;

namespace Tulle.Loop;

/// <summary>Where a redirected connection was going.</summary>
public static class Redirection
{
    public static bool TryOriginalDestination(int fd, AddressKind kind, out Address destination) => Libc.TryOriginalDestination(fd, kind, out destination);
}
