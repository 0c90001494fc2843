using System.Runtime.InteropServices;

namespace Tulle.Native;

/// <summary>
/// Lets EC keys of OpenSSL 3.0 and 3.1 run on the methods that libcrypto had before its providers. Those releases build a chain of decoders for
/// every certificate they read: 116 µs where the direct code takes 4, a third of a handshake. The arithmetic below is the same. Registered as an ENGINE,
/// whose only content is a copy of the built-in method. It bypasses providers, so a FIPS provider keeps it off; it acts on the whole process. RSA stays
/// as it is: libcrypto ends the process when a key that a provider made, as .NET's are, meets the older RSA methods.
/// </summary>
internal static unsafe class LegacyKeyMethods
{
    private static readonly int[] s_kinds = GC.AllocateArray<int>(1, pinned: true);
    private static nint s_method;

    /// <summary>False when this libcrypto lacks what is needed, or when FIPS is wanted: it goes on as it was.</summary>
    public static bool Use()
    {
        var isFips = (delegate* unmanaged<nint, int>)TlsLibrary.Export("EVP_default_properties_is_fips_enabled");
        var find = (delegate* unmanaged<int, nint>)TlsLibrary.Export("EVP_PKEY_meth_find");
        var make = (delegate* unmanaged<int, int, nint>)TlsLibrary.Export("EVP_PKEY_meth_new");
        var copy = (delegate* unmanaged<nint, nint, void>)TlsLibrary.Export("EVP_PKEY_meth_copy");
        var newEngine = (delegate* unmanaged<nint>)TlsLibrary.Export("ENGINE_new");
        var setId = (delegate* unmanaged<nint, byte*, int>)TlsLibrary.Export("ENGINE_set_id");
        var setName = (delegate* unmanaged<nint, byte*, int>)TlsLibrary.Export("ENGINE_set_name");
        var setMethods = (delegate* unmanaged<nint, nint, int>)TlsLibrary.Export("ENGINE_set_pkey_meths");
        var setDefault = (delegate* unmanaged<nint, int>)TlsLibrary.Export("ENGINE_set_default_pkey_meths");
        if (find is null || make is null || copy is null || newEngine is null || setId is null || setName is null || setMethods is null || setDefault is null)
            return false;
        if (isFips is null || isFips(0) != 0)
            return false;
        s_kinds[0] = OpenSsl.EVP_PKEY_EC;
        var builtIn = find(OpenSsl.EVP_PKEY_EC);
        s_method = builtIn == 0 ? 0 : make(OpenSsl.EVP_PKEY_EC, 0);
        if (s_method == 0)
            return false;
        copy(s_method, builtIn);
        var engine = newEngine();
        if (engine == 0)
            return false;
        // The texts are kept by address: they live as long as the process.
        delegate* unmanaged<nint, nint*, int**, int, int> callback = &OnMethod;
        var done = setId(engine, Text("tulle")) == 1 && setName(engine, Text("key methods without providers")) == 1
            && setMethods(engine, (nint)callback) == 1 && setDefault(engine) == 1;
        OpenSsl.ERR_clear_error();
        return done;
    }

    private static byte* Text(string ascii) => (byte*)Marshal.StringToCoTaskMemUTF8(ascii);

    /// <summary>ENGINE_PKEY_METHS_PTR: without a place for a method it asks for the kinds.</summary>
    [UnmanagedCallersOnly]
    private static int OnMethod(nint engine, nint* method, int** kinds, int kind)
    {
        if (method is null)
        {
            *kinds = (int*)Marshal.UnsafeAddrOfPinnedArrayElement(s_kinds, 0);
            return s_kinds.Length;
        }
        *method = kind == OpenSsl.EVP_PKEY_EC ? s_method : 0;
        return *method != 0 ? 1 : 0;
    }
}
