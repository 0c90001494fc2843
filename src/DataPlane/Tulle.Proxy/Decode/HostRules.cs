using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>strip_trailing_host_dot: "example.com." and "example.com" are one name, and only one of them has a virtual host.</summary>
internal static class HostRules
{
    public static void StripTrailingDot(HttpHead head)
    {
        var host = head.Authority;
        var colon = host.LastIndexOf((byte)':');
        // A colon inside brackets belongs to an IPv6 address.
        if (colon >= 0 && host[colon..].IndexOf((byte)']') >= 0)
            colon = -1;
        var name = colon < 0 ? host : host[..colon];
        if (name.Length < 2 || name[^1] != '.')
            return;
        if (colon < 0)
        {
            head.SetAuthority(name[..^1]);
            return;
        }
        Span<byte> joined = host.Length <= 512 ? stackalloc byte[host.Length - 1] : new byte[host.Length - 1];
        name[..^1].CopyTo(joined);
        host[colon..].CopyTo(joined[(name.Length - 1)..]);
        head.SetAuthority(joined);
    }
}
