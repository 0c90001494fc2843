using System.Reflection;
using System.Runtime.InteropServices;

namespace Tulle.Native;

/// <summary>
/// Which library does the handshakes: the file that was asked for, else <c>libtulle-tls.so</c> beside the program (a BoringSSL, an AWS-LC, a newer
/// OpenSSL: one file that depends on nothing but what it brings), else the system's <c>libssl.so.3</c>. Chosen once, before the first use.
/// </summary>
public static class TlsLibrary
{
    internal const string ImportName = "tulle-tls";
    private const string BesideTheProgram = "libtulle-tls.so";
    private const string OfTheSystem = "libssl.so.3";
    private const string Crypto = "libcrypto.so.3";

    private static readonly Lock s_gate = new();
    private static nint s_handle;
    private static string s_path = "";
    private static string s_version = "";
    private static bool s_isReady;

    /// <summary>The file it was loaded from, as it was asked for.</summary>
    public static string Path
    {
        get
        {
            Load();
            return s_path;
        }
    }

    /// <summary>What it says of itself, for example "OpenSSL 3.0.19 28 Apr 2026".</summary>
    public static string Version
    {
        get
        {
            Load();
            return s_version;
        }
    }

    /// <summary>Name and number in one word, as the last part of Envoy's version text: "OpenSSL-3.0.19", "BoringSSL".</summary>
    public static string ShortName => string.Join('-', Version.Split(' ', StringSplitOptions.RemoveEmptyEntries).Take(2)).Replace('/', '-');

    /// <summary>BoringSSL and AWS-LC: other forms of some functions, TLS 1.3 suites in a fixed order.</summary>
    public static bool IsBoring { get; private set; }

    /// <summary>0x30000130 for OpenSSL 3.0.19; the low digits are the patch.</summary>
    public static uint Number { get; private set; }

    /// <summary>
    /// EC keys run on libcrypto's older methods (see <see cref="LegacyKeyMethods"/>): a third of a handshake cheaper on OpenSSL 3.0 and 3.1.
    /// Before the first use: whether they shall, default true. After it: whether they do.
    /// </summary>
    public static bool UsesLegacyKeyMethods { get; set; } = true;

    /// <summary>Chooses the library. Too late once something has used one: then it says so.</summary>
    /// <param name="path">A file, or empty for the default.</param>
    /// <returns>Null, or why the file cannot be used.</returns>
    public static string? Choose(string path)
    {
        lock (s_gate)
        {
            if (s_handle != 0)
                return s_path == path || path.Length == 0 ? null : $"the TLS library {s_path} is in use already";
            if (Open(path) is { } error)
                return error;
            UsesLegacyKeyMethods = UsesLegacyKeyMethods && !IsBoring && (Number >> 20 is 0x300 or 0x301) && LegacyKeyMethods.Use();
            Volatile.Write(ref s_isReady, true);
            return null;
        }
    }

    /// <summary>Loads the default if nothing was chosen. Every class that calls the library says this first.</summary>
    internal static void Load()
    {
        if (!Volatile.Read(ref s_isReady) && Choose("") is { } error)
            throw new DllNotFoundException(error);
    }

    private static string? Open(string path)
    {
        s_path = path.Length > 0 ? path : Beside(BesideTheProgram) ?? Beside(OfTheSystem) ?? OfTheSystem;
        nint handle;
        try
        {
            // A libcrypto beside the program is the one that the libssl beside it was made with; the loader would look in the system's folders.
            if (Beside(Crypto) is { } crypto && !s_path.Equals(OfTheSystem, StringComparison.Ordinal))
                NativeLibrary.TryLoad(crypto, out _);
            handle = NativeLibrary.Load(s_path);
        }
        catch (Exception error) when (error is DllNotFoundException or BadImageFormatException)
        {
            return $"the TLS library {s_path} cannot be loaded: {error.Message}";
        }
        foreach (var needed in (ReadOnlySpan<string>)["SSL_CTX_new", "SSL_CTX_set_keylog_callback", "X509_verify_cert", "BIO_s_mem", "EVP_CipherInit_ex"])
        {
            if (!NativeLibrary.TryGetExport(handle, needed, out _))
                return $"the TLS library {s_path} has no function {needed}: a libssl of OpenSSL 3, BoringSSL or AWS-LC is wanted, together with its libcrypto";
        }
        NativeLibrary.SetDllImportResolver(Assembly.GetExecutingAssembly(), static (name, _, _) => name == ImportName ? s_handle : 0);
        s_handle = handle;
        s_version = OpenSsl.TextAt(OpenSsl.OpenSSL_version(0));
        Number = (uint)OpenSsl.OpenSSL_version_num();
        IsBoring = Has("BORINGSSL_self_test") || Has("awslc_version_string");
        return null;
    }

    private static string? Beside(string file) => System.IO.Path.Combine(AppContext.BaseDirectory, file) is var path && File.Exists(path) ? path : null;

    internal static bool Has(string function) => NativeLibrary.TryGetExport(s_handle, function, out _);

    /// <summary>The address of the first of these functions that the library has; 0 when it has none.</summary>
    internal static nint Export(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            if (NativeLibrary.TryGetExport(s_handle, name, out var address))
                return address;
        }
        return 0;
    }
}
