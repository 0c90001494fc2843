using Tulle.Wire.Http1;

namespace Tulle.Proxy;

/// <summary>What an HTTP connection needs only while a request is under way: 3 KB that an idle connection shall not hold.</summary>
internal sealed class ExchangeMemory
{
    public HttpHead Request { get; } = new();

    public HttpHead Response { get; } = new();

    public RequestRecord Record { get; } = new();
}

/// <summary>The exchanges of one loop that are free. A connection rents one when its socket has bytes and returns it when it is idle.</summary>
internal sealed class ExchangePool
{
    /// <summary>Free ones kept: 512 × 3 KB = 1.5 MiB a loop at the most; more are left to the collector.</summary>
    private const int KeepMax = 512;

    private readonly ExchangeMemory[] _free = new ExchangeMemory[KeepMax];
    private int _count;

    public ExchangeMemory Rent() => _count > 0 ? _free[--_count] : new ExchangeMemory();

    public void Return(ExchangeMemory exchange)
    {
        exchange.Request.Release();
        exchange.Response.Release();
        exchange.Record.Forget();
        if (_count < KeepMax)
            _free[_count++] = exchange;
    }
}
